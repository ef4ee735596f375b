// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::atomic::Ordering;

use saio::fake::Socket;
use saio::sys::{SAIO_FLOW_STALE, SAIO_MODE_AUTO, SAIO_MODE_INLINE, SAIO_MODE_POOL};

use saio::preload::rules::Calls;

use super::*;
use crate::early::option_made;
use crate::fixture::{what, Fixture};
use crate::queue::MOST_OUTSTANDING;

// Each test uses descriptors of its own: they run in parallel on one table.

/// A fixture and a flow of which it is known that it is not corked.
fn uncorked(base: c_int, served: bool) -> (Fixture, FlowRef) {
    let mut f = Fixture::new(base, served);
    let flow = f.flow(0);
    f.cork(flow, true);
    f.cork(flow, false);
    assert_eq!(ran(&mut f), ["cork", "uncork"]);
    (f, flow)
}

/// Flushes, and says what has run since the last time.
fn ran(f: &mut Fixture) -> Vec<&'static str> {
    f.engine.sync(Flush::Pass);
    f.kernel.work(u32::MAX);
    f.engine.reap();
    f.kernel.ran().iter().map(what).collect()
}

#[test]
fn cork_around_a_file_is_not_told() {
    for served in [true, false] {
        let (mut f, flow) = uncorked(4000, served);
        f.cork(flow, true);
        f.send(flow, 10);
        f.send_file(flow, 10);
        f.cork(flow, false);
        assert_eq!(ran(&mut f), ["send more", "file"]);
        assert_eq!(f.kernel.socket(0), Socket::default());
        // Not corked.
        f.send(flow, 10);
        f.send_file(flow, 10);
        assert_eq!(ran(&mut f), ["send", "file"]);
    }
}

/// A record that was left unfinished is not pushed by an uncork.
#[test]
fn records_are_written_under_a_cork_that_the_kernel_knows() {
    let (mut f, flow) = uncorked(4350, true);
    let fd = f.fd(0);
    tls::set_engine(&raw mut *f.engine);
    option_made(fd, libc::IPPROTO_TCP, libc::TCP_ULP);
    tls::set_engine(std::ptr::null_mut());
    for _ in 0..2 {
        f.cork(flow, true);
        f.send(flow, 10);
        f.send_file(flow, 10);
        f.cork(flow, false);
        assert_eq!(ran(&mut f), ["cork", "send", "file", "uncork"]);
        assert_eq!(f.kernel.socket(0), Socket::default());
    }
    // A connection that did so before it became a flow.
    fds::set(fd, State::candidate(true, 1).with_records());
    let flow = f.flow(0);
    f.cork(flow, true);
    f.send(flow, 10);
    assert_eq!(ran(&mut f), ["cork", "send"]);
}

#[test]
fn held_bytes_are_pushed_by_the_uncork() {
    let (mut f, flow) = uncorked(4020, true);
    f.cork(flow, true);
    f.send(flow, 10);
    f.send(flow, 10);
    f.cork(flow, false);
    assert_eq!(ran(&mut f), ["send more", "send more", "uncork"]);
    // Nothing is held any more.
    f.cork(flow, true);
    f.cork(flow, false);
    assert_eq!(ran(&mut f), [""; 0]);
}

#[test]
fn batch_that_ends_under_a_cork() {
    for served in [true, false] {
        let (mut f, flow) = uncorked(4040, served);
        f.cork(flow, true);
        f.send(flow, 10);
        assert_eq!(ran(&mut f), ["send more", "cork"]);
        f.send(flow, 10);
        f.cork(flow, false);
        assert_eq!(ran(&mut f), ["send", "uncork"]);
    }
}

#[test]
fn close_under_a_cork() {
    let (mut f, flow) = uncorked(4050, true);
    f.cork(flow, true);
    f.send(flow, 10);
    let fd = f.fd(0);
    assert_eq!(f.engine.close_any(fd, fds::get(fd)), Answer::Done(0));
    assert_eq!(ran(&mut f), ["close", "send more"]);
}

