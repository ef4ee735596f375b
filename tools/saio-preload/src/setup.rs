// SPDX-License-Identifier: MIT OR Apache-2.0

//! Making rings and flows, and the ends of threads and of forked copies.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use saio::arena::Arena;
use saio::flow::FlowRef;
use saio::ring::Ring;
use saio::sys::{self, saio_params};

use crate::errno::Saved;
use crate::fds::{self, Kind, State};
use crate::queue::{Engine, CQ_ENTRIES, MAX_FLOWS, SQ_ENTRIES};
use crate::stats::{self, bump, Counters, Flush, Why};
use crate::{price, say, settings, tls};

/// Memory of an engine: one mapping, wiped in a forked child.
struct Block {
    engine: Engine,
    counters: Counters,
}

/// Key of the destructor, plus one.
static KEY: AtomicU32 = AtomicU32::new(0);

/// Registers what has to happen at forks, at the end of threads and of the process.
pub fn install() {
    let mut key = 0;
    // SAFETY: handlers of the right type that live as long as the process: a preloaded
    // library is never unloaded.
    unsafe {
        if libc::pthread_key_create(&mut key, Some(thread_ends)) == 0 {
            KEY.store(key + 1, Ordering::Relaxed);
        }
        libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child));
        libc::atexit(at_exit);
    }
}

/// Has what this thread queued run.
pub fn quiesce(why: Flush) {
    if let Some(mut engine) = tls::engine() {
        engine.sync(why);
    }
}

/// Makes a call that answers with a number or 0, and once more if what it lacked is there now, by
/// [`numbers_freed`] or [`addresses_freed`].
#[inline]
pub fn once_more(freed: fn() -> bool, call: impl Fn() -> c_int) -> c_int {
    let ret = call();
    if ret < 0 && freed() {
        return call();
    }
    ret
}

/// Whether `errno` says that there are no numbers left, and some come free by running the closes
/// that this thread has put off.
#[cold]
pub fn numbers_freed() -> bool {
    matches!(crate::errno::get(), libc::EMFILE | libc::ENFILE) && closed_now()
}

/// As [`numbers_freed`], of addresses and ports.
#[cold]
pub fn addresses_freed() -> bool {
    matches!(crate::errno::get(), libc::EADDRINUSE | libc::EADDRNOTAVAIL) && closed_now()
}

/// Runs the closes that this thread has put off, if there are any.
fn closed_now() -> bool {
    let Some(mut engine) = tls::engine() else {
        return false;
    };
    if engine.closings == 0 {
        return false;
    }
    engine.flush(Flush::Numbers);
    true
}

/// Makes a flow of the connection `fd`.
///
/// # Errors
///
/// Why that is not possible now or ever.
#[cold]
pub fn register(fd: c_int) -> Result<FlowRef, Why> {
    let _errno = Saved::new();
    if !settings::on() {
        fds::set(fd, State::through(Why::Off));
        return Err(Why::Off);
    }
    let mut engine = tls::engine()
        .or_else(|| make_engine().and_then(|()| tls::engine()))
        .ok_or(Why::Thread)?;
    let why = match sys::register_flow(engine.ring.fd(), fd) {
        Ok(raw) => {
            let flow = FlowRef::from_raw(raw);
            if engine.adopt(fd, flow) {
                return Ok(flow);
            }
            let _ = sys::unregister_flow(engine.ring.fd(), raw);
            Why::Slots
        }
        Err(error) => {
            bump(&engine.counters.refused);
            match error.raw_os_error() {
                Some(libc::ENOSPC) => Why::Slots,
                Some(libc::EEXIST) => {
                    // It is a flow that the table has lost. Something may be queued for it.
                    engine.sync(Flush::Pass);
                    Why::Refused
                }
                _ => Why::Refused,
            }
        }
    };
    fds::set(fd, State::through(why));
    Err(why)
}

/// Makes the ring of this thread, if it has none and can have one.
pub fn ring_now() {
    let _errno = Saved::new();
    if settings::on() && tls::engine().is_none() {
        let _ = make_engine();
    }
}

/// Makes the ring of this thread.
fn make_engine() -> Option<()> {
    let _making = tls::make()?;
    let made = tls::id()
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EUSERS))
        .and_then(block);
    let engine = match made {
        Ok(engine) => engine,
        Err(error) => {
            tls::refuse();
            settings::turn_off(&error);
            return None;
        }
    };
    tls::set_engine(engine);
    if let Some(key) = KEY.load(Ordering::Relaxed).checked_sub(1) {
        // SAFETY: the key was made with a destructor for engines.
        unsafe { libc::pthread_setspecific(key, engine.cast::<c_void>()) };
    }
    Some(())
}

/// A new engine in memory of its own.
fn block(id: u32) -> io::Result<*mut Engine> {
    let ring = Ring::setup(saio_params {
        sq_entries: SQ_ENTRIES,
        cq_entries: CQ_ENTRIES,
        flows: MAX_FLOWS as u32,
        ..Default::default()
    })?;
    let fd = ring.fd();
    fds::set(fd, State::RING);
    let made = block_on(id, ring);
    if made.is_err() {
        fds::set(fd, State::UNTRACKED);
    }
    made
}

