// SPDX-License-Identifier: GPL-2.0-or-later

//! Virtual time: who is how far, and who has to wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a vCPU waits for the others. QEMU stops all vCPUs for some things,
/// and one that waits here does not stop: without an end both would wait for
/// each other.
pub const PATIENCE: Duration = Duration::from_millis(20);

/// One vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Virtual time in instructions: what it executed and was charged, and what
    /// it slept. The quantum that is under way is not in it.
    pub time: u64,
    /// The part of it that it slept.
    pub halted: u64,
    running: bool,
}

/// Time of all vCPUs. They are added as QEMU makes them.
#[derive(Debug)]
pub struct Times {
    quantum: u64,
    cpus: Vec<Cpu>,
    quanta: u64,
    broken: u64,
}

impl Times {
    /// No vCPUs; none may get more than `quantum` instructions ahead.
    pub fn new(quantum: u64) -> Self {
        Self {
            quantum,
            cpus: Vec::new(),
            quanta: 0,
            broken: 0,
        }
    }

    /// All vCPUs.
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// Quanta that were done.
    pub fn quanta(&self) -> u64 {
        self.quanta
    }

    /// Quanta after which a vCPU went on although it was ahead.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    fn cpu(&mut self, cpu: usize) -> &mut Cpu {
        if self.cpus.len() <= cpu {
            self.cpus.resize(cpu + 1, Cpu::default());
        }
        &mut self.cpus[cpu]
    }

    /// A vCPU is there. It does not run yet.
    fn add(&mut self, cpu: usize) {
        self.cpu(cpu);
    }

    /// A vCPU executed a quantum or a little more.
    fn advance(&mut self, cpu: usize, instructions: u64) {
        let cpu = self.cpu(cpu);
        cpu.time += instructions;
        cpu.running = true;
        self.quanta += 1;
    }

    /// A vCPU sleeps. Nobody waits for it.
    fn halt(&mut self, cpu: usize) {
        self.cpu(cpu).running = false;
    }

    /// A vCPU was woken. It slept until now, which is as far as anyone is.
    fn resume(&mut self, cpu: usize) {
        let now = self.cpus.iter().map(|cpu| cpu.time).max().unwrap_or(0);
        let cpu = self.cpu(cpu);
        let slept = now.saturating_sub(cpu.time);
        cpu.time += slept;
        cpu.halted += slept;
        cpu.running = true;
    }

    /// Time of the running vCPU that is furthest behind; none runs: the end of
    /// time.
    fn slowest(&self) -> u64 {
        let running = self.cpus.iter().filter(|cpu| cpu.running);
        running.map(|cpu| cpu.time).min().unwrap_or(u64::MAX)
    }

    fn is_ahead(&self, cpu: usize) -> bool {
        self.cpus[cpu].time > self.slowest().saturating_add(self.quantum)
    }
}

/// Virtual time that the threads of all vCPUs share.
#[derive(Debug)]
pub struct Clock {
    times: Mutex<Times>,
    patience: Duration,
    /// The slowest vCPU is no longer where it was.
    moved: Condvar,
}

impl Clock {
    /// See [`Times::new`]; a vCPU that is ahead waits for `patience` at most.
    pub fn new(quantum: u64, patience: Duration) -> Self {
        Self {
            times: Mutex::new(Times::new(quantum)),
            patience,
            moved: Condvar::new(),
        }
    }

    /// The times as they are. Everybody who wants to change them waits.
    pub fn times(&self) -> MutexGuard<'_, Times> {
        // A thread that panicked has ended QEMU.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A vCPU is there.
    pub fn add(&self, cpu: usize) {
        self.times().add(cpu);
    }

    /// A vCPU sleeps.
    pub fn halt(&self, cpu: usize) {
        self.times().halt(cpu);
        self.moved.notify_all();
    }

    /// A vCPU was woken.
    pub fn resume(&self, cpu: usize) {
        self.times().resume(cpu);
    }