#[test]
fn flow_that_goes_under_a_cork() {
    // `ran` has the pool run what it was handed only after what the thread ran itself.
    for served in [true, false] {
        let (mut f, flow) = uncorked(4060, served);
        f.cork(flow, true);
        f.send(flow, 10);
        f.say(0, SAIO_FLOW_STALE);
        assert_eq!(f.cork(flow, false), Answer::Pass(Why::Gone));
        assert_eq!(ran(&mut f), ["send more", "uncork"]);
        assert_eq!(fds::get(f.fd(0)), State::through(Why::Gone));
    }
}

#[test]
fn pool_is_woken_once_for_a_long_batch() {
    // In mode auto only a crossing may: it asks for an idle CPU.
    for mode in [SAIO_MODE_POOL, SAIO_MODE_AUTO, SAIO_MODE_INLINE] {
        let wakes = mode == SAIO_MODE_POOL;
        let mut f = Fixture::new(4070, mode != SAIO_MODE_INLINE);
        f.engine.mode = mode;
        let flow = f.flow(0);
        f.kernel.doze();
        for batch in 0..2 {
            for i in 0..100 {
                let long = i >= 16;
                let want = if wakes { batch + u32::from(long) } else { 0 };
                assert_eq!(f.kernel.wakeups(), want, "{i}");
                f.send(flow, 10);
                f.kernel.doze();
            }
            f.engine.sync(Flush::Pass);
        }
        let counted = f.engine.counters.wakeups.load(Ordering::Relaxed);
        assert_eq!(counted, if wakes { 2 } else { 0 });
    }
}

#[test]
fn pool_that_is_awake_is_not_woken() {
    let mut f = Fixture::new(4080, true);
    let flow = f.flow(0);
    for _ in 0..100 {
        f.send(flow, 10);
    }
    assert_eq!(f.kernel.wakeups(), 0);
}

#[test]
fn many_bytes_of_a_flow_are_left_to_the_kernel() {
    for (served, want) in [
        (true, Answer::Pass(Why::Bytes)),
        (false, Answer::Done(60_000)),
    ] {
        let mut f = Fixture::new(4090, served);
        let flow = f.flow(0);
        assert_eq!(f.send_file(flow, 60_000), Answer::Done(60_000));
        assert_eq!(f.send_file(flow, 60_000), Answer::Done(60_000));
        assert_eq!(f.send_file(flow, 60_000), want);
        // In the next batch again.
        assert_eq!(f.send_file(flow, 60_000), Answer::Done(60_000));
    }
}

/// An entry that was handed to the pool holds a completion until it has run.
#[test]
fn entries_that_were_handed_over_count() {
    let most = MOST_OUTSTANDING as usize;
    for served in [true, false] {
        let mut f = Fixture::new(4100, served);
        let flow = f.flow(0);
        for _ in 0..most {
            assert_eq!(f.send_file(flow, 1), Answer::Done(1));
        }
        if !served {
            // They have run: the flow would be busy otherwise.
            assert_eq!(f.send_file(flow, 1), Answer::Done(1));
            continue;
        }
        assert_eq!(f.send_file(flow, 1), Answer::Pass(Why::Room));
        assert_eq!(f.engine.outstanding as usize, most);
        assert_eq!(f.kernel.held(), (0, most));
        let crossings = || f.engine.counters.crossings.load(Ordering::Relaxed);
        let before = crossings();
        f.kernel.work(1);
        assert_eq!(f.send_file(flow, 1), Answer::Done(1));
        assert_eq!(
            crossings(),
            before,
            "what has run is known without a crossing"
        );
    }
}

#[test]
fn arena_of_a_pool_that_lags() {
    let mut f = Fixture::new(4110, true);
    let flows = [f.flow(0), f.flow(1)];
    // All but what the constants leave over.
    for _ in 0..3 {
        assert_eq!(f.send(flows[0], MAX_SEND), Answer::Done(MAX_SEND as isize));
    }
    assert_eq!(f.send(flows[1], MAX_SEND), Answer::Pass(Why::Room));
    assert_eq!(f.kernel.held(), (0, 3));
    f.kernel.work(1);
    assert_eq!(f.send(flows[1], MAX_SEND), Answer::Done(MAX_SEND as isize));
    assert!(f.engine.alive());
}

/// Has the pool hold as many entries of another flow as may wait.
fn no_room(f: &mut Fixture) {
    let other = f.flow(1);
    while f.engine.outstanding < MOST_OUTSTANDING {
        assert_eq!(f.send_file(other, 1), Answer::Done(1));
    }
}

