// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel for tests has taken, and how it runs.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use saio_logic::chain::{Chain, Refusal};
use saio_logic::ring::{Consumer, Poster};

use super::{Kernel, Socket, CQ_HEAD, CQ_TAIL, SQ_HEAD, SQ_TAIL};
use crate::sys::{self, saio_cqe, saio_params, saio_sqe};

/// An operation on a flow: an entry, or bytes and the file behind them, sent in one message.
#[derive(Debug)]
pub struct Op {
    sqe: saio_sqe,
    file: Option<saio_sqe>,
}

impl Op {
    pub fn entries(&self) -> u32 {
        1 + u32::from(self.file.is_some())
    }

    /// The slot of its flow.
    pub fn flow(&self) -> usize {
        (self.sqe.args[0] >> 32) as usize & 0xffff
    }

    /// Whether the message asks TCP to wait for more: that of two entries as the second does.
    fn more(&self) -> bool {
        let sqe = self.file.as_ref().unwrap_or(&self.sqe);
        calls(sqe, libc::SYS_sendto) && sqe.args[3] & libc::MSG_MORE as u64 != 0
    }
}

#[derive(Debug)]
pub struct State {
    consumer: Consumer,
    poster: Poster,
    /// Ordinary entries that were taken because of what is behind them.
    pub aside: VecDeque<saio_sqe>,
    /// Operations on flows that were taken and have not run.
    pub handed: VecDeque<Op>,
    pub ran: Vec<saio_sqe>,
    /// Of the owner's entries, when they are really run.
    pub chain: Option<Chain>,
    /// By the index of the flow.
    pub sockets: Vec<Socket>,
    /// The bytes of the arena that each has sent.
    pub sent: Vec<Vec<u8>>,
    /// Entries that are taken before the next call of the owner gets in, and whether by the rules.
    pub race: (u32, bool),
    /// What the next calls of the owner say instead of doing anything.
    pub refusals: VecDeque<i32>,
    /// A signal comes when the owner has run so many entries more.
    pub signal: Option<u32>,
    pub wakeups: u32,
}

impl State {
    pub fn new(params: &saio_params) -> Self {
        Self {
            consumer: Consumer::new(params.sq_entries),
            poster: Poster::new(params.cq_entries),
            aside: VecDeque::new(),
            handed: VecDeque::new(),
            ran: Vec::new(),
            chain: None,
            sockets: vec![Socket::default(); params.flows as usize],
            sent: vec![Vec::new(); params.flows as usize],
            race: (0, true),
            refusals: VecDeque::new(),
            signal: None,
            wakeups: 0,
        }
    }

    fn published(&self, kernel: &Kernel) -> u32 {
        self.consumer.available(kernel.word(SQ_TAIL)).unwrap_or(0)
    }

    fn reserve(&mut self, kernel: &Kernel) -> bool {
        self.poster.reserve(1, kernel.word(CQ_HEAD)) == 1
    }

    pub fn take(&mut self, kernel: &Kernel, n: u32, by_rules: bool) -> u32 {
        let published = self.published(kernel);
        let behind = |i: &u32| is_flow(&kernel.sqe(self.consumer.slot().wrapping_add(*i)));
        let may = match by_rules {
            true => (0..published).rev().find(behind).map_or(0, |i| i + 1),
            false => published,
        };
        let n = n.min(may);
        let mut taken = 0;
        while taken < n {
            let sqe = kernel.sqe(self.consumer.slot());
            if !is_flow(&sqe) {
                self.aside.push_back(sqe);
                self.consumer.advance(kernel.word(SQ_HEAD));
                taken += 1;
            } else if self.reserve(kernel) {
                let op = self.op(kernel, n - taken);
                taken += op.entries();
                self.hand(kernel, op);
            } else {
                break;
            }
        }
        taken
    }

    /// Takes an entry of a flow, whose completion is set aside, and of `left` that may be taken
    /// the one behind it, if both are sent as one.
    fn op(&mut self, kernel: &Kernel, left: u32) -> Op {
        let sqe = kernel.sqe(self.consumer.slot());
        self.consumer.advance(kernel.word(SQ_HEAD));
        let mut file = None;
        if left > 1 && calls(&sqe, libc::SYS_sendto) {
            let next = kernel.sqe(self.consumer.slot());
            let fits = is_flow(&next) && calls(&next, libc::SYS_sendfile);
            if fits && next.args[0] == sqe.args[0] && self.reserve(kernel) {
                self.consumer.advance(kernel.word(SQ_HEAD));
                file = Some(next);
            }
        }
        Op { sqe, file }
    }

