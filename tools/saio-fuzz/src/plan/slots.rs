// SPDX-License-Identifier: MIT OR Apache-2.0

//! Slots: the names under which a case knows what it has made.

use rand::Rng;

use super::number::Random;

/// Rings. Descriptors of rings are in the slots of the same numbers.
pub const RINGS: u8 = 6;
/// Connections: our ends are in the slots from here on, their peers behind them.
pub const SOCKETS: u8 = RINGS;
/// So many connections.
pub const PAIRS: u8 = 10;
/// Peers of the connections.
pub const PEERS: u8 = SOCKETS + PAIRS;
/// Files.
pub const FILES: u8 = PEERS + PAIRS;
/// So many of them.
pub const FILE_COUNT: u8 = 6;
/// An epoll set.
pub const EPOLL: u8 = FILES + FILE_COUNT;
/// Other descriptors.
pub const OTHERS: u8 = EPOLL + 1;
/// So many of them.
pub const OTHER_COUNT: u8 = 8;
/// All slots of descriptors.
pub const FDS: u8 = OTHERS + OTHER_COUNT;
/// Flows.
pub const FLOWS: u8 = 16;

/// Slot of any descriptor.
pub fn any(random: &mut Random) -> u8 {
    random.random_range(0..FDS)
}

/// Slot of a ring, the first one more often than others.
pub fn ring(random: &mut Random) -> u8 {
    if random.random_range(0..3) > 0 {
        return 0;
    }
    random.random_range(0..RINGS)
}

/// Slot of our end of a connection, now and then that of a peer.
pub fn socket(random: &mut Random) -> u8 {
    if random.random_range(0..6) == 0 {
        return PEERS + random.random_range(0..PAIRS);
    }
    own_socket(random)
}

/// Slot of our end of a connection. If both ends become flows, and lose their holders, the kernel
/// waits a minute for one of them to read.
pub fn own_socket(random: &mut Random) -> u8 {
    SOCKETS + random.random_range(0..PAIRS)
}

/// Slot of a file.
pub fn file(random: &mut Random) -> u8 {
    FILES + random.random_range(0..FILE_COUNT)
}

/// Slot of a flow, low ones more often than others: they are more likely to be in use.
pub fn flow(random: &mut Random) -> u8 {
    let any = random.random_range(0..FLOWS);
    let low = random.random_range(0..6);
    if random.random_range(0..5) == 0 {
        any
    } else {
        low
    }
}
