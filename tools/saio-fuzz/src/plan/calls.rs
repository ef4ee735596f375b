// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls with arguments: mostly such that they can succeed, sometimes anything.

use rand::Rng;
use saio_logic::policy::{Class, TABLE};

use super::number::{any, once_in, pick, Random};
use super::op::{Arg, Call, Who};
use super::shapes::SHAPES;
use super::slots;
use crate::yard;

/// A call that the policy allows.
pub fn allowed(random: &mut Random) -> Call {
    loop {
        let rule = &TABLE[random.random_range(0..TABLE.len())];
        if rule.class == Class::Inline {
            return shaped(random, rule.nr, rule.name);
        }
    }
}

/// A call of any number, most of which are refused.
pub fn any_number(random: &mut Random) -> Call {
    let nr = match random.random_range(0..4) {
        0 => random.random(),
        1 => pick(
            random,
            &[
                335, 336, 423, 424, 462, 463, 999, 1000, 1001, 1002, 1003, 1004,
            ],
        ),
        _ => TABLE[random.random_range(0..TABLE.len())].nr,
    };
    Call {
        nr,
        args: std::array::from_fn(|_| wild(random)),
    }
}

/// A call of SAIO with anything as its arguments.
pub fn of_saio(random: &mut Random) -> Call {
    Call {
        nr: random.random_range(1000..1004),
        args: std::array::from_fn(|_| wild(random)),
    }
}

/// A call of the policy's table by name.
pub fn named(random: &mut Random, name: &str) -> Call {
    let nr = TABLE
        .iter()
        .find(|rule| rule.name == name)
        .map_or(0, |rule| rule.nr);
    shaped(random, nr, name)
}

fn shaped(random: &mut Random, nr: u16, name: &str) -> Call {
    let shape = SHAPES
        .iter()
        .find(|(call, _)| *call == name)
        .map_or(&b"xxxxxx"[..], |(_, shape)| shape.as_bytes());
    let spoil = once_in(random, 6);
    let args = std::array::from_fn(|i| match shape.get(i) {
        _ if spoil && once_in(random, 3) => wild(random),
        Some(letter) => by_letter(random, *letter),
        None if once_in(random, 8) => Arg::Num(any(random)),
        None => Arg::Num(0),
    });
    Call { nr, args }
}

/// Anything at all: numbers, descriptors, pointers that live and that do not.
pub fn wild(random: &mut Random) -> Arg {
    match random.random_range(0..10) {
        0..4 => Arg::Num(any(random)),
        4 => Arg::Fd(slots::any(random)),
        5 => Arg::Yard(yard::END - random.random_range(0..64)),
        6 => Arg::Yard(pick(
            random,
            &[
                yard::READ_ONLY,
                yard::NO_ACCESS,
                yard::PLAYGROUND,
                yard::END,
            ],
        )),
        7 => Arg::Yard(random.random_range(0..yard::BUFFERS)),
        8 => Arg::Ring {
            ring: slots::ring(random),
            offset: random.random_range(0..0x2_0000),
        },
        _ => Arg::Yard(yard::BUFFERS + random.random_range(0..yard::BUFFER_PAGES * yard::PAGE)),
    }
}

