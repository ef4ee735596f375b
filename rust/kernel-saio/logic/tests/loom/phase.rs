// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A flow that its owner begins and finishes without the lock, while others have it: it is run by
//! one at a time, nothing that was left to who runs it stays, and it ends once.

use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard,
    },
    thread,
};
use saio_logic::phase::{Phase, PhaseWord};

#[derive(Default)]
struct State {
    queued: u32,
    leaving: bool,
    detached: u32,
}

struct Flow {
    word: PhaseWord,
    state: Mutex<State>,
    /// Operations that were done; only who runs the flow touches it.
    done: UnsafeCell<u32>,
    /// Somebody waits until the flow is idle.
    wanted: AtomicBool,
}

impl Flow {
    fn new() -> Self {
        Self {
            word: PhaseWord::new(),
            state: Mutex::new(State::default()),
            done: UnsafeCell::new(0),
            wanted: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> (MutexGuard<'_, State>, Phase) {
        let state = self.state.lock().unwrap();
        let phase = self.word.freeze();
        (state, phase)
    }

    fn unlock(&self, state: MutexGuard<'_, State>, phase: Phase) {
        self.word.thaw(phase, state.queued == 0 && !state.leaving);
    }

    fn run_one(&self) {
        // SAFETY: loom says if it is not so.
        self.done.with_mut(|done| unsafe { *done += 1 });
    }

    /// As `Batch::flow_entry` and `Flow::finish`.
    fn entry(&self) {
        if !self.word.begin() {
            return self.enqueue();
        }
        self.run_one();
        if !self.word.finish() {
            self.drain();
        }
    }

    fn enqueue(&self) {
        let (mut state, phase) = self.lock();
        if state.detached != 0 {
            return self.unlock(state, phase);
        }
        state.queued += 1;
        self.unlock(state, phase);
        if phase == Phase::Idle {
            self.work();
        }
    }

    /// The workqueue's turn.
    fn work(&self) {
        let (state, phase) = self.lock();
        if phase != Phase::Idle || state.queued == 0 {
            return self.unlock(state, phase);
        }
        self.unlock(state, Phase::Running);
        self.drain();
    }

    fn drain(&self) {
        loop {
            let (mut state, phase) = self.lock();
            assert_eq!(phase, Phase::Running);
            if state.queued == 0 {
                // As `rest`.
                self.wanted.store(false, Ordering::SeqCst);
                if state.leaving {
                    state.detached += 1;
                }
                return self.unlock(state, Phase::Idle);
            }
            state.queued -= 1;
            self.unlock(state, Phase::Running);
            self.run_one();
        }
    }

    fn busy(&self) -> bool {
        let (state, phase) = self.lock();
        let busy = phase == Phase::Running || state.queued != 0;
        self.unlock(state, phase);
        busy
    }

    /// As `saio_sock_turn_away`.
    fn turned_away(&self) -> bool {
        if !self.busy() {
            return false;
        }
        self.wanted.store(true, Ordering::SeqCst);
        if self.busy() {
            return true;
        }
        self.wanted.store(false, Ordering::SeqCst);
        false
    }

    fn close(&self) {
        let (mut state, phase) = self.lock();
        state.leaving = true;
        if phase == Phase::Idle && state.queued == 0 {
            state.detached += 1;
            return self.unlock(state, Phase::Failed);
        }
        self.unlock(state, phase);
    }

    fn done(&self) -> u32 {
        // SAFETY: As above.
        self.done.with(|done| unsafe { *done })
    }
}

/// What the owner does with two entries, and another thread meanwhile.
fn beside(other: fn(&Flow), check: fn(&Flow)) {
    loom::model(move || {
        let flow = Arc::new(Flow::new());
        let there = {
            let flow = flow.clone();
            thread::spawn(move || other(&flow))
        };
        flow.entry();
        flow.entry();
        there.join().unwrap();
        check(&flow);
    });
}

#[test]
fn what_another_queues_is_run_by_somebody() {
    beside(Flow::enqueue, |flow| {
        assert_eq!(flow.done(), 3);
        assert!(flow.word.begin(), "left frozen");
    });
}

#[test]
fn who_is_turned_away_is_let_go() {
    beside(
        |flow| {
            flow.turned_away();
        },
        |flow| {
            assert_eq!(flow.done(), 2);
            assert!(!flow.wanted.load(Ordering::SeqCst), "nobody tells it");
        },
    );
}

#[test]
fn it_ends_once() {
    beside(Flow::close, |flow| {
        let state = flow.state.lock().unwrap();
        assert_eq!(state.detached, 1);
        assert!(!flow.word.begin());
    });
}