    /// A vCPU has done its quantum: takes its instructions from `counter`,
    /// under the lock, and waits until it is not ahead any more or out of
    /// patience.
    pub fn advance(&self, cpu: usize, counter: impl FnOnce() -> u64) {
        let mut times = self.times();
        let before = times.slowest();
        times.advance(cpu, counter());
        if times.slowest() > before {
            self.moved.notify_all();
        }
        let (mut times, waited) = self
            .moved
            .wait_timeout_while(times, self.patience, |times| times.is_ahead(cpu))
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            times.broken += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Instant;

    const FOREVER: Duration = Duration::from_secs(600);

    fn two(first: u64, second: u64) -> Times {
        let mut times = Times::new(100);
        times.advance(0, first);
        times.advance(1, second);
        times
    }

    #[test]
    fn a_quantum_ahead_is_allowed_and_more_is_not() {
        assert!(!two(200, 100).is_ahead(0));
        assert!(two(201, 100).is_ahead(0));
        assert!(!two(201, 100).is_ahead(1));
    }

    #[test]
    fn alone_there_is_nobody_to_wait_for() {
        let mut times = Times::new(100);
        times.add(1);
        times.advance(0, 1000);
        assert!(!times.is_ahead(0));
    }

    #[test]
    fn nobody_waits_for_a_sleeper() {
        let mut times = two(500, 100);
        times.halt(1);
        assert!(!times.is_ahead(0));
    }

    #[test]
    fn a_sleeper_wakes_up_now() {
        let mut times = two(500, 100);
        times.halt(1);
        times.advance(0, 250);
        times.resume(1);
        assert_eq!((times.cpus()[1].time, times.cpus()[1].halted), (750, 650));
        assert!(!times.is_ahead(0));
        times.advance(1, 101);
        assert!(times.is_ahead(1));
    }

    #[test]
    fn the_furthest_sleeps_nothing() {
        let mut times = two(500, 100);
        times.halt(0);
        times.resume(0);
        assert_eq!((times.cpus()[0].time, times.cpus()[0].halted), (500, 0));
    }

    #[test]
    fn now_is_as_far_as_anyone_is_also_if_all_sleep() {
        let mut times = two(500, 100);
        times.halt(0);
        times.halt(1);
        times.resume(1);
        assert_eq!(times.cpus()[1].time, 500);
    }

    #[test]
    fn quanta_are_counted() {
        assert_eq!((two(1, 2).quanta(), two(1, 2).broken()), (2, 0));
    }

    #[test]
    fn patience_ends_and_is_counted() {
        let clock = Clock::new(100, PATIENCE);
        clock.advance(1, || 100);
        let started = Instant::now();
        clock.advance(0, || 201);
        assert!(started.elapsed() >= PATIENCE);
        assert_eq!(clock.times().broken(), 1);
    }

    #[test]
    fn the_one_ahead_goes_on_when_the_other_halts() {
        let clock = Clock::new(100, FOREVER);
        clock.advance(1, || 100);
        thread::scope(|scope| {
            let ahead = scope.spawn(|| clock.advance(0, || 201));
            thread::sleep(Duration::from_millis(10));
            assert!(!ahead.is_finished());
            clock.halt(1);
        });
        assert_eq!(clock.times().broken(), 0);
    }

    #[test]
    fn threads_stay_in_step() {
        let clock = Clock::new(100, FOREVER);
        // All are known to run before one starts.
        for cpu in 0..3 {
            clock.resume(cpu);
        }
        thread::scope(|scope| {
            for cpu in 0..3 {
                let clock = &clock;
                scope.spawn(move || {
                    for _ in 0..200 {
                        clock.advance(cpu, || 100 + cpu as u64);
                        assert!(!clock.times().is_ahead(cpu));
                    }
                    clock.halt(cpu);
                });
            }
        });
        let times = clock.times();
        assert_eq!((times.quanta(), times.broken()), (600, 0));
        let seen: Vec<u64> = times.cpus().iter().map(|cpu| cpu.time).collect();
        assert_eq!(seen, [20_000, 20_200, 20_400]);
    }
}
