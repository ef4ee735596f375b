// SPDX-License-Identifier: GPL-2.0

//! A ring and its pool.

use super::Ring;
use crate::{
    errno,
    flow::{Flow, Runner},
    glue::Home,
    logic::{
        ring::{awake, prepare_sleep},
        sched::{self, Mode, Plan, Situation},
    },
    pool::Pool,
};
use core::{
    ptr,
    sync::atomic::{fence, AtomicBool, AtomicU32, Ordering},
};
use kernel::{
    bindings, new_mutex, new_spinlock,
    prelude::*,
    sync::{
        lock::{mutex::MutexBackend, Guard},
        Arc, ArcBorrow, Mutex, SpinLock,
    },
};

/// Whether a ring may still change its pool; who changes it holds the lock.
struct Moving {
    ended: bool,
}

/// To which pool a ring is attached.
struct Attachment {
    pool: Arc<Pool>,
    slot: usize,
}

/// What ties a ring to a pool.
#[pin_data]
pub(crate) struct Link {
    #[pin]
    pub(crate) home: Home,
    #[pin]
    moving: Mutex<Moving>,
    #[pin]
    attachment: SpinLock<Option<Attachment>>,
    /// `SAIO_MODE_*`; that of the owner while there is no attachment.
    mode: AtomicU32,
    /// Whether threads of the pool look at the queue.
    polled: AtomicBool,
    /// Up to here threads have looked through the queue.
    seen: AtomicU32,
    /// Operations in the queues of flows.
    pub(crate) waiting: AtomicU32,
}

impl Link {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            home <- Home::new(),
            moving <- new_mutex!(Moving { ended: false }, "saio::Link::moving"),
            attachment <- new_spinlock!(None, "saio::Link::attachment"),
            mode: AtomicU32::new(Mode::Inline as u32),
            polled: AtomicBool::new(false),
            seen: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
        })
    }
}

impl Ring {
    /// Does something while the ring has no pool and gets none; `EBUSY` if it has one.
    pub(super) fn without_pool(&self, f: impl FnOnce()) -> Result {
        let _moving = self.link.moving.lock();
        if self.pool().is_some() {
            return Err(EBUSY);
        }
        f();
        Ok(())
    }

    /// Attaches the ring to `pool`, which it may be attached to already.
    ///
    /// `ENOENT`: the pool is being removed; `EBADFD`: the owner has ended.
    pub(crate) fn attach(ring: ArcBorrow<'_, Self>, pool: Arc<Pool>, mode: Mode) -> Result {
        let moving = ring.link.moving.lock();
        Self::attach_moving(ring, &moving, pool, mode)
    }

    /// Goes on in the pool `to`, because the pool `from` is removed; nothing if it is in another.
    pub(crate) fn move_on(ring: ArcBorrow<'_, Self>, from: &Arc<Pool>, to: Arc<Pool>) -> Result {
        let moving = ring.link.moving.lock();
        if !ring.pool().is_some_and(|pool| Arc::ptr_eq(&pool, from)) {
            return Ok(());
        }
        Self::attach_moving(ring, &moving, to, ring.mode())
    }

    fn attach_moving(
        ring: ArcBorrow<'_, Self>,
        moving: &Guard<'_, Moving, MutexBackend>,
        pool: Arc<Pool>,
        mode: Mode,
    ) -> Result {
        if moving.ended {
            return Err(errno::ebadfd());
        }
        let same = ring.pool().is_some_and(|old| Arc::ptr_eq(&old, &pool));
        if !same {
            let slot = Pool::admit(&pool, ring.into())?;
            ring.leave_pool();
            let raw = (&raw const *pool).cast_mut().cast();
            ring.mem.pool().store(pool.id, Ordering::Relaxed);
            *ring.link.attachment.lock() = Some(Attachment { pool, slot });
            // SAFETY: The attachment keeps the pool until `leave_pool` has taken it away again.
            unsafe { bindings::saio_home_set(ring.link.home.as_ptr(), raw, slot as u32) };
        }
        ring.set_mode(mode);
        // Either the owner, who looks at the mode when it leaves the gate, finds it, or its news are
        // found here.
        fence(Ordering::SeqCst);
        // What was published while another pool looked, or none.
        ring.pass_on();
        Ok(())
    }

    /// Takes the ring away from its pool, if it has one: nobody but the owner dispatches. With
    /// `end` that is so for good.
    pub(crate) fn detach(&self, end: bool) {
        let mut moving = self.link.moving.lock();
        moving.ended |= end;
        self.leave_pool();
        drop(moving);
    }

    /// The caller holds `moving`.
    fn leave_pool(&self) {
        let Some(at) = self.link.attachment.lock().take() else {
            return;
        };
        self.set_mode(Mode::Inline);
        self.mem.pool().store(0, Ordering::Relaxed);
        // SAFETY: No requirements for no pool.
        unsafe { bindings::saio_home_set(self.link.home.as_ptr(), ptr::null_mut(), 0) };
        at.pool.dismiss(at.slot);
        self.link.polled.store(false, Ordering::SeqCst);
        self.mem
            .sq_flags()
            .fetch_or(bindings::SAIO_RING_NEED_WAKEUP, Ordering::Relaxed);
    }

