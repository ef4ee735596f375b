// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use saio::arena::GRANULE;
use saio::fake::Socket;
use saio::flow::FlowRef;
use saio::sys::{SAIO_FLOW_BUSY, SAIO_FLOW_USED};

use super::*;
use crate::defer::Answer;
use crate::fds::State;
use crate::fixture::{what, Fixture, ARENA};

const EINTR: isize = -(libc::EINTR as isize);

// Each test uses descriptors of its own: they run in parallel on one table.

fn ran(f: &Fixture) -> Vec<&'static str> {
    f.kernel.ran().iter().map(what).collect()
}

/// Closes a connection that is no flow.
fn close(f: &mut Fixture, fd: i32) -> Answer {
    f.engine.close_any(fd, State::candidate(true, 1))
}

/// Without a pool the flow says when its entries have run.
#[test]
fn bytes_of_a_busy_flow_are_kept() {
    let mut f = Fixture::new(990, false);
    let flows = [f.flow(0), f.flow(1)];
    let free = f.engine.arena.available();
    f.say(0, SAIO_FLOW_BUSY);
    for flow in flows {
        assert_eq!(f.send(flow, GRANULE), Answer::Done(GRANULE as isize));
        assert_eq!(f.send_file(flow, 10), Answer::Done(10));
    }
    f.engine.flush(Flush::Pass);
    let left = |f: &Fixture| (f.engine.outstanding, free - f.engine.arena.available());
    assert_eq!(left(&f), (2, 1));
    // A look does not settle what was not taken yet.
    assert_eq!(f.send(flows[1], GRANULE), Answer::Done(GRANULE as isize));
    f.say(0, 0);
    f.engine.look_again();
    assert_eq!(left(&f), (1, 1));
    f.engine.flush(Flush::Pass);
    assert_eq!(left(&f), (0, 0));
}

/// What it has done is seen before it is busy again.
#[test]
fn flow_that_is_busy_again_and_again_keeps_no_more() {
    let mut f = Fixture::new(993, false);
    let flow = f.flow(0);
    let free = f.engine.arena.available();
    for _ in 0..5 {
        assert_eq!(f.send(flow, GRANULE), Answer::Done(GRANULE as isize));
        f.say(0, SAIO_FLOW_BUSY);
        f.engine.flush(Flush::Pass);
        assert_eq!(free - f.engine.arena.available(), 1);
        f.say(0, 0);
    }
}

/// A flow that takes the place of one is not waited for.
#[test]
fn bytes_of_a_flow_that_is_gone_are_free() {
    let mut f = Fixture::new(995, false);
    let flow = f.flow(0);
    f.say(0, SAIO_FLOW_BUSY);
    assert_eq!(f.send(flow, 10), Answer::Done(10));
    f.engine.flush(Flush::Pass);
    assert_eq!(f.engine.outstanding, 1);
    f.kernel
        .set_flow_word(0, 2 << 16 | SAIO_FLOW_USED | SAIO_FLOW_BUSY);
    f.engine.look_again();
    assert_eq!(f.engine.outstanding, 0);
}

#[test]
fn pool_may_have_taken_everything() {
    let mut f = Fixture::new(1000, true);
    let flow = f.flow(0);
    for race in [0, 1, 3] {
        for _ in 0..3 {
            assert_eq!(f.send(flow, 10), Answer::Done(10));
        }
        f.kernel.take(1);
        f.kernel.race(race);
        f.engine.flush(Flush::Pass);
        assert!(f.engine.alive() && f.engine.idle());
    }
    assert_eq!(f.kernel.held(), (0, 9));
    assert_eq!(f.engine.outstanding, 9);
    f.kernel.work(9);
    f.engine.reap();
    assert_eq!(f.engine.outstanding, 0);
    // Of three each: 1 before, and what came in between as far as there were any.
    assert_eq!(f.engine.counters.others.load(Ordering::Relaxed), 1 + 2 + 3);
}

#[test]
fn what_was_put_aside_runs() {
    let mut f = Fixture::new(1010, true);
    let flow = f.flow(0);
    f.send(flow, 10);
    assert_eq!(close(&mut f, 1019), Answer::Done(0));
    f.send(flow, 10);
    assert_eq!(f.kernel.take(9), 3);
    assert_eq!(f.engine.ring.pending(), 0);
    assert!(!f.engine.idle());
    f.engine.flush(Flush::Numbers);
    assert_eq!(ran(&f), ["close"]);
    assert!(f.engine.idle());
}

#[test]
fn failure_is_none_while_others_take() {
    let mut f = Fixture::new(1020, true);
    let flow = f.flow(0);
    f.send(flow, 10);
    f.send(flow, 10);
    f.kernel.race(1);
    f.kernel.refuse(libc::EBADFD);
    f.engine.flush(Flush::Pass);
    assert!(f.engine.alive() && f.engine.idle());

    f.send(flow, 10);
    f.kernel.refuse(libc::EBADFD);
    f.engine.flush(Flush::Pass);
    assert!(!f.engine.alive());
}

