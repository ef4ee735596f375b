// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries of rings: ordinary ones, those of flows, and chains of both.

use rand::Rng;
use saio::sys;

use super::calls;
use super::number::{any, any32, edge, once_in, pick, Random};
use super::op::{Arg, Call, Entry};
use super::slots;
use crate::yard::arena;

/// Options that flows take, with a place in the arena that has a value for them.
const OPTIONS: [(u64, u64, u32); 10] = [
    (6, 1, arena::ONE),     // TCP_NODELAY
    (6, 3, arena::ONE),     // TCP_CORK
    (6, 3, arena::ZERO),    //
    (6, 12, arena::ONE),    // TCP_QUICKACK
    (1, 13, arena::LINGER), // SO_LINGER
    (1, 7, arena::ONE),     // SO_SNDBUF
    (1, 9, arena::ONE),     // SO_KEEPALIVE
    (1, 12, arena::ZERO),   // SO_PRIORITY
    (6, 25, arena::ONE),    // TCP_NOTSENT_LOWAT
    (6, 18, arena::ONE),    // TCP_USER_TIMEOUT
];

/// Some entries in a row: one, or a chain.
pub fn some(random: &mut Random) -> Vec<Entry> {
    let length = match random.random_range(0..8) {
        0..4 => 1,
        4..7 => random.random_range(2..6),
        _ => random.random_range(2..14),
    };
    let focus = slots::flow(random);
    let flows = random.random_range(0..4);
    (0..length)
        .map(|place| {
            // Chains of one flow, of ordinary entries, and mixed ones.
            let call = if random.random_range(0..4) < flows {
                on_flow(random, focus)
            } else {
                plain(random)
            };
            linked(random, call, place, length)
        })
        .collect()
}

/// Entries of one flow, as a server makes them: bytes, files, corks, in a burst.
pub fn burst(random: &mut Random, flow: u8, length: usize) -> Vec<Entry> {
    (0..length)
        .map(|_| {
            let mut entry = on_flow(random, flow);
            if once_in(random, 2) {
                entry.flags |= sys::SQE_SKIP_SUCCESS;
            }
            entry
        })
        .collect()
}

fn linked(random: &mut Random, mut entry: Entry, place: usize, length: usize) -> Entry {
    if place + 1 < length {
        entry.flags |= match random.random_range(0..8) {
            0 => 0,
            1..5 => sys::SQE_LINK,
            _ => sys::SQE_HARDLINK,
        };
    }
    if place > 0 && once_in(random, 3) {
        let back = random.random_range(1..=place.min(8)) as u8;
        entry.flags |= sys::SQE_RESULT_TO_ARG;
        entry.ctl = sys::ctl(random.random_range(0..6), back);
    }
    if once_in(random, 4) {
        entry.flags |= sys::SQE_SKIP_SUCCESS;
    }
    if once_in(random, 24) {
        entry.flags ^= match random.random_range(0..3) {
            0 => random.random(),
            1 => sys::SQE_FLOW,
            _ => 1 << random.random_range(0..16),
        };
    }
    if once_in(random, 32) {
        entry.ctl = any32(random);
    }
    entry
}

fn plain(random: &mut Random) -> Entry {
    let call = match random.random_range(0..16) {
        0 => calls::any_number(random),
        1..4 => {
            let name = pick(
                random,
                &[
                    "close",
                    "dup2",
                    "write",
                    "sendfile",
                    "shutdown",
                    "setsockopt",
                    "connect",
                    "epoll_wait",
                    "epoll_ctl",
                    "openat",
                    "read",
                    "accept4",
                    "close_range",
                    "sendto",
                    "sendmsg",
                    "writev",
                    "fcntl",
                    "recvfrom",
                    "getppid",
                    "epoll_pwait",
                ],
            );
            calls::named(random, name)
        }
        _ => calls::allowed(random),
    };
    Entry {
        call,
        flags: 0,
        ctl: 0,
    }
}

