// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of a case.

use rand::{Rng, SeedableRng};
use saio::sys;

use super::calls;
use super::entry;
use super::number::{any, any32, edge, once_in, pick, Random};
use super::op::{
    Connection, EnterArg, FileKind, Filter, Index, Op, Peer, PoolCall, SocketKind, User, Who,
};
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
struct Weights([u32; 9]);

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
        ops.push(attach(random, 0));
    }
    for pair in 0..random.random_range(0..7) {
        ops.push(Op::Connect(connection(random, pair)));
        ops.push(Op::Register {
            ring: 0,
            fd: slots::SOCKETS + pair,
            flow: pair,
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

fn step(random: &mut Random, weights: &Weights, depth: u32, ops: &mut Vec<Op>) {
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

/// Entries, published and submitted, and what comes of them.
fn batch(random: &mut Random, ops: &mut Vec<Op>) {
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

fn submit(random: &mut Random, ring: u8, ops: &mut Vec<Op>) {
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

fn enter(random: &mut Random, ring: u8) -> Op {
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

/// Bytes on flows, and what peers and holders do meanwhile.
fn flow_work(random: &mut Random, ops: &mut Vec<Op>) {
    let pair = random
        .random_range(0..slots::PAIRS)
        .min(random.random_range(0..slots::PAIRS));
    let ring = if once_in(random, 5) {
        slots::ring(random)
    } else {
        0
    };
    let socket = slots::SOCKETS + pair;
    match random.random_range(0..14) {
        0 => {
            ops.push(Op::Connect(connection(random, pair)));
            ops.push(Op::Register {
                ring,
                fd: socket,
                flow: pair,
            });
        }
        1 => ops.push(Op::Register {
            ring,
            fd: slots::any(random),
            flow: slots::flow(random),
        }),
        2 => {
            let twist = if once_in(random, 6) { any32(random) } else { 0 };
            ops.push(Op::Unregister {
                ring,
                flow: slots::flow(random),
                twist,
            });
        }
        3 | 4 => ops.push(Op::Peer {
            pair,
            what: peer(random),
        }),
        5 => ops.push(Op::Close(socket)),
        6 => {
            // What the owner has published, then a close that must not overtake it.
            let length = random.random_range(1..6);
            let burst = entry::burst(random, pair, length);
            ops.extend(burst.into_iter().map(|entry| Op::Put { ring, entry }));
            ops.push(Op::Publish {
                ring,
                tail: Index::Right,
            });
            ops.push(disturb(random, pair));
        }
        _ => {
            let length = random.random_range(1..12);
            let burst = entry::burst(random, pair, length);
            ops.extend(burst.into_iter().map(|entry| Op::Put { ring, entry }));
            submit(random, ring, ops);
        }
    }
}

/// What the holder of a socket does behind the back of its flow.
fn disturb(random: &mut Random, pair: u8) -> Op {
    let socket = slots::SOCKETS + pair;
    match random.random_range(0..8) {
        0 | 1 => Op::Close(socket),
        2 => Op::Dup {
            from: slots::any(random),
            onto: socket,
        },
        3 => Op::Close(slots::file(random)),
        4 => Op::Peer {
            pair,
            what: peer(random),
        },
        5 => Op::Pass {
            fd: socket,
            take: once_in(random, 2),
        },
        _ => {
            let name = pick(
                random,
                &[
                    "write",
                    "shutdown",
                    "setsockopt",
                    "connect",
                    "sendmsg",
                    "close_range",
                    "splice",
                ],
            );
            Op::Direct(calls::named(random, name))
        }
    }
}

fn peer(random: &mut Random) -> Peer {
    match random.random_range(0..12) {
        0..4 => Peer::Read(random.random_range(1..100_000)),
        4..8 => Peer::Drain,
        8 => Peer::Write(random.random_range(1..5000)),
        9 => Peer::Close,
        10 => Peer::Reset,
        _ => Peer::Shutdown(random.random_range(0..3)),
    }
}

fn connection(random: &mut Random, pair: u8) -> Connection {
    let kind = match random.random_range(0..24) {
        0 => SocketKind::Unix,
        1 => SocketKind::Mptcp,
        2 => SocketKind::Udp,
        3 => SocketKind::Unconnected,
        4..10 => SocketKind::Tcp6,
        _ => SocketKind::Tcp4,
    };
    Connection {
        pair,
        kind,
        sndbuf: pick(random, &[0, 0, 1, 4096, 16384]),
        rcvbuf: pick(random, &[0, 0, 1, 2048, 16384]),
        nonblocking: !once_in(random, 12),
    }
}

fn ring_step(random: &mut Random) -> Op {
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

fn setup(random: &mut Random, ring: u8, sensible: bool) -> Op {
    let mut words = [0; 7];
    let mut size = sys::SAIO_PARAMS_SIZE_VER0.into();
    if sensible {
        words[1] = pick(random, &[0, 0, 8, 64, 2, 1]);
        words[2] = if words[1] == 0 {
            0
        } else {
            pick(random, &[0, 0, words[1], 4096])
        };
        words[3] = pick(random, &[0, 0, 1, 4, 64]);
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
    Op::Setup { ring, words, size }
}

fn attach(random: &mut Random, ring: u8) -> Op {
    let mode = pick(random, &[1, 1, 2, 2, 2, 0, 3]);
    let name = if mode == 0 {
        0
    } else {
        random.random_range(0..6)
    };
    Op::Attach { ring, name, mode }
}

fn file_step(random: &mut Random) -> Op {
    match random.random_range(0..10) {
        0..3 => {
            let kind = match random.random_range(0..4) {
                0 => FileKind::Memory(pick(random, &[0, 100, 50_000])),
                1 => FileKind::Root,
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

fn pool_step(random: &mut Random) -> Op {
    if once_in(random, 2) {
        let ring = slots::ring(random);
        return attach(random, ring);
    }
    let cmd = match random.random_range(0..20) {
        0..6 => sys::SAIO_POOL_CREATE,
        6..12 => sys::SAIO_POOL_SET,
        12..16 => sys::SAIO_POOL_REMOVE,
        16 => sys::SAIO_POOL_GET,
        17 => sys::SAIO_POOL_NEXT,
        18 => sys::SAIO_POOL_STAT,
        _ => any32(random),
    };
    let changes = cmd == sys::SAIO_POOL_CREATE || cmd == sys::SAIO_POOL_SET;
    let sane = !once_in(random, 5);
    let workers = random.random_range(1..4);
    Op::Pool(PoolCall {
        cmd,
        name: if once_in(random, 24) {
            random.random_range(6..10)
        } else {
            random.random_range(0..6)
        },
        id: if cmd == sys::SAIO_POOL_NEXT || once_in(random, 16) {
            random.random_range(0..40)
        } else {
            0
        },
        set: if !changes {
            0
        } else if sane {
            random.random_range(0..32)
        } else {
            any32(random)
        },
        flags: match cmd {
            sys::SAIO_POOL_REMOVE => random.random_range(0..2),
            _ if sane => 0,
            _ => any32(random),
        },
        workers: if sane { workers } else { any32(random) },
        max: if sane {
            workers + random.random_range(0..4)
        } else {
            any32(random) % 300
        },
        gid: pick(random, &[0, NOBODY, sys::SAIO_POOL_ANYBODY]),
        idle: pick(random, &[0, 1000, 50_000, 200_000, 5_000_000]),
        cpus: pick(random, &[1, 2, 3, 3, 0, u64::MAX]),
        cpus_len: pick(random, &[8, 8, 8, 1, 0, 4096]),
        resv: if sane { 0 } else { any(random) },
        size: if sane { 0 } else { any(random) },
    })
}

/// Forks, threads, signals, and the end.
fn life(random: &mut Random, weights: &Weights, depth: u32) -> Op {
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
fn scribbler(random: &mut Random) -> Op {
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

fn identity(random: &mut Random) -> Op {
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

fn failing(random: &mut Random) -> Op {
    let op = match random.random_range(0..12) {
        0..3 => {
            let ring = slots::ring(random);
            setup(random, ring, true)
        }
        3..5 => Op::Register {
            ring: 0,
            fd: slots::socket(random),
            flow: slots::flow(random),
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
        assert_eq!(kinds.len(), 32, "{kinds:?}");
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
