// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: random programs of allowed calls leave the same state, one by one and in batches of
//! several lengths with links in them: results, what the calls write to memory, files with their bytes
//! and modes, and the table of descriptors. A program that does not is named by its seed;
//! `SAIO_TEST_SEED` begins with it.

mod generate;

use self::generate::{program, Memory, Step, MOST, SLOT};
use crate::harness::*;
use std::{collections::BTreeMap, fs};

const PROGRAMS: u64 = 200;
/// No program gets above so many descriptors.
const NUMBERS: i32 = 80;
const SEED: &str = "SAIO_TEST_SEED";

pub fn run() {
    let seed = std::env::var(SEED).ok();
    let first: u64 = seed.map_or(1, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{SEED} is a number, not {text:?}"))
    });
    // SAFETY: no handler is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let mut both = Both {
        ring: RawRing::new(),
        memory: Box::new([0; MOST * SLOT]),
        home: std::env::current_dir()
            .expect("there is one")
            .display()
            .to_string(),
    };
    let (mut calls, mut good, mut cancelled) = (0, 0, 0);
    for seed in first..first + PROGRAMS * u64::from(repeat()) {
        let results = both.compare(seed);
        calls += results.len();
        good += results.iter().filter(|result| **result >= 0).count();
        let canceled = neg(libc::ECANCELED);
        cancelled += results.iter().filter(|result| **result == canceled).count();
    }
    // Programs that do nothing prove nothing.
    assert!(good > calls / 4, "{good} of {calls} calls succeed");
    assert!(
        cancelled > calls / 20,
        "{cancelled} of {calls} are cancelled"
    );
}

/// What a program leaves.
struct State {
    /// Batch by batch.
    results: Vec<Vec<i64>>,
    memory: Vec<u8>,
    files: BTreeMap<String, Node>,
    descriptors: Vec<String>,
}

struct Both {
    ring: RawRing,
    /// At the same place for both.
    memory: Box<Memory>,
    /// The test's directory.
    home: String,
}

impl Both {
    /// Runs a program both ways; its results.
    fn compare(&mut self, seed: u64) -> Vec<i64> {
        let first = next_fd();
        let program = program(seed, first, &mut self.memory);
        let single = self.run(&program, first, |_, batch| {
            one_by_one(batch).into_iter().map(Some).collect()
        });
        let batched = self.run(&program, first, |ring, batch| {
            let entries: Vec<Sqe> = batch.iter().map(Step::sqe).collect();
            ring.run_sparse(&entries)
        });
        let which = format!("{SEED}={seed}");
        for (number, batch) in program.iter().enumerate() {
            let (single, batched) = (&single.results[number], &batched.results[number]);
            for (place, step) in batch.iter().enumerate() {
                let (alone, in_batch) = (single[place], batched[place]);
                // Success that is not told is known by what it leaves.
                let same = alone == in_batch || in_batch == UNTOLD && alone >= 0;
                assert!(
                    same,
                    "{which}: batch {number}, entry {place}, {step:x?}: {} alone, {} in the batch",
                    show(alone),
                    show(in_batch)
                );
            }
        }
        assert_eq!(single.files, batched.files, "{which}");
        assert_eq!(single.descriptors, batched.descriptors, "{which}");
        let differs = single.memory.iter().zip(&batched.memory);
        let differs = differs.into_iter().position(|(a, b)| a != b);
        assert!(
            differs.is_none(),
            "{which}: memory of call {:?} differs",
            differs.map(|at| at / SLOT)
        );
        single.results.concat()
    }

    /// Runs a program in a directory of its own, each batch by `run`.
    fn run(
        &mut self,
        program: &[Vec<Step>],
        first: i32,
        run: impl Fn(&mut RawRing, &[Step]) -> Vec<Option<i64>>,
    ) -> State {
        let place = format!("{}/place", self.home);
        fs::create_dir(&place).expect("the test's directory can be written");
        std::env::set_current_dir(&place).expect("it was just made");
        self.memory.fill(0);
        sys!(libc::SYS_umask, 0o022);
        let results = program.iter().map(|batch| {
            let results = run(&mut self.ring, batch);
            let told = |(result, step): (Option<i64>, &Step)| {
                let untold = step.flags & SKIP_SUCCESS != 0;
                result.unwrap_or_else(|| {
                    assert!(untold, "an entry has no completion: {step:x?}");
                    UNTOLD
                })
            };
            results.into_iter().zip(batch).map(told).collect()
        });
        let results = results.collect();
        self.forget_what_differs(program);
        let state = State {
            results,
            memory: self.memory.to_vec(),
            files: tree(&place),
            descriptors: descriptors(first),
        };
        expect_ok!(sys!(libc::SYS_close_range, first, u32::MAX, 0));
        std::env::set_current_dir(&self.home).expect("it is still there");
        fs::remove_dir_all(&place).expect("root can");
        state
    }

    /// Leaves of what `stat` calls have written what does not depend on time and place.
    fn forget_what_differs(&mut self, program: &[Vec<Step>]) {
        for (slot, step) in self
            .memory
            .chunks_exact_mut(SLOT)
            .zip(program.iter().flatten())
        {
            if ![libc::SYS_fstat, libc::SYS_newfstatat].contains(&step.call.nr) {
                continue;
            }
            // SAFETY: the structure fits, and every bit pattern is one.
            let stat: libc::stat = unsafe { slot.as_ptr().cast::<libc::stat>().read_unaligned() };
            slot.fill(0);
            let kept = [stat.st_mode.into(), stat.st_nlink, stat.st_size as u64];
            for (bytes, value) in slot.chunks_exact_mut(8).zip(kept) {
                bytes.copy_from_slice(&value.to_ne_bytes());
            }
        }
    }
}

/// In place of the result of an entry without completion; no call has it.
const UNTOLD: i64 = i64::MIN;

/// Makes the calls of a batch one by one; chains as `docs/abi.md` has them.
fn one_by_one(batch: &[Step]) -> Vec<i64> {
    let mut results: Vec<i64> = Vec::new();
    let mut broken = false;
    for step in batch {
        let mut call = step.call;
        let source = step.source.map(|(arg, back)| {
            let result = results[results.len() - back as usize];
            call.args[arg as usize] = result as u64;
            result
        });
        let result = if broken || source.is_some_and(|result| result < 0) {
            neg(libc::ECANCELED)
        } else {
            call.run()
        };
        results.push(result);
        if step.flags & (LINK | HARDLINK) == 0 {
            broken = false;
        } else if step.flags & LINK != 0 && result < 0 {
            broken = true;
        }
    }
    results
}

/// The descriptors from `first` on: what they lead to, position and flags.
fn descriptors(first: i32) -> Vec<String> {
    let describe = |number: i32| {
        let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
        // Numbers of inodes differ.
        let target = target.display().to_string();
        let target = match target.split_once(":[") {
            Some((kind @ ("pipe" | "socket"), _)) => kind.to_owned(),
            _ => target,
        };
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let kept = ["pos:", "flags:", "eventfd-count:"];
        let lines = info.lines();
        let lines = lines.filter(|line| kept.iter().any(|name| line.starts_with(name)));
        let lines: Vec<&str> = lines.collect();
        Some(format!("{number} {target} {}", lines.join(" ")))
    };
    (first..first + NUMBERS).filter_map(describe).collect()
}
