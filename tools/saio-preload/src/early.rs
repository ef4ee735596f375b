// SPDX-License-Identifier: MIT OR Apache-2.0

//! The way from a hook to the engine: is this call one that may be answered early?

use std::ffi::c_int;

use saio::flow::FlowRef;

use crate::defer::Answer;
use crate::errno;
use crate::fds::{self, Kind, State};
use crate::price;
use crate::queue::Engine;
use crate::settings::{self, Mode};
use crate::setup::{quiesce, register, ring_now};
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
/// becomes one. `None`: make the call; nothing that was queued on the connection is behind it.
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
        Kind::Candidate if state.lonely() => {
            stats::through(call, Why::Alone);
            return None;
        }
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
/// the first. Where a write that is all of a response is better not queued, and there is no pool,
/// the first one must have been more.
fn candidate(fd: c_int, state: State, call: Call, obstacle: Option<Why>) -> Result<FlowRef, Why> {
    let turn = tls::turn();
    if turn == 0 {
        return Err(Why::Loop);
    }
    let eager = settings::eager();
    let data = !matches!(call, Call::Option);
    if state.value() == 0 && !(eager && data) {
        if data {
            note(fd, state, state.with_turn(turn));
        }
        return Err(Why::First);
    }
    if let Some(why) = obstacle {
        return Err(why);
    }
    if !state.nonblock() {
        return Err(Why::Blocking);
    }
    let seen = match call {
        // Bytes that say what the file is come with it.
        Call::Sendfile => state.with_company(),
        _ => state,
    };
    if !eager && (turn < 2 || turn == state.value()) {
        if data {
            note(fd, state, seen.with_further());
        }
        return Err(Why::First);
    }
    if tls::barred().has(call) {
        return Err(tls::why_barred(call));
    }
    if !eager && settings::mode() == Mode::Inline && !seen.company() {
        if !price::known() {
            ring_now();
        }
        if !price::alone_pays() {
            if data {
                note(fd, state, seen.with_turn(turn).alone_again());
            }
            return Err(Why::Alone);
        }
    }
    register(fd)
}

/// Notes of a candidate what was seen, if it is still what it was: another thread may have closed or shared it.
fn note(fd: c_int, was: State, is: State) {
    if is != was {
        fds::replace(fd, was, is);
    }
}

/// Notes that the program corks a connection: its responses are more than one write.
#[inline]
pub fn corks(fd: c_int) {
    let state = fds::get(fd);
    if state.kind() == Kind::Candidate {
        note(fd, state, state.with_company());
    }
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
