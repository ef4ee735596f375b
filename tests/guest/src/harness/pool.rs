// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pools, and rings that are attached to them.

use super::{
    expect_ok, flow_ring, kthreads, show, skip, sys, zeroed, Arg, Kthread, PoolAttr, PoolStat,
    RawRing, RingHeader, RingPool, CREATE, ENTER, FORCE, GET, NEED_WAKEUP, POOL, POOLED, REGISTER,
    REGISTER_POOL, REMOVE, SET, SET_CPUS, SET_GROUP, SET_IDLE, SET_MAX, SET_WORKERS, STAT, WAKEUP,
};
use std::{
    mem::offset_of,
    sync::atomic::{fence, AtomicBool, Ordering},
};

/// The pool of tests that run with every ring in a pool.
const FOR_ALL: &str = "tests";

static ALL_IN_POOL: AtomicBool = AtomicBool::new(false);

/// Makes a pool to which every ring is attached that is made from now on, and which looks at it.
pub fn pool_for_every_ring() -> Pool {
    // Two threads, so that they can get into each other's way; awake for a while after an entry, so
    // that they take some by themselves, and asleep after, so that they have to be woken for others.
    let pool = Pool::new(FOR_ALL, |p| p.workers(2).idle_us(2000));
    ALL_IN_POOL.store(true, Ordering::Relaxed);
    pool
}

/// The pool to which every ring is attached, if one is.
pub fn in_pool() -> Option<&'static str> {
    ALL_IN_POOL.load(Ordering::Relaxed).then_some(FOR_ALL)
}

/// A name as the kernel has it.
pub fn pool_name(name: &str) -> [u8; 32] {
    let mut raw = [0; 32];
    raw[..name.len()].copy_from_slice(name.as_bytes());
    raw
}

/// Attributes of a pool of which nothing is set.
pub fn pool_attr(name: &str) -> PoolAttr {
    let mut attr: PoolAttr = zeroed();
    attr.name = pool_name(name);
    attr
}

/// `saio_pool` with attributes.
pub fn pool_call(cmd: u32, attr: &mut PoolAttr) -> i64 {
    sys!(POOL, cmd, attr, size_of::<PoolAttr>())
}

/// `SAIO_POOL_REMOVE`.
pub fn pool_remove(name: &str, flags: u32) -> i64 {
    let mut attr = pool_attr(name);
    attr.flags = flags;
    pool_call(REMOVE, &mut attr)
}

/// Reads a pool that there is.
#[track_caller]
pub fn pool_get(name: &str) -> PoolAttr {
    let mut attr = pool_attr(name);
    expect_ok!(pool_call(GET, &mut attr));
    attr
}

/// The CPUs of a pool; none above 63 are looked for.
#[track_caller]
pub fn pool_cpus(name: &str) -> u64 {
    let mut mask = [0u64; 16];
    let mut attr = pool_attr(name);
    attr.cpus = mask.as_mut_ptr().arg();
    attr.cpus_len = size_of_val(&mask) as u32;
    expect_ok!(pool_call(GET, &mut attr));
    mask[0]
}

/// Sets attributes.
pub trait PoolAttrExt {
    fn workers(self, n: u32) -> Self;
    fn max(self, n: u32) -> Self;
    /// Microseconds.
    fn idle_us(self, us: u64) -> Self;
    /// The mask has to live until the call.
    fn cpus(self, mask: &u64) -> Self;
    fn group(self, gid: u32) -> Self;
}

impl PoolAttrExt for PoolAttr {
    fn workers(mut self, n: u32) -> Self {
        self.set |= SET_WORKERS;
        self.workers = n;
        self
    }

    fn max(mut self, n: u32) -> Self {
        self.set |= SET_MAX;
        self.max = n;
        self
    }

    fn idle_us(mut self, us: u64) -> Self {
        self.set |= SET_IDLE;
        self.idle_ns = us * 1000;
        self
    }

    fn cpus(mut self, mask: &u64) -> Self {
        self.set |= SET_CPUS;
        self.cpus = mask.arg();
        self.cpus_len = size_of_val(mask) as u32;
        self
    }

    fn group(mut self, gid: u32) -> Self {
        self.set |= SET_GROUP;
        self.gid = gid;
        self
    }
}

/// A pool that is removed with its maker, whatever is attached to it.
pub struct Pool {
    pub name: String,
}