    fn set_mode(&self, mode: Mode) {
        self.link.mode.store(mode as u32, Ordering::Relaxed);
        self.mem.mode().store(mode as u32, Ordering::Relaxed);
    }

    /// The ring's mode.
    pub(crate) fn mode(&self) -> Mode {
        Mode::from_number(self.link.mode.load(Ordering::Relaxed)).unwrap_or(Mode::Inline)
    }

    /// The pool, if there is one.
    pub(crate) fn pool(&self) -> Option<Arc<Pool>> {
        self.link
            .attachment
            .lock()
            .as_ref()
            .map(|at| at.pool.clone())
    }

    /// The owner wants what is published looked at again, also what a thread could not take.
    pub(crate) fn call_pool(&self) {
        // Behind the gate, so that a thread that gives up just now does not undo it.
        if let Some(sq) = self.sq() {
            self.saw(sq.consumer.head());
        }
        self.wake_pool();
    }

    /// Has threads of the pool look at the ring, and one awake for that.
    pub(crate) fn wake_pool(&self) {
        if self.owner.filtered() {
            // Threads would not take anything.
            return;
        }
        let guard = self.link.attachment.lock();
        let Some(at) = &*guard else { return };
        if !self.link.polled.swap(true, Ordering::SeqCst) {
            awake(self.mem.sq_flags());
            at.pool.poll(at.slot);
        }
        if at.pool.wake() {
            self.stats.wakeups.add(1);
        }
    }

    /// Leaves to the pool, if there is one, what nobody has looked at.
    pub(crate) fn pass_on(&self) {
        if self.mode() != Mode::Inline && self.has_news() {
            self.wake_pool();
        }
    }

    /// Decides where what the owner brings is run: `entries` flow entries, as `count` finds out
    /// if that matters.
    pub(crate) fn plan(&self, count: impl FnOnce() -> u32) -> Plan {
        let mode = self.mode();
        let situation = Situation {
            mode,
            entries: if mode == Mode::Inline { 0 } else { count() },
            polled: self.link.polled.load(Ordering::Relaxed),
            waiting: self.link.waiting.load(Ordering::Relaxed),
            filtered: mode != Mode::Inline && self.owner.filtered(),
        };
        let plan = sched::plan(situation, || {
            (self.link.attachment.lock().as_ref()).is_some_and(|at| at.pool.has_idle())
        });
        if plan.wake {
            self.wake_pool();
        }
        plan
    }

    /// Whether a thread of the pool finds something to do here.
    pub(crate) fn has_work(&self) -> bool {
        self.link.home.has_ready() || self.has_news() && !self.gate.taken()
    }

    /// Whether there is more to do here than for one thread.
    pub(crate) fn has_plenty(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        let published = (self.mem.sq_tail().load(Ordering::Relaxed)).wrapping_sub(head);
        self.has_news() && published > sched::WORTH_WAKING
            || self.link.waiting.load(Ordering::Relaxed) > sched::WORTH_WAKING
    }

    /// Whether entries were published at which no thread has looked.
    fn has_news(&self) -> bool {
        self.mem.sq_tail().load(Ordering::Acquire) != self.link.seen.load(Ordering::Relaxed)
    }

    /// Notes that a thread has looked at everything up to `tail`.
    pub(crate) fn saw(&self, tail: u32) {
        self.link.seen.store(tail, Ordering::Relaxed);
    }

    /// The pool stops looking at the ring, unless there is work: whether it did.
    pub(crate) fn doze(&self, pool: &Pool, slot: usize) -> bool {
        pool.unpoll(slot);
        self.link.polled.store(false, Ordering::SeqCst);
        let seen = self.link.seen.load(Ordering::Relaxed);
        let quiet = prepare_sleep(self.mem.sq_flags(), self.mem.sq_tail(), seen)
            // Who is inside looks after what is left when leaving.
            || self.gate.owner_inside();
        if quiet && !self.link.home.has_ready() {
            self.mem
                .sq_flags()
                .fetch_or(bindings::SAIO_RING_NEED_WAKEUP, Ordering::Relaxed);
            return true;
        }
        self.link.polled.store(true, Ordering::SeqCst);
        awake(self.mem.sq_flags());
        pool.poll(slot);
        false
    }

    /// The turn of a thread of the pool: one flow that waits for it, and one entry.
    pub(crate) fn serve(&self, pool: &Pool, number: u32) {
        let by = Runner::Thread(pool, number);
        // SAFETY: The home is set up.
        let ready = unsafe { bindings::saio_home_pop(self.link.home.as_ptr()) };
        if !ready.is_null() {
            // SAFETY: The list had a reference to the flow, which is ours now.
            let flow = unsafe { Flow::take(ready) };
            flow.work(by);
        }
        self.dispatch_one(by);
    }
}