/// An entry of a flow with many bytes, of the arena or of a file.
pub fn large(random: &mut Random, flow: u8) -> Entry {
    let fd = slots::SOCKETS + flow % slots::PAIRS;
    let mut args = [Arg::Num(0); 6];
    args[0] = Arg::Flow { flow, twist: 0, fd };
    let nr = if once_in(random, 3) {
        args[1] = Arg::Fd(slots::file(random));
        args[3] = Arg::Num(pick(random, &[4000, 40_000, 200_000]));
        libc::SYS_sendfile
    } else {
        args[1] = Arg::Num(arena::BYTES.into());
        args[2] = Arg::Num(random.random_range(10_000..250_000));
        libc::SYS_write
    };
    let flags = if once_in(random, 3) {
        sys::SQE_SKIP_SUCCESS
    } else {
        0
    };
    Entry {
        call: Call {
            nr: nr as u16,
            args,
        },
        flags: flags | sys::SQE_FLOW,
        ctl: 0,
    }
}

/// An entry of a flow.
pub fn on_flow(random: &mut Random, flow: u8) -> Entry {
    let flow = if once_in(random, 6) {
        slots::flow(random)
    } else {
        flow
    };
    let twist = if once_in(random, 24) {
        any32(random)
    } else {
        0
    };
    let fd = slots::SOCKETS + flow % slots::PAIRS;
    let mut args = [Arg::Num(0); 6];
    let mut nums = [0u64; 6];
    let nr = match random.random_range(0..16) {
        0..5 => {
            (nums[1], nums[2]) = bytes(random);
            libc::SYS_write
        }
        5 | 6 => {
            (nums[1], nums[2]) = bytes(random);
            nums[3] = pick(random, &[0, 0x40, 0x4000, 0x8000, 0xc040, 1, 0x400_0000]);
            libc::SYS_sendto
        }
        7 => {
            nums[1] = tables(random, &[arena::MSGHDR, arena::MSGHDR, arena::BAD_MSGHDR]);
            nums[2] = pick(random, &[0, 0x40, 0x8000]);
            libc::SYS_sendmsg
        }
        8 | 9 => {
            nums[1] = tables(
                random,
                &[
                    arena::IOVEC,
                    arena::LONG_IOVEC,
                    arena::IOVEC,
                    arena::BAD_IOVEC,
                ],
            );
            nums[2] = pick(random, &[0, 1, 2, 3, 8, 9]);
            libc::SYS_writev
        }
        10..13 => {
            args[1] = Arg::Fd(slots::file(random));
            nums[2] = pick(random, &[0, 0, 1, 100, 4096, 70_000, 1 << 20]);
            nums[3] = pick(random, &[0, 1, 1000, 4096, 5000, 40_000, 0x7fff_f000]);
            libc::SYS_sendfile
        }
        13 | 14 => {
            let (level, option, place) = pick(random, &OPTIONS);
            (nums[1], nums[2], nums[3], nums[4]) = (level, option, place.into(), 4);
            if option == 13 {
                nums[4] = 8;
            }
            if once_in(random, 8) {
                nums[2] = random.random_range(0..64);
            }
            libc::SYS_setsockopt
        }
        _ if once_in(random, 2) => {
            nums[1] = random.random_range(0..4);
            libc::SYS_shutdown
        }
        _ => {
            return Entry {
                call: calls::any_number(random),
                flags: sys::SQE_FLOW,
                ctl: 0,
            }
        }
    };
    for (arg, num) in args.iter_mut().zip(nums) {
        if *arg == Arg::Num(0) {
            *arg = Arg::Num(num);
        }
    }
    if once_in(random, 12) {
        args[random.random_range(1..6)] = Arg::Num(any(random));
    }
    args[0] = Arg::Flow { flow, twist, fd };
    Entry {
        call: Call {
            nr: nr as u16,
            args,
        },
        flags: sys::SQE_FLOW,
        ctl: 0,
    }
}

/// Offset and length of bytes in the arena.
fn bytes(random: &mut Random) -> (u64, u64) {
    let offset = u64::from(arena::BYTES) + random.random_range(0..3000);
    match random.random_range(0..16) {
        0 => (edge(random), random.random_range(0..100)),
        1 => (offset, edge(random)),
        2..5 => (offset, random.random_range(4000..60_000)),
        5 => (offset, 200_000),
        _ => (offset, random.random_range(0..1500)),
    }
}

fn tables(random: &mut Random, of: &[u32]) -> u64 {
    if once_in(random, 12) {
        return edge(random);
    }
    pick(random, of).into()
}