#[test]
fn last_ones_taken_with_a_failure_leave_nothing_aside() {
    let mut f = Fixture::new(1030, true);
    let flow = f.flow(0);
    f.send(flow, 10);
    close(&mut f, 1039);
    f.send(flow, 10);
    f.kernel.race(3);
    f.kernel.refuse(libc::EINTR);
    f.engine.flush(Flush::Pass);
    assert_eq!(ran(&f), ["close"]);
    assert_eq!(f.kernel.held(), (0, 2));
}

#[test]
fn full_completion_queue_leaves_the_rest() {
    let mut f = Fixture::with_completions(1040, true, 4);
    let flow = f.flow(0);
    for _ in 0..6 {
        f.send(flow, 10);
    }
    f.engine.flush(Flush::Pass);
    assert!(f.engine.alive() && !f.engine.idle());
    assert_eq!((f.engine.ring.pending(), f.kernel.held()), (2, (0, 4)));
    f.kernel.work(4);
    f.engine.flush(Flush::Pass);
    assert!(f.engine.idle());
    assert_eq!(f.kernel.held(), (0, 2));
}

#[test]
fn wait_ends_the_batch() {
    let mut f = Fixture::new(1050, true);
    let flow = f.flow(0);
    for race in [0, 1, 9] {
        f.send(flow, 10);
        close(&mut f, 1059);
        f.send(flow, 10);
        f.kernel.race(race);
        assert_eq!(f.wait(race.into()), Some(0));
        assert!(f.engine.idle());
        assert_eq!(ran(&f), ["close", "wait"]);
    }
}

#[test]
fn wait_that_was_cut_short_never_runs() {
    let mut f = Fixture::new(1060, true);
    let flow = f.flow(0);
    // Before anything, after the entry that was put aside, after one that is in the queue.
    for (race, runs) in [(3, 0), (3, 1), (0, 2)] {
        f.send(flow, 10);
        close(&mut f, 1069);
        f.send(flow, 10);
        f.kernel.race(race);
        f.kernel.interrupt(runs);
        assert_eq!(f.wait(1), Some(EINTR));
        assert!(f.engine.idle());
        assert_eq!(ran(&f), ["close", "nothing"], "{race} {runs}");
    }
    f.send(flow, 10);
    f.kernel.refuse(libc::ENOMEM);
    assert_eq!(f.wait(2), None);
    assert!(f.engine.idle());
    assert_eq!(ran(&f), ["nothing"]);
}

#[test]
fn wait_that_was_put_aside_runs_at_once_or_never() {
    let mut f = Fixture::new(1070, true);
    let flow = f.flow(0);
    f.send(flow, 10);
    f.kernel.break_rules();
    f.kernel.refuse(libc::EINTR);
    assert_eq!(f.wait(1), Some(0));
    assert_eq!(ran(&f), ["wait"]);

    f.send(flow, 10);
    f.kernel.break_rules();
    for _ in 0..=PATIENCE {
        f.kernel.refuse(libc::EBUSY);
    }
    assert_eq!(f.wait(2), None);
    assert!(!f.engine.alive());
    assert_eq!(f.kernel.held().0, 1);
}

#[derive(Clone, Debug)]
enum Step {
    Send(u16, usize),
    File(u16, usize),
    Cork(u16, bool),
    Leave(u16),
    Close,
    Flush,
    Wait,
    Take(u32),
    Work(u32),
    Look,
    Doze,
    Race(u32),
    Interrupt(u32),
    Refuse(i32),
}

const FLOWS: u16 = 3;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..FLOWS, 1usize..4000).prop_map(|(flow, len)| Step::Send(flow, len)),
        4 => (0..FLOWS, 1usize..60_000).prop_map(|(flow, len)| Step::File(flow, len)),
        2 => (0..FLOWS, any::<bool>()).prop_map(|(flow, on)| Step::Cork(flow, on)),
        1 => (0..FLOWS).prop_map(Step::Leave),
        4 => Just(Step::Close),
        1 => Just(Step::Flush),
        3 => Just(Step::Wait),
        4 => (1u32..6).prop_map(Step::Take),
        4 => (1u32..6).prop_map(Step::Work),
        1 => Just(Step::Look),
        1 => Just(Step::Doze),
        2 => (1u32..20).prop_map(Step::Race),
        1 => (0u32..6).prop_map(Step::Interrupt),
        1 => prop::sample::select(vec![libc::EINTR, libc::ENOMEM, libc::EBUSY])
            .prop_map(Step::Refuse),
    ]
}

/// What was acknowledged, to be compared with what has run.
#[derive(Default)]
struct Model {
    data: [Vec<usize>; FLOWS as usize],
    /// What the program has set last.
    corked: [bool; FLOWS as usize],
    closes: Vec<u64>,
    waits: Vec<u64>,
    /// Numbers for closes and waits.
    next: u64,
}