fn by_letter(random: &mut Random, letter: u8) -> Arg {
    let page = u64::from(yard::PAGE);
    let small = |random: &mut Random| Arg::Num(random.random_range(0..12));
    match letter {
        // Descriptors: any, to lose, socket, file, epoll set or its event, directory.
        b'f' => Arg::Fd(slots::any(random)),
        b'j' if once_in(random, 2) => Arg::Num(random.random_range(0..64)),
        b'j' => Arg::Fd(slots::any(random)),
        b's' => Arg::Fd(slots::socket(random)),
        b'F' => Arg::Fd(slots::file(random)),
        b'@' => Arg::Yard(yard::EPOLL_EVENT),
        b'e' => Arg::Fd(slots::EPOLL),
        b'd' => Arg::Num(libc::AT_FDCWD as u64),
        // Numbers: none, a few, flags, a length.
        b'z' | b'0' | b'N' => Arg::Num(0),
        b'k' | b'h' => small(random),
        b'o' => Arg::Num(pick(random, &[0, 0, 0x40, 0x4000, 0x8000, 1, 2, 4, 8])),
        b'n' => Arg::Num(pick(random, &[0, 1, 8, 100, 1000, 4096, 5000, 16384])),
        b'x' => Arg::Num(any(random)),
        b'4' => Arg::Num(4),
        b'6' => Arg::Num(16),
        b'8' => Arg::Num(8),
        b'9' => Arg::Num(24),
        b'g' => Arg::Num(random.random_range(0..40)),
        b'H' => Arg::Num(0o1600),
        b'I' => Arg::Num(pick(
            random,
            &[0x5421, 0x541b, 0x5450, 0x5451, 0x8905, 0x5401],
        )),
        b'D' => Arg::Num(pick(random, &[0o644, 0o700, 0, 0o777])),
        b'M' => Arg::Num(pick(random, &[0o010_600, 0o100_600, 0o140_600])),
        b'O' => Arg::Num(pick(
            random,
            &[0, 2, 0x42, 0x241, 0x1_0000, 0x800, 0x442, 0x40_2000],
        )),
        b'Q' => Arg::Num(pick(random, &[0, 1, 3, 3, 7])),
        b'R' => Arg::Num(pick(random, &[0x22, 0x32, 0x12, 1, 0x11, 0x8022])),
        b'y' => Arg::Num(pick(random, &[1, 2, 10, 16])),
        b'Y' => Arg::Num(pick(random, &[1, 1, 2, 0x801, 5])),
        b'V' => Arg::Num(pick(random, &[1, 6, 0, 41])),
        // Memory: buffers out and in, pages, and structures.
        b'b' => Arg::Yard(yard::BUFFERS + random.random_range(0..12) * yard::PAGE),
        b'i' => Arg::Yard(yard::BUFFERS + random.random_range(0..4) * yard::PAGE),
        b'a' => Arg::Yard(
            yard::PLAYGROUND + random.random_range(0..yard::PLAYGROUND_PAGES) * yard::PAGE,
        ),
        b'l' => Arg::Num(page * random.random_range(0..4)),
        b'p' | b'c' => Arg::Yard(yard::name(random.random_range(0..yard::OWN_PATHS))),
        b'w' => Arg::Yard(yard::name(yard::XATTR)),
        b'Z' => Arg::Yard(yard::name(yard::QUEUE)),
        b'v' => Arg::Yard(yard::IOVEC),
        b'm' => Arg::Yard(yard::MSGHDR),
        b'3' => Arg::Yard(yard::MMSGHDR),
        b't' => Arg::Yard(yard::TIMESPEC),
        b'T' => Arg::Yard(yard::TIMEVAL),
        b'J' => Arg::Num(random.random_range(0..80)),
        b'K' => Arg::Yard(yard::ITIMERVAL),
        b'~' => Arg::Yard(yard::ITIMERSPEC),
        b'A' => Arg::Yard(yard::SOCKADDR),
        b'L' => Arg::Yard(yard::SOCKLEN),
        b'q' => Arg::Yard(yard::POLLFD),
        b'E' => Arg::Yard(yard::SIGEVENT),
        b'S' => Arg::Yard(yard::SIGSET),
        b'U' | b'u' => Arg::Yard(yard::WORD),
        b'r' => Arg::Yard(yard::RLIMIT),
        b'X' => Arg::Yard(yard::SEMBUF),
        b'W' => Arg::Yard(yard::MSGBUF),
        b'B' => Arg::Yard(yard::FD_SET),
        b'7' => Arg::Yard(yard::PSELECT_MASK),
        b'G' => Arg::Yard(yard::SIGACTION),
        b'C' => Arg::Yard(yard::AIO_CONTEXT),
        b'1' => Arg::Yard(yard::FILE_HANDLE),
        b'5' => Arg::Yard(yard::OPEN_HOW),
        b'!' => Arg::Yard(yard::FUTEX_WAITV),
        b'2' => Arg::Yard(yard::FD_PAIR),
        b'P' => Arg::Pid(pick(
            random,
            &[Who::Me, Who::MyThread, Who::Parent, Who::Child],
        )),
        _ => wild(random),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn shapes_are_of_allowed_calls_and_no_longer_than_six() {
        for (name, shape) in SHAPES {
            let rule = TABLE.iter().find(|rule| rule.name == *name);
            let rule = rule.unwrap_or_else(|| panic!("{name} is no call"));
            assert_eq!(rule.class, Class::Inline, "{name}");
            assert!(shape.len() <= 6, "{name}");
        }
    }

    #[test]
    fn every_letter_means_something() {
        for (name, shape) in SHAPES {
            for letter in shape.bytes().filter(|letter| *letter != b'x') {
                // What is wild differs from draw to draw in kind, what is meant does not.
                let kinds = |seed| {
                    let mut random = Random::seed_from_u64(seed);
                    std::mem::discriminant(&by_letter(&mut random, letter))
                };
                let same = (0..64).filter(|seed| kinds(*seed) == kinds(0)).count();
                assert!(same == 64 || letter == b'j', "{name}: {}", letter as char);
            }
        }
    }

    #[test]
    fn every_allowed_call_is_named_sooner_or_later() {
        let mut random = Random::seed_from_u64(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20_000 {
            seen.insert(allowed(&mut random).nr);
        }
        let all = TABLE.iter().filter(|rule| rule.class == Class::Inline);
        assert_eq!(seen.len(), all.count());
    }
}
