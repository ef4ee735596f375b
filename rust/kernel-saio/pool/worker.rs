// SPDX-License-Identifier: GPL-2.0

//! A thread of a pool.

use super::Pool;
use crate::{
    glue,
    ring::Ring,
    trace::{self, Event},
};
use core::sync::atomic::Ordering;
use kernel::{bindings, prelude::*, sync::Arc, types::Opaque};

/// How long a thread looks for work at least on a CPU that others want, in nanoseconds.
const COURTESY_NS: u64 = 10_000;
/// Looks for work between two at the clock.
const LOOKS: u32 = 16;

/// A thread, as it knows itself.
#[repr(C)]
pub(super) struct Worker {
    /// Stands first: the scheduler's hooks know the thread by it.
    raw: Opaque<bindings::saio_thread>,
    pool: Arc<Pool>,
    number: u32,
}

/// Since when a thread is at what it is at.
struct Awake {
    /// It looks for work, and counts as one that does.
    looking: bool,
    /// Time of the last change, as [`glue::clock`] has it.
    since: u64,
}

impl Worker {
    pub(super) fn new(pool: Arc<Pool>, number: u32) -> Result<KBox<Self>> {
        // SAFETY: An all-zero `saio_thread` is valid.
        let raw: Opaque<bindings::saio_thread> = Opaque::new(unsafe { core::mem::zeroed() });
        // SAFETY: Nobody else has it.
        unsafe { (*raw.get()).pool = (&raw const *pool).cast_mut().cast() };
        let worker = Self { raw, pool, number };
        Ok(KBox::new(worker, GFP_KERNEL_ACCOUNT)?)
    }

    pub(super) fn into_raw(worker: KBox<Self>) -> *mut bindings::saio_thread {
        KBox::into_raw(worker).cast()
    }

    /// # Safety
    ///
    /// `raw` must come from [`Self::into_raw`], and this must happen once.
    pub(crate) unsafe fn from_raw(raw: *mut bindings::saio_thread) -> KBox<Self> {
        // SAFETY: `raw` stands first in a worker; the rest by the caller's promise.
        unsafe { KBox::from_raw(raw.cast()) }
    }

    /// What the thread does until it is to end.
    fn run(&self) {
        let pool = &*self.pool;
        trace::thread(Event::Start, &pool.name, self.number);
        loop {
            // SAFETY: The pool's side is set up.
            unsafe { bindings::saio_thread_wait(pool.raw()) };
            trace::thread(Event::Wake, &pool.name, self.number);
            if self.serve() {
                return;
            }
            trace::thread(Event::Sleep, &pool.name, self.number);
            pool.stats.sleeps.add(1);
            pool.wake_who_ends();
        }
    }

    /// Serves rings until it has to sleep, and counts as asleep then, or to end: whether that.
    fn serve(&self) -> bool {
        let pool = &*self.pool;
        let mut awake = Awake {
            looking: true,
            since: glue::clock(),
        };
        let mut looks = 0;
        loop {
            if pool.ends(self.number) {
                awake.turn(pool, false);
                pool.threads.gone();
                // Others may have relied on this one to look.
                if pool.rings.any() {
                    pool.wake();
                }
                return true;
            }
            if (pool.threads).sleep_if_over(pool.workers() as u16, awake.looking) {
                awake.account(pool);
                return false;
            }
            if let Some(ring) = pool.next() {
                awake.turn(pool, false);
                self.turn_of(&ring);
                looks = 0;
                // SAFETY: No lock is held.
                unsafe { bindings::saio_resched() };
                continue;
            }
            if !awake.looking {
                if awake.turn(pool, true) {
                    continue;
                }
                // Another one looks.
                if pool.threads.sleep_beside(false) {
                    awake.account(pool);
                    return false;
                }
            } else {
                looks += 1;
                if looks % LOOKS == 0 && self.has_enough(&awake) {
                    if pool.threads.sleep_beside(true) {
                        awake.account(pool);
                        // Who came meanwhile relied on this one; the others may be long at it.
                        if pool.has_work() {
                            pool.wake();
                        }
                        return false;
                    }
                    if pool.doze() {
                        awake.account(pool);
                        pool.threads.sleep(true);
                        if pool.rings.any() {
                            pool.wake();
                        }
                        return false;
                    }
                    // What is left is somebody's who has the ring just now, and wants this CPU perhaps.
                    // SAFETY: No lock is held.
                    unsafe { bindings::saio_resched() };
                }
            }
            // SAFETY: No requirements.
            unsafe { bindings::saio_cpu_relax() };
        }
    }

    /// Whether the thread has looked for work in vain for long enough.
    fn has_enough(&self, awake: &Awake) -> bool {
        let idle = self.pool.idle_ns.load(Ordering::Relaxed);
        let looked = glue::clock().saturating_sub(awake.since);
        // SAFETY: No requirements.
        looked >= idle || looked >= COURTESY_NS && unsafe { bindings::saio_cpu_wanted() }
    }

    /// Serves a ring; others are called if there is more to do than this.
    fn turn_of(&self, ring: &Arc<Ring>) {
        let pool = &*self.pool;
        if pool.threads.spare(pool.workers() as u16) && pool.has_more(ring) {
            pool.wake();
        }
        self.busy(true);
        ring.serve(pool, self.number);
        self.busy(false);
    }

    /// Tells the scheduler's hooks, which run in this thread only, what it means if it sleeps.
    fn busy(&self, on: bool) {
        // SAFETY: The field is accessed by this thread only.
        unsafe { (&raw mut (*self.raw.get()).busy).write_volatile(on) };
    }
}

impl Awake {
    /// The thread begins or ends to look for work: `false` if another one looks already.
    fn turn(&mut self, pool: &Pool, looking: bool) -> bool {
        if self.looking == looking {
            return true;
        }
        if !looking {
            pool.threads.found();
        } else if !pool.threads.look() {
            return false;
        }
        self.account(pool);
        self.looking = looking;
        true
    }

    /// Adds the time since the last change up.
    fn account(&mut self, pool: &Pool) {
        let now = glue::clock();
        let spent = now.saturating_sub(self.since);
        self.since = now;
        if self.looking {
            pool.stats.spin_ns.add(spent);
        } else {
            pool.stats.run_ns.add(spent);
        }
    }
}

/// A thread begins; returns when it is to end.
///
/// # Safety
///
/// `raw` must be what the thread was made with.
#[no_mangle]
unsafe extern "C" fn saio_rs_thread(raw: *mut bindings::saio_thread) -> i32 {
    // SAFETY: It stands first in a worker, which lives until `saio_rs_thread_drop`.
    unsafe { &*raw.cast::<Worker>() }.run();
    0
}

/// A thread has ended.
///
/// # Safety
///
/// `raw` must be what the thread was made with, and this happen once.
#[no_mangle]
unsafe extern "C" fn saio_rs_thread_drop(raw: *mut bindings::saio_thread) {
    // SAFETY: By the caller's promise.
    drop(unsafe { Worker::from_raw(raw) });
}