    /// The owner's call.
    pub fn run(&mut self, kernel: &Kernel, to_submit: u32, taken: &mut u32) -> Result<(), i32> {
        while let Some(sqe) = self.aside.front().copied() {
            self.may_go_on(kernel)?;
            self.aside.pop_front();
            self.call(kernel, &sqe);
        }
        let n = to_submit.min(self.published(kernel));
        while *taken < n {
            self.may_go_on(kernel)?;
            let sqe = kernel.sqe(self.consumer.slot());
            if !is_flow(&sqe) {
                self.consumer.advance(kernel.word(SQ_HEAD));
                *taken += 1;
                self.call(kernel, &sqe);
                continue;
            }
            let op = self.op(kernel, n - *taken);
            *taken += op.entries();
            let waits = |other: &Op| other.flow() == op.flow();
            if kernel.looks() || self.handed.iter().any(waits) {
                self.hand(kernel, op);
            } else {
                self.carry(kernel, &op);
            }
        }
        if let Some(chain) = &mut self.chain {
            chain.end();
        }
        Ok(())
    }

    /// An ordinary entry.
    fn call(&mut self, kernel: &Kernel, sqe: &saio_sqe) {
        let mut result = 0;
        if let Some(chain) = &mut self.chain {
            let mut args = sqe.args;
            result = match chain.admit(sqe.flags, sqe.ctl, &mut args) {
                Ok(()) => {
                    let args = args.map(|arg| arg as usize);
                    // SAFETY: by the promise of who called `run_calls`.
                    let result = unsafe { sys::syscall(sqe.nr.into(), args) };
                    result as i64
                }
                Err(Refusal::Invalid) => -i64::from(libc::EINVAL),
                Err(Refusal::Cancelled) => -i64::from(libc::ECANCELED),
            };
            chain.done(sqe.flags, result);
        }
        self.finish(kernel, sqe, result);
    }

    /// Whether the owner may take another entry, whose completion is set aside then.
    fn may_go_on(&mut self, kernel: &Kernel) -> Result<(), i32> {
        match &mut self.signal {
            Some(0) => {
                self.signal = None;
                return Err(libc::EINTR);
            }
            Some(n) => *n -= 1,
            None => {}
        }
        match self.reserve(kernel) {
            true => Ok(()),
            false => Err(libc::EBUSY),
        }
    }

    /// Leaves an operation to the pool.
    fn hand(&mut self, kernel: &Kernel, op: Op) {
        let busy = kernel.flow_word(op.flow());
        busy.fetch_or(sys::SAIO_FLOW_BUSY, Ordering::Release);
        self.handed.push_back(op);
    }

    /// Has an operation run, as far as TCP is concerned.
    pub fn carry(&mut self, kernel: &Kernel, op: &Op) {
        let sqe = &op.sqe;
        let index = op.flow();
        if let Some(socket) = self.sockets.get_mut(index) {
            if !calls(sqe, libc::SYS_setsockopt) {
                socket.holds = socket.corked || op.more();
            } else if sqe.args[2] == libc::TCP_CORK as u64 {
                let on = kernel.bytes(sqe.args[3], 4).iter().any(|byte| *byte != 0);
                socket.cork(on);
            }
            if calls(sqe, libc::SYS_sendto) {
                let bytes = kernel.bytes(sqe.args[1], sqe.args[2]);
                self.sent[index].extend_from_slice(bytes);
            }
        }
        for sqe in [Some(sqe), op.file.as_ref()].into_iter().flatten() {
            let sent = match sqe.nr.into() {
                libc::SYS_sendto => sqe.args[2],
                libc::SYS_sendfile => sqe.args[3],
                _ => 0,
            };
            self.finish(kernel, sqe, sent as i64);
        }
    }

    /// Notes that an entry has run, as well as can be, and completes it.
    fn finish(&mut self, kernel: &Kernel, sqe: &saio_sqe, res: i64) {
        self.ran.push(*sqe);
        if res >= 0 && sqe.flags & sys::SQE_SKIP_SUCCESS != 0 {
            return self.poster.cancel(1);
        }
        let cqe = saio_cqe {
            user_data: sqe.user_data,
            res,
        };
        let slot = self.poster.slot() as usize;
        let offset = kernel.params.cq_off as usize + slot * size_of::<saio_cqe>();
        // SAFETY: a slot of the queue, by the invariant of the kernel, and reserved.
        unsafe {
            kernel
                .base
                .as_ptr()
                .add(offset)
                .cast::<saio_cqe>()
                .write(cqe)
        };
        self.poster.post(kernel.word(CQ_TAIL));
    }
}

fn calls(sqe: &saio_sqe, nr: libc::c_long) -> bool {
    i64::from(sqe.nr) == nr
}

fn is_flow(sqe: &saio_sqe) -> bool {
    sqe.flags & sys::SQE_FLOW != 0
}
