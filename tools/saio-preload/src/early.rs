// SPDX-License-Identifier: MIT OR Apache-2.0

//! The way from a hook to the engine: is this call one that may be answered early?

use std::ffi::c_int;

use saio::flow::FlowRef;

use crate::defer::Answer;
use crate::fds::{self, Kind, State};
use crate::queue::Engine;
use crate::setup::{quiesce, register};
use crate::stats::{bump, Call, Flush};
use crate::{errno, tls};

/// Answers a write-side call on `fd` by `defer`, if `fd` is a flow of this thread or now
/// becomes one. `None`: make the call; nothing that was queued is behind it.
///
/// A call that is not `deferrable` only has the queue flushed.
#[inline]
pub fn early(
    fd: c_int,
    call: Call,
    deferrable: bool,
    defer: impl FnOnce(&mut Engine, FlowRef) -> Answer,
) -> Option<isize> {
    let state = fds::get(fd);
    let flow = match state.kind() {
        Kind::Flow => FlowRef::from_raw(state.value()),
        Kind::Candidate => candidate(fd, state, call, deferrable)?,
        Kind::Closing => {
            errno::set(libc::EBADF);
            return Some(-1);
        }
        _ => return None,
    };
    let mut engine = tls::engine()?;
    if state.kind() == Kind::Flow && state.owner() != engine.id {
        return None;
    }
    if !deferrable {
        engine.sync(Flush::Pass);
        bump(&engine.counters.passed[call as usize]);
        return None;
    }
    let answer = defer(&mut engine, flow);
    engine.count(call, answer);
    match answer {
        Answer::Done(ret) => Some(ret),
        Answer::Again => {
            errno::set(libc::EAGAIN);
            Some(-1)
        }
        Answer::Pass => None,
    }
}

/// A write on a connection that is no flow yet. It becomes one with the second response,
/// that is a write in a later turn of the loop than the first, so that short connections
/// cost nothing.
#[cold]
fn candidate(fd: c_int, state: State, call: Call, deferrable: bool) -> Option<FlowRef> {
    let turn = tls::turn();
    if turn == 0 {
        // No event loop.
        return None;
    }
    if state.value() == 0 {
        if !matches!(call, Call::Option) {
            fds::set(fd, State::candidate(state.nonblock(), turn));
        }
        return None;
    }
    if !deferrable || !state.nonblock() || turn < 2 || turn == state.value() {
        return None;
    }
    register(fd)
}

/// Before a call that must come after what is queued for `fd`.
#[inline]
pub fn sync_fd(fd: c_int) {
    if matches!(fds::get(fd).kind(), Kind::Flow | Kind::Closing) {
        quiesce(Flush::Pass);
    }
}

/// Before a call after which `fd` must not be answered early any more: somebody else
/// may write to the socket, or its mode is another.
pub fn give_up(fd: c_int) {
    let state = fds::get(fd);
    match state.kind() {
        Kind::Flow => {
            let Some(mut engine) = tls::engine() else {
                return;
            };
            if state.owner() == engine.id {
                engine.leave(fd, FlowRef::from_raw(state.value()), Flush::Pass);
            } else {
                engine.sync(Flush::Pass);
            }
        }
        Kind::Candidate => fds::set(fd, State::UNTRACKED),
        Kind::Closing => quiesce(Flush::Pass),
        _ => {}
    }
}
