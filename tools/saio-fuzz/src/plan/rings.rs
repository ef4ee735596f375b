// SPDX-License-Identifier: MIT OR Apache-2.0

//! Steps on rings: entries and what is done with them, shared words, making and mapping.

use rand::Rng;
use saio::sys;

use super::calls;
use super::entry;
use super::number::{any, any32, edge, once_in, pick, Random};
use super::op::{EnterArg, Index, Op};
use super::slots;

/// Entries, published and submitted, and what comes of them.
pub(super) fn batch(random: &mut Random, ops: &mut Vec<Op>) {
    let ring = slots::ring(random);
    for _ in 0..pick(random, &[1, 1, 2, 4, 8]) {
        ops.extend(
            entry::some(random)
                .into_iter()
                .map(|entry| Op::Put { ring, entry }),
        );
    }
    submit(random, ring, ops);
}

pub(super) fn submit(random: &mut Random, ring: u8, ops: &mut Vec<Op>) {
    let tail = match random.random_range(0..40) {
        0 => Index::Raw(any32(random)),
        1 => Index::Off(random.random_range(-3..300)),
        _ => Index::Right,
    };
    ops.push(Op::Publish { ring, tail });
    match random.random_range(0..12) {
        0 => {}
        1 => ops.push(Op::Wake(ring)),
        _ => ops.push(enter(random, ring)),
    }
    if !once_in(random, 6) {
        let head = if once_in(random, 40) {
            Index::Raw(any32(random))
        } else {
            Index::Right
        };
        ops.push(Op::Reap { ring, head });
    }
}

pub(super) fn enter(random: &mut Random, ring: u8) -> Op {
    let submit = pick(random, &[64, 64, 64, 256, 4096, 1, 2, 0, u32::MAX]);
    let complete = match random.random_range(0..8) {
        0 => random.random_range(0..20),
        1 => 1,
        2 if once_in(random, 8) => any32(random),
        _ => 0,
    };
    let flags = match random.random_range(0..24) {
        0 => any32(random),
        1..6 => sys::SAIO_ENTER_WAKEUP,
        _ => 0,
    };
    let arg = match random.random_range(0..16) {
        0 => EnterArg::Wild(calls::wild(random), any(random)),
        1 => EnterArg::Given(any(random), any(random), any(random)),
        2..5 => EnterArg::Given(0, 0, 16),
        5..10 => EnterArg::Given(random.random_range(1..5_000_000), 0, 16),
        _ => EnterArg::None,
    };
    Op::Enter {
        ring,
        submit,
        complete,
        flags,
        arg,
    }
}

pub(super) fn ring_step(random: &mut Random) -> Op {
    let ring = slots::ring(random);
    match random.random_range(0..20) {
        0..3 => {
            let sensible = !once_in(random, 4);
            setup(random, ring, sensible)
        }
        3 => Op::Map {
            ring,
            length: pick(random, &[0, 4096, 1 << 20]),
            offset: pick(random, &[0, 0, 4096, 1 << 40]),
        },
        4 => Op::Unmap {
            ring,
            page: random.random_range(0..64),
            pages: pick(random, &[1, 1, 2, 400]),
        },
        5 => Op::Close(ring),
        6 => Op::Dup {
            from: ring,
            onto: slots::any(random),
        },
        7..11 => Op::Scribble {
            ring,
            offset: random.random_range(0..4096) & !3,
            value: any32(random),
        },
        11 => Op::Scribble {
            ring,
            offset: 4 * random.random_range(0..64),
            value: any32(random),
        },
        12 => Op::Fdinfo(slots::any(random)),
        13 => Op::RegisterRaw {
            ring,
            op: random.random_range(0..5),
            words: std::array::from_fn(|_| any32(random)),
            size: pick(random, &[16, 48, 0, 8, 64, 4096, 5000]),
        },
        14 => Op::Pass {
            fd: slots::any(random),
            take: once_in(random, 2),
        },
        15 => Op::Wake(ring),
        _ => enter(random, ring),
    }
}

pub(super) fn setup(random: &mut Random, ring: u8, sensible: bool) -> Op {
    let mut words = [0; 7];
    let mut size = sys::SAIO_PARAMS_SIZE_VER0.into();
    if sensible {
        words[1] = pick(random, &[0, 0, 8, 64, 2, 1]);
        words[2] = if words[1] == 0 {
            0
        } else {
            pick(random, &[0, 0, words[1], 4096])
        };
        words[3] = pick(random, &[0, 0, 0, 0, 64, 16, 4, 1]);
        words[4] = pick(random, &[0, 0, 4096, 65536, 1 << 20]);
        words[5] = pick(random, &[0, 0, 1, 5000, 100_000]);
    } else {
        for word in &mut words {
            if once_in(random, 3) {
                *word = edge(random) as u32;
            }
        }
        if once_in(random, 4) {
            size = any(random);
        }
    }
    Op::Setup {
        ring,
        words,
        size,
        read_only: once_in(random, 24),
    }
}

pub(super) fn attach(random: &mut Random, ring: u8) -> Op {
    let mode = pick(random, &[1, 1, 2, 2, 2, 0, 3]);
    let name = if mode == 0 {
        0
    } else {
        random.random_range(0..6)
    };
    Op::Attach { ring, name, mode }
}
