// SPDX-License-Identifier: MIT OR Apache-2.0

//! Steps on connections and their flows.

use rand::Rng;

use super::calls;
use super::entry;
use super::number::{any32, once_in, pick, Random};
use super::op::{Arg, Connection, Index, Op, Peer, SocketKind};
use super::rings::submit;
use super::slots;

/// Bytes on flows, and what peers and holders do meanwhile.
pub(super) fn flow_work(random: &mut Random, ops: &mut Vec<Op>) {
    let pair = random
        .random_range(0..slots::PAIRS)
        .min(random.random_range(0..slots::PAIRS));
    let ring = if once_in(random, 5) {
        slots::ring(random)
    } else {
        0
    };
    let socket = slots::SOCKETS + pair;
    match random.random_range(0..18) {
        14 | 15 => stuffed(random, ring, pair, ops),
        16 => ops.push(Op::Blocking {
            pair,
            on: once_in(random, 2),
        }),
        0 => {
            ops.push(Op::Connect(connection(random, pair)));
            ops.push(Op::Register {
                ring,
                fd: socket,
                flow: pair,
                read_only: once_in(random, 40),
            });
        }
        1 => ops.push(Op::Register {
            ring,
            fd: if once_in(random, 8) {
                slots::any(random)
            } else {
                slots::own_socket(random)
            },
            flow: slots::flow(random),
            read_only: once_in(random, 8),
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

/// More bytes than the peer takes, what the holder does meanwhile, and the peer that reads at last.
pub(super) fn stuffed(random: &mut Random, ring: u8, pair: u8, ops: &mut Vec<Op>) {
    for _ in 0..random.random_range(1..6) {
        let entry = entry::large(random, pair);
        ops.push(Op::Put { ring, entry });
    }
    submit(random, ring, ops);
    for _ in 0..random.random_range(1..4) {
        ops.push(disturb(random, pair));
    }
    if !once_in(random, 4) {
        ops.push(Op::Peer {
            pair,
            what: Peer::Drain,
        });
    }
}

/// What the holder of a socket does behind the back of its flow.
pub(super) fn disturb(random: &mut Random, pair: u8) -> Op {
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
            let mut call = calls::named(random, name);
            match name {
                "close_range" => {}
                "splice" => call.args[2] = Arg::Fd(socket),
                _ => call.args[0] = Arg::Fd(socket),
            }
            if name == "shutdown" {
                call.args[1] = Arg::Num(random.random_range(0..4));
            }
            Op::Direct(call)
        }
    }
}

pub(super) fn peer(random: &mut Random) -> Peer {
    match random.random_range(0..12) {
        0..4 => Peer::Read(random.random_range(1..100_000)),
        4..8 => Peer::Drain,
        8 => Peer::Write(random.random_range(1..5000)),
        9 => Peer::Close,
        10 => Peer::Reset,
        _ => Peer::Shutdown(random.random_range(0..3)),
    }
}

pub(super) fn connection(random: &mut Random, pair: u8) -> Connection {
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
