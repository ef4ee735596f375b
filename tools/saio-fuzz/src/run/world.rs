// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a case has made so far, shared by its threads.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::memory;
use super::raw;
use crate::plan::op::{Arg, Call, Who};
use crate::plan::slots;
use crate::stats::Stats;

/// A ring, or what is left of it.
#[derive(Default)]
pub struct Ring {
    /// Where the mapping is or was; 0: never was one.
    pub base: AtomicUsize,
    /// Bytes of it.
    pub size: AtomicUsize,
    /// Slots of the submission queue.
    pub sq_entries: AtomicU32,
    /// Slots of the completion queue.
    pub cq_entries: AtomicU32,
    /// Offset of the submission queue.
    pub sq_off: AtomicU32,
    /// Offset of the completion queue.
    pub cq_off: AtomicU32,
    /// Offset of the status words.
    pub flow_off: AtomicU32,
    /// Offset of the arena.
    pub arena_off: AtomicU32,
    /// Index of the next entry.
    pub tail: AtomicU32,
    /// Index of the next completion.
    pub head: AtomicU32,
}

/// Everything.
pub struct World {
    /// Descriptors, -1 where there is none.
    pub fds: Vec<AtomicI32>,
    /// Rings.
    pub rings: Vec<Ring>,
    /// Flow references.
    pub flows: Vec<AtomicU32>,
    /// Address of the yard.
    pub yard: usize,
    /// The child that was forked last.
    pub child: AtomicI32,
    /// Counts entries, to tell them apart.
    pub cookie: AtomicU64,
    /// Counters of the run.
    pub stats: &'static Stats,
}

impl World {
    /// An empty one with a yard.
    pub fn new(stats: &'static Stats) -> Self {
        let fds = (0..slots::FDS).map(|_| AtomicI32::new(-1)).collect();
        Self {
            fds,
            rings: (0..slots::RINGS).map(|_| Ring::default()).collect(),
            flows: (0..slots::FLOWS).map(|_| AtomicU32::new(0)).collect(),
            yard: memory::make_yard(),
            child: AtomicI32::new(0),
            cookie: AtomicU64::new(0),
            stats,
        }
    }

    /// The descriptor in a slot.
    pub fn fd(&self, slot: u8) -> i32 {
        self.fds[usize::from(slot)].load(Relaxed)
    }

    /// Puts a descriptor into a slot; what was there stays open. Errors leave it alone.
    pub fn set_fd(&self, slot: u8, fd: isize) {
        if fd >= 0 {
            self.fds[usize::from(slot)].store(fd as i32, Relaxed);
        }
    }

    /// A ring.
    pub fn ring(&self, slot: u8) -> &Ring {
        &self.rings[usize::from(slot)]
    }

    /// What an argument is right now.
    pub fn resolve(&self, arg: Arg) -> u64 {
        match arg {
            Arg::Num(number) => number,
            Arg::Fd(slot) => self.fd(slot) as u64,
            Arg::Flow { flow, twist, fd } => {
                let reference = self.flows[usize::from(flow)].load(Relaxed) ^ twist;
                u64::from(reference) << 32 | u64::from(self.fd(fd) as u32)
            }
            Arg::Yard(offset) => self.yard as u64 + u64::from(offset),
            Arg::Ring { ring, offset } => {
                self.ring(ring).base.load(Relaxed) as u64 + u64::from(offset)
            }
            Arg::Pid(who) => self.pid(who) as u64,
        }
    }

    /// Number of a process.
    pub fn pid(&self, who: Who) -> i32 {
        match who {
            Who::Me => raw::call(libc::SYS_getpid, &[]) as i32,
            Who::MyThread => raw::call(libc::SYS_gettid, &[]) as i32,
            Who::Parent => raw::call(libc::SYS_getppid, &[]) as i32,
            // Nobody has number 2^22, and 0 would be everybody.
            Who::Child => match self.child.load(Relaxed) {
                0 => 1 << 22,
                child => child,
            },
        }
    }

    /// Arguments as they are right now.
    pub fn arguments(&self, call: &Call) -> [u64; 6] {
        call.args.map(|arg| self.resolve(arg))
    }
}