impl Model {
    fn step(&mut self, f: &mut Fixture, flows: &[FlowRef], step: &Step) {
        match *step {
            Step::Send(i, len) => {
                let answer = f.send(flows[usize::from(i)], len);
                self.sent(i, len, answer);
            }
            Step::File(i, len) => {
                let answer = f.send_file(flows[usize::from(i)], len);
                self.sent(i, len, answer);
            }
            Step::Cork(i, on) => {
                let flow = flows[usize::from(i)];
                f.cork(flow, on);
                self.corked[usize::from(i)] = on;
                if !on && !f.is_flow(flow) {
                    // Another connection takes its place.
                    f.flow(i);
                }
            }
            Step::Leave(i) => f.leave(flows[usize::from(i)]),
            Step::Close => {
                self.next += 1;
                let fd = f.base + 10 + (self.next % 400) as i32;
                if close(f, fd) == Answer::Done(0) {
                    self.closes.push(fd as u64);
                }
            }
            Step::Flush => {
                f.engine.flush(Flush::Pass);
                self.flushed(f);
            }
            Step::Wait => {
                self.next += 1;
                match f.wait(self.next) {
                    Some(0) => self.waits.push(self.next),
                    other => assert!(other.is_none() || other == Some(EINTR)),
                }
                self.flushed(f);
            }
            Step::Take(n) => {
                f.kernel.take(n);
            }
            Step::Work(n) => f.kernel.work(n),
            Step::Look => f.kernel.look(),
            Step::Doze => f.kernel.doze(),
            Step::Race(n) => f.kernel.race(n),
            Step::Interrupt(n) => f.kernel.interrupt(n),
            Step::Refuse(errno) => f.kernel.refuse(errno),
        }
    }

    fn sent(&mut self, flow: u16, len: usize, answer: Answer) {
        match answer {
            Answer::Done(n) => {
                assert_eq!(n, len as isize);
                self.data[usize::from(flow)].push(len);
            }
            other => assert!(matches!(other, Answer::Pass(_)), "{other:?}"),
        }
    }

    fn flushed(&self, f: &mut Fixture) {
        assert!(f.engine.alive() && f.engine.idle());
        assert_eq!(f.engine.ring.pending(), 0);
        assert_eq!(f.kernel.held().0, 0, "ordinary entries are left");
    }

    /// All that was acknowledged has run, once and in order, and nothing else. Once the program
    /// has uncorked, nothing is held back.
    fn end(&self, f: &mut Fixture, flows: &[FlowRef]) {
        for (flow, _) in flows.iter().zip(self.corked).filter(|(_, on)| *on) {
            f.cork(*flow, false);
        }
        f.engine.flush(Flush::Process);
        self.flushed(f);
        f.kernel.work(u32::MAX);
        f.engine.look_again();
        for flow in flows {
            assert_eq!(f.kernel.socket(flow.index()), Socket::default());
        }
        assert_eq!(f.engine.outstanding, 0);
        // All but the constants.
        assert_eq!(f.engine.arena.available(), ARENA as usize / GRANULE - 1);

        let (mut data, mut closes, mut waits) = (<[Vec<usize>; 3]>::default(), vec![], vec![]);
        for sqe in f.kernel.ran() {
            let flow = flows
                .iter()
                .position(|flow| flow.raw() == (sqe.args[0] >> 32) as u32);
            match (what(&sqe), flow) {
                ("send" | "send more", Some(flow)) => data[flow].push(sqe.args[2] as usize),
                ("file", Some(flow)) => data[flow].push(sqe.args[3] as usize),
                ("cork" | "uncork", Some(_)) | ("nothing", None) => {}
                ("close", None) => closes.push(sqe.args[0]),
                ("wait", None) => waits.push(sqe.args[1]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(data, self.data);
        assert_eq!(closes, self.closes);
        assert_eq!(waits, self.waits);
    }
}

proptest! {
    /// Whatever others take, and whenever: what was acknowledged runs once and in its order, and a
    /// wait runs when it is asked for or never.
    #[test]
    fn entries_run_once_whoever_takes_them(
        served: bool,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut f = Fixture::new(2000, served);
        let flows: Vec<_> = (0..FLOWS).map(|i| f.flow(i)).collect();
        let mut model = Model::default();
        for step in &steps {
            model.step(&mut f, &flows, step);
        }
        model.end(&mut f, &flows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same with a thread that takes while all of that is going on.
    #[test]
    fn entries_run_once_beside_a_thread(steps in prop::collection::vec(step(), 200..600)) {
        let mut f = Fixture::new(3000, true);
        let flows: Vec<_> = (0..FLOWS).map(|i| f.flow(i)).collect();
        let mut model = Model::default();
        let (kernel, stop) = (f.kernel.clone(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    kernel.take(n % 4);
                    kernel.work(n % 3);
                    if n % 5 == 0 {
                        thread::yield_now();
                    }
                }
            });
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for step in &steps {
                    model.step(&mut f, &flows, step);
                }
            }));
            stop.store(true, Ordering::Relaxed);
            if let Err(panic) = done {
                std::panic::resume_unwind(panic);
            }
        });
        model.end(&mut f, &flows);
    }
}
