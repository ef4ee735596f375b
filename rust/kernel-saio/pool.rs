// SPDX-License-Identifier: GPL-2.0

//! Pools: kernel threads that run the operations of many rings.
//!
//! [`table`] has all pools and the commands of `saio_pool`, [`worker`] what a thread does.

pub(crate) mod table;
mod worker;

use crate::{
    glue::Task,
    logic::sched::{Rings, Threads, MAX_RINGS},
    ring::Ring,
    stats::PoolStats,
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    new_mutex, new_spinlock,
    prelude::*,
    sync::{Arc, Mutex, SpinLock},
    types::Opaque,
};
use worker::Worker;

pub(crate) type Name = [u8; bindings::SAIO_POOL_NAME_LEN as usize];

/// Stands for the default pool in a call, and for no pool in an answer.
pub(crate) const NO_NAME: Name = [0; bindings::SAIO_POOL_NAME_LEN as usize];

/// What an operator sets.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// Threads that may be runnable at a time.
    pub(crate) workers: u32,
    /// Threads in all.
    pub(crate) max: u32,
    /// Who may attach rings.
    pub(crate) gid: u32,
    /// How long a thread looks for work, in nanoseconds.
    pub(crate) idle_ns: u64,
}

struct Table {
    rings: KVec<Option<Arc<Ring>>>,
    attached: u32,
    /// The pool is being removed.
    closed: bool,
}

impl Table {
    /// Whether `f` says so of the ring in `slot`; not if there is none.
    fn is(&self, slot: usize, f: impl FnOnce(&Arc<Ring>) -> bool) -> bool {
        self.rings.get(slot).and_then(Option::as_ref).is_some_and(f)
    }
}

/// Tasks of the threads, by their numbers.
struct Tasks {
    by_number: KVec<Option<Task>>,
    alive: u32,
}

/// A pool.
#[pin_data]
pub(crate) struct Pool {
    pub(crate) id: u32,
    pub(crate) name: Name,
    pub(crate) stats: PoolStats,
    #[pin]
    raw: Raw,
    workers: AtomicU32,
    max: AtomicU32,
    gid: AtomicU32,
    idle_ns: AtomicU64,
    /// Threads that are to end; changed under `tasks`.
    excess: AtomicU32,
    /// Every thread is to end.
    stopped: AtomicBool,
    threads: Threads,
    rings: Rings,
    #[pin]
    table: SpinLock<Table>,
    #[pin]
    tasks: Mutex<Tasks>,
}

// SAFETY: The C side is made for any task; the rest is `Send` and `Sync`.
unsafe impl Send for Pool {}
// SAFETY: As above.
unsafe impl Sync for Pool {}

