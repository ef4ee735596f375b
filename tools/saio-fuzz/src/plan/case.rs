// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of a case.

use rand::{Rng, SeedableRng};

use super::calls;
use super::flows::{connection, flow_work};
use super::life::{failing, identity, life};
use super::number::{once_in, pick, Random};
use super::op::{FileKind, Op};
use super::pools::{make_pool, pool_step};
use super::rings::{attach, batch, ring_step, setup};
use super::slots;

/// A user that has nothing, and whose memory the supervisor looks after.
pub const NOBODY: u32 = 4242;

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Whether it has a network namespace of its own.
    pub own_net: bool,
    /// What it does.
    pub ops: Vec<Op>,
}

/// The case of this number.
pub fn case(seed: u64, number: u64) -> Case {
    let mut random = Random::seed_from_u64(seed);
    random.set_stream(number);
    let random = &mut random;
    let own_net = once_in(random, 16);
    let mut ops = prologue(random);
    let length = pick(random, &[10, 30, 30, 60, 120]);
    let weights = Weights::draw(random);
    for _ in 0..length {
        step(random, &weights, 0, &mut ops);
    }
    Case { own_net, ops }
}

/// How likely kinds of steps are in a case: cases differ in what they are about.
pub(super) struct Weights([u32; 9]);

impl Weights {
    fn draw(random: &mut Random) -> Self {
        let usual = [24, 14, 10, 10, 3, 3, 2, 2, 2];
        Self(usual.map(|weight| match random.random_range(0..6) {
            0 => 0,
            1 => weight * 4,
            _ => weight,
        }))
    }

    /// Index of a kind.
    fn choose(&self, random: &mut Random) -> usize {
        let sum = self.0.iter().sum::<u32>().max(1);
        let mut left = random.random_range(0..sum);
        for (kind, weight) in self.0.iter().enumerate() {
            if left < *weight {
                return kind;
            }
            left -= weight;
        }
        0
    }
}

/// What most cases begin with: a ring, connections with flows, files, a pool.
fn prologue(random: &mut Random) -> Vec<Op> {
    let mut ops = vec![];
    if once_in(random, 3) {
        ops.push(Op::Storm {
            period: pick(random, &[300, 1000, 5000]),
        });
    }
    if once_in(random, 8) {
        ops.push(identity(random));
    }
    ops.push(setup(random, 0, true));
    for fd in 0..random.random_range(0..3) {
        let kind = FileKind::Tmp(pick(random, &[100, 5000, 100_000, 300_000]));
        ops.push(Op::Open {
            fd: slots::FILES + fd,
            kind,
        });
    }
    if once_in(random, 2) {
        let attach = attach(random, 0);
        if let Op::Attach {
            name: name @ 2.., ..
        } = attach
        {
            ops.push(make_pool(random, name));
        }
        ops.push(attach);
    }
    for pair in 0..random.random_range(0..7) {
        ops.push(Op::Connect(connection(random, pair)));
        ops.push(Op::Register {
            ring: 0,
            fd: slots::SOCKETS + pair,
            flow: pair,
            read_only: once_in(random, 40),
        });
    }
    if once_in(random, 2) {
        ops.push(Op::Open {
            fd: slots::EPOLL,
            kind: FileKind::Epoll,
        });
    }
    ops
}

pub(super) fn step(random: &mut Random, weights: &Weights, depth: u32, ops: &mut Vec<Op>) {
    match weights.choose(random) {
        0 => batch(random, ops),
        1 => flow_work(random, ops),
        2 => ops.push(ring_step(random)),
        3 => ops.push(file_step(random)),
        4 => ops.push(pool_step(random)),
        5 => ops.push(Op::Direct(if once_in(random, 8) {
            calls::of_saio(random)
        } else {
            calls::allowed(random)
        })),
        6 => ops.push(life(random, weights, depth)),
        7 => ops.push(identity(random)),
        _ => ops.push(failing(random)),
    }
}

fn file_step(random: &mut Random) -> Op {
    match random.random_range(0..10) {
        0..3 => {
            let kind = match random.random_range(0..4) {
                0 => FileKind::Memory(pick(random, &[0, 100, 50_000])),
                1 => FileKind::Root(random.random_range(0..8)),
                _ => FileKind::Tmp(pick(random, &[0, 1, 4096, 40_000, 200_000])),
            };
            Op::Open {
                fd: slots::file(random),
                kind,
            }
        }
        3 => {
            let kind = pick(
                random,
                &[
                    FileKind::Pipe,
                    FileKind::Epoll,
                    FileKind::Event,
                    FileKind::Timer,
                    FileKind::UnixPair,
                    FileKind::Zero,
                ],
            );
            let fd = if kind == FileKind::Epoll {
                slots::EPOLL
            } else {
                slots::OTHERS + random.random_range(0..slots::OTHER_COUNT - 1)
            };
            Op::Open { fd, kind }
        }
        4 => Op::Close(slots::any(random)),
        5 => Op::Dup {
            from: slots::any(random),
            onto: slots::any(random),
        },
        6 => Op::Pass {
            fd: slots::any(random),
            take: once_in(random, 2),
        },
        7 => Op::Sleep {
            us: random.random_range(1..3000),
        },
        _ => {
            let name = pick(
                random,
                &[
                    "epoll_ctl",
                    "epoll_wait",
                    "fcntl",
                    "close_range",
                    "ftruncate",
                    "write",
                    "poll",
                ],
            );
            Op::Direct(calls::named(random, name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_gives_the_same_case() {
        for number in 0..200 {
            assert_eq!(case(7, number), case(7, number));
        }
        assert_ne!(case(7, 1), case(7, 2));
        assert_ne!(case(7, 1), case(8, 1));
    }

    /// Name of a step, without what it holds.
    fn kind(op: &Op) -> String {
        let text = format!("{op:?}");
        text.split([' ', '(']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn every_kind_of_step_comes_up() {
        let mut kinds = BTreeSet::new();
        for number in 0..300 {
            kinds.extend(case(1, number).ops.iter().map(kind));
        }
        assert_eq!(kinds.len(), 33, "{kinds:?}");
    }

    #[test]
    fn slots_are_within_their_tables() {
        for number in 0..300 {
            for op in case(2, number).ops {
                match op {
                    Op::Close(fd) | Op::Fdinfo(fd) => assert!(fd < slots::FDS),
                    Op::Open { fd, .. } => assert!(fd + 1 < slots::FDS),
                    Op::Connect(connection) => assert!(connection.pair < slots::PAIRS),
                    _ => {}
                }
            }
        }
    }
}