/// Whatever was queued, and whoever called last: in the end nothing is corked and nothing waits.
fn all_left(f: &mut Fixture) {
    ran(f);
    assert!(f.engine.alive() && f.engine.idle());
    assert_eq!(f.kernel.socket(0), Socket::default());
}

#[test]
fn uncork_without_room_is_not_overtaken() {
    // What came before: nothing, bytes that are held, a cork that the kernel knows of.
    for (sends, flushes) in [(0, false), (1, false), (0, true), (1, true)] {
        let (mut f, flow) = uncorked(4120, true);
        f.cork(flow, true);
        for _ in 0..sends {
            assert_eq!(f.send(flow, 10), Answer::Done(10));
        }
        if flushes {
            f.engine.flush(Flush::Pass);
        }
        no_room(&mut f);
        assert_eq!(f.cork(flow, false), Answer::Done(0));
        all_left(&mut f);
    }
}

#[test]
fn cork_without_room_is_the_programs_own() {
    for unknown in [true, false] {
        let (mut f, mut flow) = uncorked(4130, true);
        if unknown {
            flow = f.flow(0);
        }
        no_room(&mut f);
        assert_eq!(f.cork(flow, true), Answer::Pass(Why::Room));
        assert!(f.kernel.socket(0).corked);
        // With room for the uncork, and without.
        if unknown {
            f.kernel.work(u32::MAX);
        }
        f.cork(flow, true);
        f.cork(flow, false);
        all_left(&mut f);
    }
}

/// However often: what waits has a bound, and the last call counts.
#[test]
fn corks_without_room_come_to_an_end() {
    let (mut f, flow) = uncorked(4140, true);
    no_room(&mut f);
    for _ in 0..2000 {
        f.cork(flow, true);
        f.engine.flush(Flush::Pass);
        f.cork(flow, false);
    }
    assert!(f.kernel.held().1 <= MOST_OUTSTANDING as usize + 2);
    all_left(&mut f);
}

#[test]
fn uncork_of_a_flow_that_was_given_up() {
    for served in [true, false] {
        for (sends, flushes) in [(0, false), (1, false), (0, true), (1, true)] {
            let (mut f, flow) = uncorked(4150, served);
            f.cork(flow, true);
            for _ in 0..sends {
                f.send(flow, 10);
            }
            if flushes {
                f.engine.flush(Flush::Pass);
            }
            f.leave(flow);
            assert!(f.engine.idle() && !f.is_flow(flow));
            assert_eq!(f.cork(flow, false), Answer::Pass(Why::Gone));
            all_left(&mut f);
        }
    }
}

/// There is room for an uncork of every flow, and a batch more.
#[test]
fn every_flow_can_be_uncorked() {
    let mut f = Fixture::new(5000, true);
    let flows: Vec<_> = (0..MAX_FLOWS as u16).map(|i| f.flow(i)).collect();
    for flow in &flows {
        assert_eq!(f.cork(*flow, true), Answer::Done(0));
    }
    while f.engine.outstanding < MOST_OUTSTANDING {
        assert_eq!(f.send_file(flows[1], 1), Answer::Done(1));
    }
    for flow in &flows {
        assert_eq!(f.cork(*flow, false), Answer::Done(0));
    }
    assert_eq!(f.wait(1), Some(0));
    assert_eq!(f.kernel.held(), (0, MOST_OUTSTANDING as usize + MAX_FLOWS));
    all_left(&mut f);
}

/// As a fork or the end of the thread does.
#[test]
fn flows_of_a_thread_are_given_up() {
    let (mut f, flow) = uncorked(4160, true);
    f.engine.id = 4160;
    fds::set(f.fd(0), State::flow(4160, flow));
    f.cork(flow, true);
    f.send(flow, 10);
    f.engine.flush(Flush::Process);
    assert_eq!(f.kernel.socket(0), Socket::default());
    crate::setup::leave_all(&mut f.engine, Why::Shared);
    assert!(f.engine.idle() && !f.is_flow(flow));
    f.cork(flow, false);
    all_left(&mut f);
}