impl Pool {
    fn new(id: u32, name: Name, settings: Settings) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                id,
                name,
                stats: PoolStats::default(),
                raw <- Raw::new(),
                workers: AtomicU32::new(settings.workers),
                max: AtomicU32::new(settings.max),
                gid: AtomicU32::new(settings.gid),
                idle_ns: AtomicU64::new(settings.idle_ns),
                excess: AtomicU32::new(0),
                stopped: AtomicBool::new(false),
                threads: Threads::new(),
                rings: Rings::new(),
                table <- new_spinlock!(Table {
                    rings: KVec::new(),
                    attached: 0,
                    closed: false,
                }, "saio::Pool::table"),
                tasks <- new_mutex!(Tasks {
                    by_number: KVec::new(),
                    alive: 0,
                }, "saio::Pool::tasks"),
            }? Error),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// What holds now.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            workers: self.workers(),
            max: self.max.load(Ordering::Relaxed),
            gid: self.gid.load(Ordering::Relaxed),
            idle_ns: self.idle_ns.load(Ordering::Relaxed),
        }
    }

    fn store(&self, settings: Settings) {
        self.workers.store(settings.workers, Ordering::Relaxed);
        self.max.store(settings.max, Ordering::Relaxed);
        self.gid.store(settings.gid, Ordering::Relaxed);
        self.idle_ns.store(settings.idle_ns, Ordering::Relaxed);
    }

    /// Changes what holds, for threads that run too.
    pub(crate) fn set(pool: &Arc<Self>, settings: Settings) -> Result {
        let before = pool.settings();
        pool.store(settings);
        if pool.attached() != 0 {
            if let Err(err) = Self::staff(pool) {
                pool.store(before);
                Self::staff(pool)?;
                return Err(err);
            }
        }
        pool.wake();
        Ok(())
    }

    /// Makes threads until there are as many as there may be, or has those end that are too many.
    fn staff(pool: &Arc<Self>) -> Result {
        let mut tasks = pool.tasks.lock();
        let max = pool.max.load(Ordering::Relaxed);
        pool.excess
            .store(tasks.alive.saturating_sub(max), Ordering::SeqCst);
        for _ in max..tasks.alive {
            if pool.threads.wake_to_end() {
                pool.wake_one();
            }
        }
        while tasks.alive < max {
            Self::start(pool, &mut tasks)?;
        }
        Ok(())
    }

    fn start(pool: &Arc<Self>, tasks: &mut Tasks) -> Result {
        let free = tasks.by_number.iter().position(|task| task.is_none());
        let number = match free {
            Some(number) => number,
            None => {
                tasks.by_number.push(None, GFP_KERNEL_ACCOUNT)?;
                tasks.by_number.len() - 1
            }
        };
        let worker = Worker::new(pool.clone(), number as u32)?;
        let raw = Worker::into_raw(worker);
        // SAFETY: `raw` is valid until the thread has dropped it, and so is what belongs to the
        // pool, to which it has a reference.
        let task = from_err_ptr(unsafe {
            bindings::saio_thread_start(raw, pool.raw(), pool.name.as_ptr(), number as u32)
        });
        match task {
            Ok(task) => {
                // It sleeps until it is woken, which it can be from here on.
                pool.threads.born();
                tasks.alive += 1;
                // SAFETY: A task that was made is not null, and the reference is ours.
                let task = unsafe { Task::from_raw(NonNull::new_unchecked(task)) };
                tasks.by_number[number] = Some(task);
                Ok(())
            }
            Err(err) => {
                // SAFETY: There is no thread that could have it.
                drop(unsafe { Worker::from_raw(raw) });
                Err(err)
            }
        }
    }

    /// Whether threads are to end.
    fn some_end(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || self.excess.load(Ordering::SeqCst) != 0
    }

    /// Whether the thread `number`, which asks, is to end; it counts no more then.
    fn ends(&self, number: u32) -> bool {
        if !self.some_end() {
            return false;
        }
        let mut tasks = self.tasks.lock();
        let excess = self.excess.load(Ordering::SeqCst);
        if excess != 0 {
            self.excess.store(excess - 1, Ordering::SeqCst);
        } else if !self.stopped.load(Ordering::SeqCst) {
            return false;
        }
        tasks.alive -= 1;
        tasks.by_number[number as usize] = None;
        true
    }

    /// Sees to it that threads that are to end do not sleep.
    fn wake_who_ends(&self) {
        if self.some_end() && self.threads.wake_to_end() {
            self.wake_one();
        }
    }

    /// Threads there are.
    pub(crate) fn alive(&self) -> u32 {
        self.tasks.lock().alive
    }

    /// Threads that are runnable.
    pub(crate) fn runnable(&self) -> u32 {
        self.threads.runnable().into()
    }

    /// Puts every thread on the CPUs of the pool.
    pub(crate) fn place(&self) {
        let tasks = self.tasks.lock();
        for task in tasks.by_number.iter().flatten() {
            // SAFETY: The task is valid, and the pool's side is set up.
            unsafe { bindings::saio_thread_set_cpus(task.as_ptr(), self.raw()) };
        }
    }

    /// What C wants to know a pool by.
    pub(crate) fn raw(&self) -> *mut bindings::saio_threads {
        self.raw.0.get()
    }

    fn workers(&self) -> u32 {
        self.workers.load(Ordering::Relaxed)
    }

    /// Rings that are attached.
    pub(crate) fn attached(&self) -> u32 {
        self.table.lock().attached
    }

    /// Takes a ring: its slot.
    ///
    /// `ENOENT`: the pool is being removed. `ENOSPC`: there are too many. Otherwise why there are no
    /// threads.
    pub(crate) fn admit(pool: &Arc<Self>, ring: Arc<Ring>) -> Result<usize> {
        let mut room = KVec::new();
        let slot = loop {
            let mut table = pool.table.lock();
            if table.closed {
                return Err(ENOENT);
            }
            let free = table.rings.iter().position(|ring| ring.is_none());
            if let Some(slot) = free {
                table.rings[slot] = Some(ring);
                table.attached += 1;
                break slot;
            }
            if table.rings.len() >= MAX_RINGS {
                return Err(ENOSPC);
            }
            // Memory is not allocated under a spinlock: bring more, and look again.
            if room.len() > table.rings.len() {
                for (new, old) in room.iter_mut().zip(table.rings.iter_mut()) {
                    *new = old.take();
                }
                core::mem::swap(&mut room, &mut table.rings);
                continue;
            }
            let want = (2 * table.rings.len()).clamp(8, MAX_RINGS);
            drop(table);
            room = KVec::with_capacity(want, GFP_KERNEL_ACCOUNT)?;
            for _ in 0..want {
                room.push(None, GFP_KERNEL_ACCOUNT)?;
            }
        };
        Self::staff(pool).inspect_err(|_| pool.dismiss(slot))?;
        Ok(slot)
    }

    /// Lets a ring go.
    pub(crate) fn dismiss(&self, slot: usize) {
        let mut table = self.table.lock();
        self.rings.forget(slot);
        table.attached -= 1;
        let ring = table.rings[slot].take();
        drop(table);
        drop(ring);
    }

    /// From now on threads look at the ring in `slot`.
    pub(crate) fn poll(&self, slot: usize) {
        self.rings.poll(slot);
    }

    /// Until somebody says so, threads do not look at the ring in `slot`.
    pub(crate) fn unpoll(&self, slot: usize) {
        self.rings.forget(slot);
    }

    /// There may be work: sees to it that somebody looks. Whether a thread was woken. In any context.
    pub(crate) fn wake(&self) -> bool {
        let wake = self.threads.wake(self.workers() as u16);
        if wake {
            self.stats.wakeups.add(1);
            self.wake_one();
        }
        wake
    }

    fn wake_one(&self) {
        // SAFETY: The pool's side is set up.
        unsafe { bindings::saio_threads_wake(self.raw()) };
    }

    /// A thread waits within an entry: another may go on. In the scheduler, without locks.
    pub(crate) fn held_up(&self) {
        self.threads.held_up();
        if self.rings.any() && self.wake() {
            self.stats.replaced.add(1);
        }
    }

    /// It goes on.
    pub(crate) fn goes_on(&self) {
        self.threads.goes_on();
    }

    /// Whether a thread could be woken, and has an idle CPU to run on.
    pub(crate) fn has_idle(&self) -> bool {
        self.threads.spare(self.workers() as u16)
            // SAFETY: The pool's side is set up.
            && unsafe { bindings::saio_threads_idle_cpu(self.raw()) }
    }

    /// The ring whose turn it is, if any has work.
    fn next(&self) -> Option<Arc<Ring>> {
        let table = self.table.lock();
        let slot = (self.rings).next(|slot| table.is(slot, |ring| ring.has_work()))?;
        table.rings.get(slot)?.clone()
    }

    /// Whether any ring has work.
    fn has_work(&self) -> bool {
        let table = self.table.lock();
        let work = |slot| table.is(slot, |ring| ring.has_work());
        self.rings.find(0, work).is_some()
    }

    /// Whether there is work for one thread more than is about to serve `ring`.
    fn has_more(&self, ring: &Arc<Ring>) -> bool {
        if ring.has_plenty() {
            return true;
        }
        let table = self.table.lock();
        let more = |slot| table.is(slot, |other| !Arc::ptr_eq(other, ring) && other.has_work());
        self.rings.find(0, more).is_some()
    }

    /// Stops looking at rings that have nothing to do: whether that are all.
    fn doze(&self) -> bool {
        let table = self.table.lock();
        let stays = |slot| table.is(slot, |ring| !ring.doze(self, slot));
        self.rings.find(0, stays).is_none()
    }

    /// No ring may come any more: those that are attached.
    fn close(&self) -> Result<KVec<Arc<Ring>>> {
        loop {
            let n = self.attached() as usize;
            let mut rings = KVec::with_capacity(n, GFP_KERNEL_ACCOUNT)?;
            let mut table = self.table.lock();
            if table.attached as usize > n {
                continue;
            }
            table.closed = true;
            for ring in table.rings.iter().flatten() {
                // Cannot fail: there is room.
                rings.push(ring.clone(), GFP_NOWAIT)?;
            }
            return Ok(rings);
        }
    }

    /// Rings may come again.
    fn reopen(&self) {
        self.table.lock().closed = false;
    }

    /// Every thread ends when it is done with what it does.
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        while self.threads.wake_to_end() {
            self.wake_one();
        }
    }
}

/// The C side of a pool: [`struct saio_threads`].
#[repr(transparent)]
struct Raw(Opaque<bindings::saio_threads>);

impl Raw {
    fn new() -> impl PinInit<Self, Error> {
        let init = |raw: *mut Self| {
            // SAFETY: The memory is ours to initialise.
            to_result(unsafe { bindings::saio_threads_init(raw.cast()) })
        };
        // SAFETY: `saio_threads_init` has initialised the memory if it succeeds and left nothing
        // behind otherwise; pinned memory is not moved.
        unsafe { kernel::init::pin_init_from_closure(init) }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: It was set up, and nobody has a reference to the pool any more.
        unsafe { bindings::saio_threads_free(self.0.get()) };
    }
}