impl Pool {
    /// Makes a pool; one of that name that a test left behind goes first.
    #[track_caller]
    pub fn new(name: &str, set: impl FnOnce(PoolAttr) -> PoolAttr) -> Self {
        pool_remove(name, FORCE);
        let mut attr = set(pool_attr(name));
        let made = pool_call(CREATE, &mut attr);
        assert_eq!(made, 0, "making the pool {name}: {}", show(made));
        let name = name.to_owned();
        Self { name }
    }

    /// Changes it.
    #[track_caller]
    pub fn set(&self, set: impl FnOnce(PoolAttr) -> PoolAttr) {
        let mut attr = set(pool_attr(&self.name));
        expect_ok!(pool_call(SET, &mut attr));
    }

    #[track_caller]
    pub fn get(&self) -> PoolAttr {
        pool_get(&self.name)
    }

    /// Rings that are attached.
    #[track_caller]
    pub fn rings(&self) -> u32 {
        self.get().rings
    }

    #[track_caller]
    pub fn stat(&self) -> PoolStat {
        let mut stat: PoolStat = zeroed();
        stat.name = pool_name(&self.name);
        expect_ok!(sys!(POOL, STAT, &mut stat, size_of::<PoolStat>()));
        stat
    }

    /// Its threads.
    pub fn threads(&self) -> Vec<Kthread> {
        kthreads(&self.name)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // A test may have removed it; what else could go wrong, its other checks find.
        pool_remove(&self.name, FORCE);
    }
}

impl RawRing {
    /// A ring with room for [`super::Flow::park`] in a pool, with mode POOL. Nobody looks at it yet.
    #[track_caller]
    pub fn pooled(pool: &str) -> Self {
        let ring = flow_ring();
        expect_ok!(ring.attach(pool, POOLED));
        ring
    }

    /// `SAIO_REGISTER_POOL`.
    pub fn attach(&self, pool: &str, mode: u32) -> i64 {
        let mut reg: RingPool = zeroed();
        reg.name = pool_name(pool);
        reg.mode = mode;
        self.attach_raw(&reg)
    }

    pub fn attach_raw(&self, reg: &RingPool) -> i64 {
        sys!(REGISTER, self.fd, REGISTER_POOL, reg, size_of::<RingPool>())
    }

    /// Has the pool look at the ring, and nothing else.
    pub fn wake(&self) -> i64 {
        sys!(ENTER, self.fd, 0, 0, WAKEUP)
    }

    /// As a producer asks, after it has published: whether nobody looks at the ring.
    pub fn needs_wakeup(&self) -> bool {
        fence(Ordering::SeqCst);
        let flags = self.word(offset_of!(RingHeader, sq_flags));
        flags.load(Ordering::Relaxed) & NEED_WAKEUP != 0
    }

    /// Wakes the pool if nobody looks at the ring: whether that was so.
    #[track_caller]
    pub fn wake_if_needed(&self) -> bool {
        let needed = self.needs_wakeup();
        if needed {
            expect_ok!(self.wake());
        }
        needed
    }

    /// The words `mode` and `pool` of the mapping.
    pub fn attachment(&self) -> (u32, u32) {
        let word = |offset| self.word(offset).load(Ordering::Relaxed);
        (
            word(offset_of!(RingHeader, mode)),
            word(offset_of!(RingHeader, pool)),
        )
    }

    /// Entries that are published and still in the queue.
    pub fn queued(&self) -> u32 {
        let head = self.sq_head().load(Ordering::Acquire);
        self.sq_tail().load(Ordering::Relaxed).wrapping_sub(head)
    }
}

/// How many CPUs are online.
pub fn online_cpus() -> usize {
    // SAFETY: no memory is involved.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(count).expect("the number of CPUs is known")
}

/// Skips the test if there are fewer CPUs. Before it makes anything: nothing is cleaned up.
pub fn need_cpus(count: usize) {
    let there = online_cpus();
    if there < count {
        skip(&format!("needs {count} CPUs, there are {there}"));
    }
}

/// Keeps this thread on a CPU.
#[track_caller]
pub fn run_on(cpu: u32) {
    let mask = 1u64 << cpu;
    expect_ok!(sys!(
        libc::SYS_sched_setaffinity,
        0,
        size_of_val(&mask),
        &mask
    ));
}
