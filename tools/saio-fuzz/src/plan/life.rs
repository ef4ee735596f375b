// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes, threads, signals, identities, and allocations that fail.

use rand::Rng;

use super::case::{step, Weights, NOBODY};
use super::flows::disturb;
use super::number::{any32, once_in, pick, Random};
use super::op::{Filter, Op, User, Who};
use super::pools::pool_step;
use super::rings::{enter, setup};
use super::slots;

/// Forks, threads, signals, and the end.
pub(super) fn life(random: &mut Random, weights: &Weights, depth: u32) -> Op {
    let inner = |random: &mut Random, length: usize| {
        let mut ops = vec![];
        for _ in 0..length {
            step(random, weights, depth + 1, &mut ops);
        }
        ops
    };
    match random.random_range(0..24) {
        0..6 if depth < 2 => {
            let length = random.random_range(1..8);
            let ops = inner(random, length);
            Op::Fork {
                ops,
                wait: once_in(random, 2),
            }
        }
        6..10 if depth < 2 => {
            let length = random.random_range(1..8);
            let ops = inner(random, length);
            Op::Thread {
                ops,
                times: pick(random, &[1, 3, 20]),
            }
        }
        10..14 if depth < 2 => scribbler(random),
        14 => Op::Exec,
        15 => Op::Exit,
        16 => Op::Kill {
            who: pick(random, &[Who::Me, Who::Child, Who::Child, Who::MyThread]),
            signal: libc::SIGKILL as u8,
        },
        17..20 => Op::Kill {
            who: pick(random, &[Who::Me, Who::Child, Who::MyThread]),
            signal: random.random_range(0..40),
        },
        _ => Op::Storm {
            period: pick(random, &[0, 200, 1000, 10_000]),
        },
    }
}

/// A thread that overwrites what is shared, again and again.
pub(super) fn scribbler(random: &mut Random) -> Op {
    let ring = slots::ring(random);
    let length = random.random_range(1..6);
    let ops = (0..length)
        .map(|_| {
            let offset = match random.random_range(0..4) {
                // Control words, entries and completions, the arena's tables.
                0 => 4 * random.random_range(0..48),
                1 => random.random_range(0..8192) & !3,
                2 => u32::MAX - 3 - (random.random_range(0..262_144) & !3),
                _ => random.random_range(0..65_536) & !3,
            };
            Op::Scribble {
                ring,
                offset,
                value: any32(random),
            }
        })
        .collect();
    Op::Thread {
        ops,
        times: pick(random, &[50, 1000, 20_000]),
    }
}

pub(super) fn identity(random: &mut Random) -> Op {
    match random.random_range(0..10) {
        0..4 => {
            let calls = [1, 3, 20, 40, 44, 46, 48, 54, 39, 110, 1000, 1001, 1002, 202];
            let nr = if once_in(random, 5) {
                random.random_range(0..463)
            } else {
                pick(random, &calls)
            };
            let arg =
                once_in(random, 2).then(|| (random.random_range(0..6), random.random_range(0..8)));
            let action = pick(
                random,
                &[
                    libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
                    libc::SECCOMP_RET_ERRNO,
                    libc::SECCOMP_RET_ALLOW,
                    libc::SECCOMP_RET_LOG,
                    libc::SECCOMP_RET_TRAP,
                    libc::SECCOMP_RET_TRACE,
                    libc::SECCOMP_RET_USER_NOTIF,
                    libc::SECCOMP_RET_KILL_THREAD,
                    libc::SECCOMP_RET_KILL_PROCESS,
                ],
            );
            Op::Filter(Filter { nr, arg, action })
        }
        4 | 5 => Op::User(User::Nobody(NOBODY + random.random_range(0..2))),
        6 => Op::User(User::ThreadOnly(NOBODY + random.random_range(0..2))),
        7 => Op::User(User::Group(NOBODY)),
        8 => Op::User(User::NoCaps),
        _ => Op::User(User::MemLock(pick(random, &[0, 4096, 500_000, 8 << 20]))),
    }
}

pub(super) fn failing(random: &mut Random) -> Op {
    let op = match random.random_range(0..12) {
        0..3 => {
            let ring = slots::ring(random);
            setup(random, ring, true)
        }
        3..5 => Op::Register {
            ring: 0,
            fd: slots::own_socket(random),
            flow: slots::flow(random),
            read_only: once_in(random, 8),
        },
        5 | 6 => pool_step(random),
        7 => {
            let pair = random.random_range(0..4);
            disturb(random, pair)
        }
        _ => {
            let ring = slots::ring(random);
            enter(random, ring)
        }
    };
    Op::Fail {
        nth: random.random_range(1..20),
        op: Box::new(op),
    }
}
