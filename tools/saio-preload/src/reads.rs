// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads that are answered with `EAGAIN`.
//!
//! Some servers read once more when they have answered a request, in the hope of the next one. If the
//! read before came out short and the answer is still queued, there is hardly anything to be had.
//! Should there be something, level-triggered epoll reports it at the next wait: bytes, the end of
//! the stream, an error, what lies behind urgent data. One read is answered so. The next one is made,
//! whatever it is for, so that a program gets on that does not wait.
//!
//! An edge-triggered set reports nothing twice: there a connection that ends behind a short read would
//! hang. So only a connection is looked at ([`fds::State::level`]) that was put into a level-triggered
//! set in which its thread sleeps (a set within another one is only asked), and of which nothing was done
//! that gives reads another meaning. A server that waits behind a short read gains nothing: its
//! connection is looked at no more, and costs what all other descriptors do.

use std::ffi::c_int;
use std::mem;

use saio::flow::FlowRef;

use crate::fds::{self, Kind};
use crate::queue::Engine;
use crate::stats::{bump, Call};
use crate::{errno, tls};

#[cfg(test)]
mod tests;

/// What epoll reports once only, or to one of several.
const ONCE: u32 = (libc::EPOLLET | libc::EPOLLONESHOT | libc::EPOLLEXCLUSIVE) as u32;

/// Answers a read of up to `n` bytes from `fd`, or makes it.
#[inline]
pub fn read(fd: c_int, n: usize, read: impl FnOnce() -> isize) -> isize {
    let state = fds::get(fd);
    if state.kind() != Kind::Flow || n == 0 {
        return read();
    }
    let flow = FlowRef::from_raw(state.value());
    let own = |engine: &tls::Guard| engine.id == state.owner();
    if let Some(mut engine) = tls::engine().filter(own) {
        if engine.answers_read(fd, flow) {
            errno::set(libc::EAGAIN);
            return -1;
        }
    }
    let got = read();
    if got > 0 && (got as usize) < n {
        if let Some(mut engine) = tls::engine().filter(own) {
            engine.drained(flow);
        }
    }
    got
}

/// Makes an `epoll_ctl` by `ctl` and takes note of it. `events` are not looked at for a removal.
#[inline(never)]
pub fn watch(epfd: c_int, op: c_int, fd: c_int, events: u32, ctl: impl FnOnce() -> c_int) -> c_int {
    let state = fds::get(fd);
    if !matches!(state.kind(), Kind::Candidate | Kind::Flow) {
        return ctl();
    }
    if op == libc::EPOLL_CTL_DEL || events & ONCE != 0 {
        // Before another thread can have it.
        fds::never_level(fd);
        return ctl();
    }
    let ret = ctl();
    let set = fds::get(epfd);
    if ret == 0
        && set.kind() == Kind::Epoll
        && set.level()
        && tls::id() == Some(set.owner())
        && state.with_level() != state
    {
        fds::replace(fd, state, state.with_level());
    }
    ret
}

impl Engine {
    /// Whether the next read of a flow is answered.
    fn answers_read(&mut self, fd: c_int, flow: FlowRef) -> bool {
        let Some(place) = self.flows.get_mut(flow.index()) else {
            return false;
        };
        let drained = mem::take(&mut place.drained);
        if drained == 0 || place.flow != flow {
            return false;
        }
        if drained != tls::turn() {
            fds::never_level(fd);
            return false;
        }
        let answered = place.batch == self.batch && place.bytes != 0;
        let answers = answered
            && !flow.health(self.ring.flow_word(flow.index())).is_over()
            && !self.bars(Call::Read);
        if answers {
            bump(&self.counters.full[Call::Read as usize]);
        }
        answers
    }

    /// A read has left nothing.
    fn drained(&mut self, flow: FlowRef) {
        let place = self.flows.get_mut(flow.index());
        if let Some(place) = place.filter(|place| place.flow == flow) {
            place.drained = tls::turn();
        }
    }
}
