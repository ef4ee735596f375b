// SPDX-License-Identifier: MIT OR Apache-2.0

//! What each thread has.

use std::arch::{asm, global_asm};
use std::cell::Cell;
use std::mem::size_of;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::sync::atomic::{compiler_fence, AtomicU32, Ordering};

use saio::preload::rules::Calls;
use saio::preload::{Call, Why};

use crate::fds::MAX_OWNER;
use crate::queue::Engine;
use crate::rules;

/// Where a thread is, by what it tells the functions of [`crate::esca`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Region {
    /// It has called none of them.
    #[default]
    Everywhere = 0,
    Inside,
    /// Here calls go straight through.
    Outside,
}

/// State of a thread; without a destructor, so that it is a plain variable.
#[repr(C)]
struct Tls {
    /// A hook of ours is using the engine; a signal handler finds it so.
    busy: Cell<bool>,
    /// The thread is to have no ring any more.
    refused: Cell<bool>,
    /// How often the thread has called a wait on an epoll set.
    turn: Cell<u32>,
    /// Where the thread is, if it says so.
    region: Cell<Region>,
    /// Number of the thread, 0 as long as it has none. Never given twice.
    id: Cell<u32>,
    engine: Cell<*mut Engine>,
}

// Hooks look at this several times a request. `thread_local!` makes a call of it in a shared
// library; this library is loaded with the program, so its variables have a fixed place (the
// initial-exec model), which takes two instructions to find. All zero is a thread without a ring.
global_asm!(
    ".pushsection .tbss.saio_preload_tls, \"awT\", @nobits",
    ".p2align 3",
    ".hidden saio_preload_tls",
    ".globl saio_preload_tls",
    ".type saio_preload_tls, @object",
    ".size saio_preload_tls, {size}",
    "saio_preload_tls:",
    ".zero {size}",
    ".popsection",
    size = const size_of::<Tls>(),
);

/// Stands for the variable; `with` is all that a `LocalKey` has to offer here.
struct Key;

static TLS: Key = Key;

impl Key {
    #[inline]
    fn with<T>(&self, f: impl FnOnce(&Tls) -> T) -> T {
        let tls: *const Tls;
        // SAFETY: reads the offset of the variable and the thread pointer; changes nothing.
        unsafe {
            asm!(
                "mov {0}, qword ptr [rip + saio_preload_tls@GOTTPOFF]",
                "add {0}, qword ptr fs:[0]",
                out(reg) tls,
                options(pure, readonly, nostack),
            );
        }
        // SAFETY: of the size and alignment of `Tls`, whose fields may be zero; it lives as long
        // as the thread, and no other thread has its address.
        f(unsafe { &*tls })
    }
}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

/// The engine of this thread, for one hook.
pub struct Guard {
    engine: NonNull<Engine>,
    busy: NonNull<Cell<bool>>,
}

impl Deref for Guard {
    type Target = Engine;

    #[inline]
    fn deref(&self) -> &Engine {
        // SAFETY: engines are never freed, and `busy` keeps every other user away.
        unsafe { self.engine.as_ref() }
    }
}

impl DerefMut for Guard {
    #[inline]
    fn deref_mut(&mut self) -> &mut Engine {
        // SAFETY: engines are never freed, and `busy` keeps every other user away.
        unsafe { self.engine.as_mut() }
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: a variable of this thread, which the guard does not leave.
        unsafe { self.busy.as_ref() }.set(false);
    }
}

/// The engine of this thread, unless it has none or the caller is a signal handler
/// that interrupted a hook.
#[inline]
pub fn engine() -> Option<Guard> {
    TLS.with(|tls| {
        let engine = NonNull::new(tls.engine.get())?;
        if tls.busy.get() {
            return None;
        }
        // SAFETY: it was made by this thread, or by the one that forked it.
        if !unsafe { Engine::alive_at(engine) } {
            // Broken, or wiped as this is a child that was forked without a handler run.
            tls.engine.set(ptr::null_mut());
            tls.id.set(0);
            return None;
        }
        tls.busy.set(true);
        compiler_fence(Ordering::SeqCst);
        Some(Guard {
            engine,
            busy: NonNull::from(&tls.busy),
        })
    })
}

/// Keeps signal handlers from using or making an engine while this thread makes one.
pub struct Making(());

impl Drop for Making {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        TLS.with(|tls| tls.busy.set(false));
    }
}

/// Begins to make an engine, if this thread may have one.
pub fn make() -> Option<Making> {
    TLS.with(|tls| {
        if tls.busy.get() || tls.refused.get() {
            return None;
        }
        tls.busy.set(true);
        compiler_fence(Ordering::SeqCst);
        Some(Making(()))
    })
}

/// Gives this thread its engine.
pub fn set_engine(engine: *mut Engine) {
    TLS.with(|tls| tls.engine.set(engine));
}

/// This thread goes without an engine from now on.
pub fn refuse() {
    TLS.with(|tls| tls.refused.set(true));
}

/// Counts a turn of the thread's loop. Returns the thread's number, 0 if all are used up.
#[inline]
pub fn next_turn() -> u32 {
    TLS.with(|tls| {
        tls.turn.set(tls.turn.get().wrapping_add(1));
        match tls.id.get() {
            0 => new_id(&tls.id),
            id => id,
        }
    })
}

/// Where this thread is.
pub fn region() -> Region {
    TLS.with(|tls| tls.region.get())
}

/// Says where this thread is. Its engine is not told.
pub fn set_region(region: Region) {
    TLS.with(|tls| tls.region.set(region));
}

/// Calls of this thread that go straight through, whatever they are on.
pub fn barred() -> Calls {
    match region() {
        Region::Outside => Calls::ALL,
        Region::Everywhere | Region::Inside => rules::passed(),
    }
}

/// Why one of [`barred`] does.
pub fn why_barred(call: Call) -> Why {
    if rules::passed().has(call) {
        Why::Listed
    } else {
        Why::Region
    }
}

/// How many turns this thread's loop has begun.
#[inline]
pub fn turn() -> u32 {
    TLS.with(|tls| tls.turn.get())
}

/// The number of this thread, or `None` when all have been given out.
pub fn id() -> Option<u32> {
    let id = TLS.with(|tls| match tls.id.get() {
        0 => new_id(&tls.id),
        id => id,
    });
    (id != 0).then_some(id)
}

/// A forked child's only thread begins anew.
pub fn forked() {
    TLS.with(|tls| {
        tls.engine.set(ptr::null_mut());
        tls.id.set(0);
        tls.refused.set(false);
        tls.busy.set(false);
    });
}

#[cold]
fn new_id(place: &Cell<u32>) -> u32 {
    let mut id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    if id > MAX_OWNER {
        NEXT_ID.store(MAX_OWNER + 1, Ordering::Relaxed);
        id = 0;
    }
    place.set(id);
    id
}