/// The way of the hooks: through the engine of the thread.
#[test]
fn giving_up_is_leaving() {
    let (mut f, flow) = uncorked(4170, true);
    f.cork(flow, true);
    f.send(flow, 10);
    crate::tls::set_engine(&raw mut *f.engine);
    crate::early::give_up(f.fd(0), Why::Shared);
    crate::tls::set_engine(std::ptr::null_mut());
    assert!(f.engine.idle() && !f.is_flow(flow));
    f.cork(flow, false);
    all_left(&mut f);
}

fn count(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[test]
fn parts_of_files_directly_behind_bytes_are_counted() {
    let mut f = Fixture::new(4180, false);
    let flows = [f.flow(0), f.flow(1)];
    let joined = |f: &Fixture| count(&f.engine.counters.joined);
    f.send(flows[0], 10);
    f.send_file(flows[0], 10);
    assert_eq!(joined(&f), 1);
    f.send_file(flows[0], 10);
    f.send(flows[0], 10);
    f.send_file(flows[1], 10);
    f.send_file(flows[0], 10);
    assert_eq!(joined(&f), 1, "no bytes, or those of another flow");
    f.send(flows[0], 10);
    f.engine.sync(Flush::Pass);
    let fd = f.base + 15;
    f.send(flows[1], 10);
    f.engine.close_any(fd, State::candidate(true, 1));
    f.send_file(flows[0], 10);
    f.send_file(flows[1], 10);
    assert_eq!(joined(&f), 1, "of another batch, or something in between");
}

#[test]
fn toggles_without_an_entry_are_counted() {
    let (mut f, flow) = uncorked(4200, false);
    let folded = |f: &Fixture| count(&f.engine.counters.folded);
    assert_eq!(folded(&f), 0);
    // A pair, with one that changes nothing.
    for on in [true, true, false] {
        f.cork(flow, on);
    }
    assert_eq!((folded(&f), ran(&mut f).len()), (3, 0));
    // The uncork is queued, the cork is not.
    f.cork(flow, true);
    f.send(flow, 10);
    f.cork(flow, false);
    assert_eq!(folded(&f), 4);
    assert_eq!(ran(&mut f), ["send more", "uncork"]);
    // Both are queued.
    f.cork(flow, true);
    f.send(flow, 10);
    f.engine.sync(Flush::Pass);
    f.cork(flow, false);
    assert_eq!(folded(&f), 4);
}

#[test]
fn closes_say_why_they_are_made() {
    let mut f = Fixture::new(4210, false);
    let flow = f.flow(0);
    let (fd, file) = (f.fd(0), f.base + 15);
    let untracked = f.base + 16;
    let of = |f: &mut Fixture, fd| f.engine.close_any(fd, fds::get(fd));
    assert_eq!(of(&mut f, untracked), Answer::Pass(Why::Idle));
    fds::set_file(file);
    f.send(flow, 10);
    assert_eq!(of(&mut f, file), Answer::Pass(Why::File));
    assert!(f.engine.idle(), "it was behind what was queued");
    fds::set_size(file, 100);
    f.send(flow, 10);
    assert_eq!(of(&mut f, untracked), Answer::Pass(Why::Other));
    f.send(flow, 10);
    assert_eq!(of(&mut f, file), Answer::Done(0));
    fds::set_file(file);
    fds::set_size(file, 100);

    // Of a connection that goes straight through, if nobody else has it.
    for (why, answer) in [
        (Why::Other, Answer::Done(0)),
        (Why::Shutdown, Answer::Done(0)),
        (Why::Shared, Answer::Pass(Why::Shared)),
        (Why::Blocking, Answer::Pass(Why::Blocking)),
    ] {
        let through = f.base + 14;
        fds::set(through, State::through(why));
        f.engine.sync(Flush::Pass);
        assert_eq!(of(&mut f, through), Answer::Pass(Why::Idle));
        f.send(flow, 10);
        assert_eq!(of(&mut f, through), answer);
    }
    f.send(flow, 10);

    f.engine.barred = Calls::of(Call::Close);
    assert_eq!(of(&mut f, fd), Answer::Pass(Why::Region));
    f.send(flow, 10);
    assert_eq!(of(&mut f, file), Answer::Done(0));
    let passed = &f.engine.counters.passed[Call::Close as usize];
    assert_eq!(passed.iter().map(count).sum::<u64>(), 9);
}
