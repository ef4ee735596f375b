// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers that are worth a try.

use rand::{seq::IndexedRandom, Rng};
use rand_chacha::ChaCha8Rng;

/// The source of everything that is random.
pub type Random = ChaCha8Rng;

const EDGES: [u64; 24] = [
    0,
    1,
    2,
    7,
    8,
    63,
    64,
    255,
    4095,
    4096,
    4097,
    0xffff,
    0x1_0000,
    0x7fff_f000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    0xffff_8880_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_f000,
    u64::MAX,
];

/// Any number, those at edges more often than others.
pub fn any(random: &mut Random) -> u64 {
    match random.random_range(0..8) {
        0..3 => edge(random),
        3 => random.random(),
        4 => 1 << random.random_range(0..64),
        5 => random.random_range(0..0x1_0000),
        _ => random.random_range(0..32),
    }
}

/// Any 32-bit number.
pub fn any32(random: &mut Random) -> u32 {
    any(random) as u32
}

/// A number at which things change.
pub fn edge(random: &mut Random) -> u64 {
    let edge = *EDGES.choose(random).unwrap_or(&0);
    match random.random_range(0..6) {
        0 => edge.wrapping_add(1),
        1 => edge.wrapping_sub(1),
        _ => edge,
    }
}

/// Whether something happens that does so once in `n` times.
pub fn once_in(random: &mut Random, n: u32) -> bool {
    random.random_range(0..n) == 0
}

/// One of these.
pub fn pick<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.random_range(0..of.len())]
}
