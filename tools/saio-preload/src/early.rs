// SPDX-License-Identifier: MIT OR Apache-2.0

//! The way from a hook to the engine: is this call one that may be answered early?

use std::ffi::c_int;

use saio::flow::FlowRef;

use crate::defer::Answer;
use crate::errno;
use crate::fds::{self, Kind, State};
use crate::queue::Engine;
use crate::settings;
use crate::setup::{quiesce, register};
use crate::stats::{self, Call, Flush, Why};
use crate::tls::{self, Guard};

/// `TCP_INQ`: reads say how much is left.
const TCP_INQ: c_int = 36;

/// Whether anything is known of `fd`. A call on what is not goes straight through, and is counted.
#[inline]
pub fn known(fd: c_int, call: Call) -> bool {
    let tracked = fds::tracked(fd);
    if !tracked {
        stats::through(call, Why::Other);
    }
    tracked
}

/// Answers a write-side call on `fd` by `defer`, if `fd` is a flow of this thread or now
/// becomes one. `None`: make the call; nothing that was queued is behind it.
///
/// A call that is not `deferrable`, for the reason `why`, only has the queue flushed.
#[inline]
pub fn early(
    fd: c_int,
    call: Call,
    deferrable: bool,
    why: impl Fn() -> Why,
    defer: impl FnOnce(&mut Engine, FlowRef) -> Answer,
) -> Option<isize> {
    let state = fds::get(fd);
    let flow = match state.kind() {
        Kind::Flow => FlowRef::from_raw(state.value()),
        Kind::Candidate => {
            let obstacle = if deferrable { None } else { Some(why()) };
            new_flow(fd, state, call, obstacle)?
        }
        Kind::Closing => {
            errno::set(libc::EBADF);
            return Some(-1);
        }
        _ => {
            stats::through(call, state.why());
            return None;
        }
    };
    let own = |engine: &Guard| state.owner() == engine.id || state.kind() == Kind::Candidate;
    let Some(mut engine) = tls::engine().filter(own) else {
        stats::through(call, Why::Thread);
        return None;
    };
    if !deferrable || engine.bars(call) {
        let why = if deferrable {
            tls::why_barred(call)
        } else {
            why()
        };
        engine.sync(Flush::Pass);
        engine.count(call, Answer::Pass(why));
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
        Answer::Pass(_) => None,
    }
}

/// The flow that a connection becomes by this call; if it does not, that is counted.
#[cold]
fn new_flow(fd: c_int, state: State, call: Call, obstacle: Option<Why>) -> Option<FlowRef> {
    let flow = candidate(fd, state, call, obstacle);
    if let Err(why) = flow {
        stats::through(call, why);
    }
    flow.ok()
}

/// Makes a flow of a connection. It becomes one with the second response, that is a write in a
/// later turn of the loop than the first, so that short connections cost nothing; for tests with
/// the first.
fn candidate(fd: c_int, state: State, call: Call, obstacle: Option<Why>) -> Result<FlowRef, Why> {
    let turn = tls::turn();
    if turn == 0 {
        return Err(Why::Loop);
    }
    let eager = settings::eager();
    if state.value() == 0 && (!eager || matches!(call, Call::Option)) {
        if !matches!(call, Call::Option) {
            fds::set(fd, state.with_turn(turn));
        }
        return Err(Why::First);
    }
    if let Some(why) = obstacle {
        return Err(why);
    }
    if !state.nonblock() {
        return Err(Why::Blocking);
    }
    if !eager && (turn < 2 || turn == state.value()) {
        return Err(Why::First);
    }
    if tls::barred().has(call) {
        return Err(tls::why_barred(call));
    }
    register(fd)
}

/// Before a call that is never queued, and must come after what is queued for `fd`.
#[inline]
pub fn never_early(fd: c_int, call: Call) {
    let state = fds::get(fd);
    stats::through(
        call,
        match state.kind() {
            Kind::Flow | Kind::Candidate => Why::Call,
            _ => state.why(),
        },
    );
    sync_fd(fd);
}

/// Before a call that must come after what is queued for `fd`.
#[inline]
pub fn sync_fd(fd: c_int) {
    if matches!(fds::get(fd).kind(), Kind::Flow | Kind::Closing) {
        quiesce(Flush::Pass);
    }
}

/// Before a call after which `fd` must not be answered early any more: somebody else
/// may write to the socket, or its mode is another. `why` is what the statistics will say of its calls.
pub fn give_up(fd: c_int, why: Why) {
    let state = fds::get(fd);
    match state.kind() {
        Kind::Flow => {
            let Some(mut engine) = tls::engine() else {
                return;
            };
            if state.owner() == engine.id {
                engine.leave(fd, FlowRef::from_raw(state.value()), Flush::Pass, why);
            } else {
                engine.sync(Flush::Pass);
            }
        }
        Kind::Candidate => fds::set(fd, State::through(why)),
        Kind::Closing => quiesce(Flush::Pass),
        _ => {}
    }
}

/// Takes note of an option that the program has set on a connection.
#[cold]
pub fn option_made(fd: c_int, level: c_int, name: c_int) {
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_RCVLOWAT | libc::SO_OOBINLINE)
        | (libc::IPPROTO_TCP, TCP_INQ) => fds::never_level(fd),
        (libc::IPPROTO_TCP, libc::TCP_ULP) => {
            fds::never_level(fd);
            fds::makes_records(fd);
        }
        _ => {}
    }
}
