// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring with one flow and the peer at its other end.

use super::{
    eventually, expect_bytes, expect_results, in_order, in_pool, pattern, poll, sqe, tcp_pair,
    Pair, RawRing, Sqe, SqeExt, FLOW_FAILED, FLOW_FULL, SMALL,
};

/// Bytes of each entry that [`Flow::park`] submits: one is more than a tight pair can hold.
pub const CHUNK: usize = 256 << 10;

/// The part of the arena that [`Flow::park`] leaves alone starts here.
pub const SPARE: usize = 2 * CHUNK;

/// Arena and flow limit of the rings made here.
const ROOM: u32 = 1 << 20;

pub struct Flow {
    pub ring: RawRing,
    /// The flow's reference.
    pub id: u32,
    /// Our end: the descriptor of the flow's socket.
    pub ours: i32,
    /// The other end.
    pub peer: i32,
}

/// A ring with room for [`Flow::park`].
pub fn flow_ring() -> RawRing {
    RawRing::with(|params| {
        params.arena_size = ROOM;
        params.flow_limit = ROOM;
    })
}

/// `args[0]` of entries of the flow `id`, whose socket has this number.
pub fn target(id: u32, socket: i32) -> u64 {
    u64::from(id) << 32 | u64::from(socket as u32)
}

/// The bytes that [`Flow::park`] sends.
pub fn park_bytes() -> Vec<u8> {
    pattern(7, 2 * CHUNK)
}

impl Flow {
    /// A flow with the system's buffer sizes.
    pub fn roomy() -> Self {
        Self::on(flow_ring(), tcp_pair(0, 0))
    }

    /// A flow of which neither end can hold much.
    pub fn tight() -> Self {
        Self::on(flow_ring(), tcp_pair(SMALL, SMALL))
    }

    #[track_caller]
    pub fn on(ring: RawRing, pair: Pair) -> Self {
        let id = ring.register(pair.ours);
        Self {
            ring,
            id,
            ours: pair.ours,
            peer: pair.peer,
        }
    }

    /// `args[0]` of the flow's entries.
    pub fn target(&self) -> u64 {
        target(self.id, self.ours)
    }

    pub fn write(&self, offset: usize, len: usize) -> Sqe {
        sqe!(libc::SYS_write, self.target(), offset, len).on_flow()
    }

    pub fn sendfile(&self, source: i32, position: usize, len: usize) -> Sqe {
        sqe!(libc::SYS_sendfile, self.target(), source, position, len).on_flow()
    }

    /// `setsockopt` of an int that stands in the arena at `offset`.
    pub fn set_option(&self, level: i32, name: i32, offset: usize) -> Sqe {
        let len = size_of::<i32>();
        sqe!(
            libc::SYS_setsockopt,
            self.target(),
            level,
            name,
            offset,
            len
        )
        .on_flow()
    }

    pub fn shutdown(&self, how: i32) -> Sqe {
        sqe!(libc::SYS_shutdown, self.target(), how).on_flow()
    }

    /// Whether these status bits are set.
    pub fn has(&self, bits: u32) -> bool {
        self.ring.status(self.id) & bits == bits
    }

    /// Submits two entries, user data 0 and 1, that cannot leave before the peer reads. Gives
    /// the bytes that the peer must get.
    #[track_caller]
    pub fn park(&mut self) -> Vec<u8> {
        let bytes = park_bytes();
        self.ring.fill_arena(0, &bytes);
        let entries = [
            self.write(0, CHUNK).data(0),
            self.write(CHUNK, CHUNK).data(1),
        ];
        assert_eq!(self.ring.submit(&entries), 2, "entries taken");
        self.wait_until_full();
        assert!(
            self.ring.reap().is_empty(),
            "nothing can be sent to its end"
        );
        assert!(self.has(FLOW_FULL), "status {:#x}", self.status());
        assert!(!self.has(FLOW_FAILED));
        bytes
    }

    /// What was submitted fills the flow: at once if the owner has run it, soon if a pool does.
    #[track_caller]
    pub fn wait_until_full(&self) {
        if in_pool().is_some() {
            eventually("the flow is full", || self.has(FLOW_FULL));
        }
    }

    /// Reads what [`Self::park`] gave, and sees that the flow is as good as new.
    #[track_caller]
    pub fn unpark(&mut self, parked: &[u8]) {
        expect_bytes(self.peer, parked);
        let cqes = self.ring.wait(2);
        let chunk = CHUNK as i64;
        expect_results(&in_order(cqes), &[chunk, chunk]);
        self.expect_writable();
    }

    /// The flow must become empty and its socket writable.
    #[track_caller]
    pub fn expect_writable(&self) {
        let seen = poll(self.ours, libc::POLLOUT, 10_000);
        assert_eq!(seen, libc::POLLOUT, "poll says {seen:#x}");
        assert!(!self.has(FLOW_FULL), "writable, but FULL");
    }

    pub fn status(&self) -> u32 {
        self.ring.status(self.id)
    }
}

/// A parked flow on a connection of which neither end can hold much, and the
/// bytes that its peer must get.
#[track_caller]
pub fn parked() -> (Flow, Vec<u8>) {
    let mut flow = Flow::tight();
    let bytes = flow.park();
    (flow, bytes)
}
