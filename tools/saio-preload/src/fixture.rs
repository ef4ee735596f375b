// SPDX-License-Identifier: MIT OR Apache-2.0

//! An engine on a ring without kernel, for tests.

use std::ffi::c_int;
use std::sync::Arc;

use saio::arena::Arena;
use saio::fake::Kernel;
use saio::flow::FlowRef;
use saio::ring::Ring;
use saio::sys::{saio_params, saio_sqe, SAIO_FLOW_USED, SAIO_MODE_INLINE, SAIO_MODE_POOL};

use crate::defer::{Answer, Part};
use crate::fds::{self, Kind};
use crate::queue::{Engine, CQ_ENTRIES, MAX_FLOWS, SQ_ENTRIES};
use crate::setup::constants;
use crate::stats::{Counters, Flush, Why};

/// Bytes of the arena.
pub const ARENA: u32 = 64 << 10;

/// A thread's engine, and the kernel behind it.
pub struct Fixture {
    pub engine: Box<Engine>,
    pub kernel: Arc<Kernel>,
    /// Added to numbers of descriptors: the table of them is that of the process.
    pub base: c_int,
}

impl Fixture {
    /// With descriptors from `base` on, which other tests do not use.
    pub fn new(base: c_int, served: bool) -> Self {
        Self::with_completions(base, served, CQ_ENTRIES)
    }

    /// As [`Self::new`], with a completion queue of `completions`.
    pub fn with_completions(base: c_int, served: bool, completions: u32) -> Self {
        let (ring, kernel) = Ring::fake(saio_params {
            sq_entries: SQ_ENTRIES,
            cq_entries: completions,
            flows: MAX_FLOWS as u32,
            arena_size: ARENA,
            ..Default::default()
        })
        .unwrap();
        if served {
            kernel.look();
        }
        let mut arena = Arena::new(ARENA as usize);
        let constants = constants(&ring, &mut arena).unwrap();
        let mode = if served {
            SAIO_MODE_POOL
        } else {
            SAIO_MODE_INLINE
        };
        let counters = Box::leak(Box::<Counters>::default());
        Self {
            engine: Box::new(Engine::new(1, ring, mode, arena, constants, counters)),
            kernel,
            base,
        }
    }

    /// Makes flow number `index`.
    pub fn flow(&mut self, index: u16) -> FlowRef {
        let flow = FlowRef::from_raw(1 << 16 | u32::from(index));
        self.say(index, 0);
        assert!(self.engine.adopt(self.fd(index), flow));
        flow
    }

    /// Has the kernel say more of a flow than that it is in use.
    pub fn say(&self, index: u16, bits: u32) {
        let word = 1 << 16 | SAIO_FLOW_USED | bits;
        self.kernel.set_flow_word(index.into(), word);
    }

    /// The descriptor of a flow.
    pub fn fd(&self, index: u16) -> c_int {
        self.base + c_int::from(index)
    }

    /// A write of `len` bytes to a flow.
    pub fn send(&mut self, flow: FlowRef, len: usize) -> Answer {
        let fd = self.fd(flow.index() as u16);
        if !self.is_flow(flow) {
            return Answer::Pass(Why::Gone);
        }
        self.engine.send(fd, flow, len, false, |_| ())
    }

    /// A sendfile of `len` bytes to a flow.
    pub fn send_file(&mut self, flow: FlowRef, len: usize) -> Answer {
        let fd = self.fd(flow.index() as u16);
        if !self.is_flow(flow) {
            return Answer::Pass(Why::Gone);
        }
        let part = Part {
            fd: 0,
            offset: 0,
            len,
        };
        self.engine.send_file(fd, flow, part)
    }

    /// `TCP_CORK` of a flow, by a call of the program if it comes to that.
    pub fn cork(&mut self, flow: FlowRef, on: bool) -> Answer {
        let fd = self.fd(flow.index() as u16);
        let mut answer = Answer::Pass(Why::Gone);
        if self.is_flow(flow) {
            answer = self.engine.option(fd, flow, libc::TCP_CORK, on);
        }
        if matches!(answer, Answer::Pass(_)) {
            self.kernel.cork(flow.index(), on);
        }
        answer
    }

    /// The program does something after which the connection is no flow any more.
    pub fn leave(&mut self, flow: FlowRef) {
        let fd = self.fd(flow.index() as u16);
        self.engine.leave(fd, flow, Flush::Pass, Why::Shared);
    }

    /// Whether the connection is a flow.
    pub fn is_flow(&self, flow: FlowRef) -> bool {
        fds::get(self.fd(flow.index() as u16)).kind() == Kind::Flow
    }

    /// The wait at the end of a turn; `number` tells it from others.
    pub fn wait(&mut self, number: u64) -> Option<isize> {
        // SAFETY: nothing runs.
        unsafe {
            self.engine
                .wait(libc::SYS_epoll_wait, [0, number, 0, 0, 0, 0])
        }
    }
}

/// What an entry that has run was, in a word.
pub fn what(sqe: &saio_sqe) -> &'static str {
    let more = sqe.args[3] == libc::MSG_MORE as u64;
    match i64::from(sqe.nr) {
        libc::SYS_sendto if more => "send more",
        libc::SYS_sendto => "send",
        libc::SYS_sendfile => "file",
        libc::SYS_close => "close",
        libc::SYS_epoll_wait => "wait",
        libc::SYS_getpid => "nothing",
        // The first of the constants is 1.
        libc::SYS_setsockopt if sqe.args[3] == 0 => "cork",
        libc::SYS_setsockopt => "uncork",
        _ => "?",
    }
}