/// The same, on a ring.
fn block_on(id: u32, mut ring: Ring) -> io::Result<*mut Engine> {
    price::find_out(&mut ring);
    let mode = attach(&mut ring);
    let mut arena = Arena::new(ring.params().arena_size as usize);
    let constants =
        constants(&ring, &mut arena).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;

    let memory = sys::map(None, size_of::<Block>())?;
    let args = [
        memory.as_ptr() as usize,
        size_of::<Block>(),
        libc::MADV_WIPEONFORK as usize,
        0,
        0,
        0,
    ];
    // SAFETY: advice on memory that is ours alone.
    if let Err(error) = sys::check(unsafe { sys::syscall(libc::SYS_madvise, args) }) {
        // SAFETY: nothing is in it.
        unsafe { sys::unmap(memory, size_of::<Block>()) };
        return Err(error);
    }
    let block = memory.as_ptr().cast::<Block>();
    if settings::verbose() {
        say::stderr(format_args!(
            "process {}, thread {id}: ring of {} entries, arena of {} bytes, {}",
            std::process::id(),
            ring.params().sq_entries,
            ring.params().arena_size,
            if mode == sys::SAIO_MODE_INLINE {
                "inline"
            } else {
                "in a pool"
            }
        ));
    }
    // SAFETY: fresh, zeroed, page-aligned memory of this size that is never freed. All
    // zeros are valid counters, and from here on they are only used by reference.
    let engine = unsafe {
        let counters = &raw mut (*block).counters;
        stats::enlist(counters);
        let engine = &raw mut (*block).engine;
        engine.write(Engine::new(id, ring, mode, arena, constants, &*counters));
        (*engine).sparing =
            mode == sys::SAIO_MODE_AUTO && !settings::eager() && !price::alone_pays();
        engine
    };
    Ok(engine)
}

/// Puts the values of options into the arena. Returns where; `None` if there is no room.
pub fn constants(ring: &Ring, arena: &mut Arena) -> Option<u64> {
    let place = arena.alloc(2 * size_of::<c_int>())?.offset();
    // SAFETY: the chunk was just allocated and is long and aligned enough.
    unsafe {
        let values = ring.arena(place).cast::<c_int>();
        values.write(1);
        values.add(1).write(0);
    }
    Some(place as u64)
}

/// Attaches a ring to the pool that the settings name, if they name one and if that is possible.
/// Returns its mode then.
fn attach(ring: &mut Ring) -> u32 {
    let Some((pool, mode)) = settings::pool() else {
        return sys::SAIO_MODE_INLINE;
    };
    match ring.attach(pool, mode) {
        Ok(()) => mode,
        Err(error) => {
            settings::leave_pool(pool, &error);
            sys::SAIO_MODE_INLINE
        }
    }
}

/// Takes all flows of this thread back: from now on another process can use them too.
pub fn disown() {
    if let Some(mut engine) = tls::engine() {
        leave_all(&mut engine, Why::Shared);
    }
}

/// Has all flows of an engine take no early answers any more.
pub fn leave_all(engine: &mut Engine, why: Why) {
    for (fd, state) in fds::all(0, fds::top()) {
        if state.kind() == Kind::Flow && state.owner() == engine.id {
            engine.leave(fd, FlowRef::from_raw(state.value()), Flush::Process, why);
        }
    }
}

/// The only thread of a forked child: whatever its parent had is not here.
pub fn forget() {
    tls::forked();
    stats::forked();
    for (fd, state) in fds::all(0, fds::top()) {
        let now = match state.kind() {
            // Put off by a thread that is not here to do it; or a ring that is not ours.
            Kind::Closing => State::UNTRACKED,
            _ if state == State::RING => State::UNTRACKED,
            Kind::Epoll => State::UNTRACKED,
            Kind::Flow => State::through(Why::Shared),
            _ => continue,
        };
        if !matches!(state.kind(), Kind::Epoll | Kind::Flow) {
            sys::close(fd);
        }
        fds::set(fd, now);
    }
}

/// # Safety
///
/// `engine` must be what [`make_engine`] gave this thread.
unsafe extern "C" fn thread_ends(engine: *mut c_void) {
    let _errno = Saved::new();
    let Some(mut guard) = tls::engine() else {
        return;
    };
    leave_all(&mut guard, Why::Thread);
    guard.sync(Flush::Process);
    tls::set_engine(ptr::null_mut());
    tls::refuse();
    fds::set(guard.ring.fd(), State::UNTRACKED);
    drop(guard);
    // What was handed to a pool and has not run keeps the kernel's side of the mapping.
    // SAFETY: the value of the key is this thread's engine, to which nothing leads any
    // more. Its memory stays, with the counters.
    unsafe { (*engine.cast::<Engine>()).end() };
}

// The child has neither the ring nor what is published in it; and of what was handed to a pool it
// has no copy either.
extern "C" fn before_fork() {
    quiesce(Flush::Process);
}

extern "C" fn after_fork() {
    disown();
}

extern "C" fn in_child() {
    forget();
}

extern "C" fn at_exit() {
    quiesce(Flush::Process);
    stats::write();
}
