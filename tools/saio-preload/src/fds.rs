// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is known of each file descriptor of the process.
//!
//! Only what libc was asked for is seen, so an entry may be out of date: nothing
//! is answered early on its word alone (the status word of a flow says whether
//! the flow still is what it was).

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use saio::flow::FlowRef;
use saio::preload::Why;

/// Descriptors from here on are not tracked.
pub const FDS: usize = 65536;

/// Largest number of a thread; see [`crate::tls`].
pub const MAX_OWNER: u32 = 0x00ff_ffff;

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing of interest, or unknown.
    Untracked,
    /// An accepted connection that may become a flow.
    Candidate,
    /// The flow of an owner.
    Flow,
    /// A file opened for reading only.
    File,
    /// Closed by the program; the close is queued and the number still taken.
    Closing,
    /// An epoll set on which its owner waits.
    Epoll,
    /// Ours: a ring or the statistics file.
    Own,
    /// A connection that takes no early answers for good.
    Through,
}

/// A [`Kind`] with what belongs to it, packed: kind in bits 0 to 2, [`COMPANY`] in bit 3, non-blocking
/// in bit 4, [`LEVEL`], [`NEVER_LEVEL`] and [`RECORDS`] in 5 to 7, owner (of a candidate, which has none:
/// [`ALONE`] and [`FURTHER`]) in bits 8 to 31, value in bits 32 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(u64);

/// Of a candidate: its responses are more than one write.
const COMPANY: u64 = 1 << 3;
/// Of a candidate: counts responses that were one write, up to [`LONELY`].
const ALONE: u64 = 1 << 8;
/// Of a candidate: counts writes that were not the first of their turn.
const FURTHER: u64 = 1 << 16;
const NONBLOCK: u64 = 1 << 4;
/// Responses of one write after which a candidate stays one.
const LONELY: u64 = 16;
/// Writes beside others that are no accident: the handshake of TLS 1.3 has up to three.
pub const COMPANIONS: u8 = 4;
/// Of a connection: its reads may be answered, see [`crate::reads`]. Of an epoll set: its owner
/// sleeps in it.
const LEVEL: u64 = 1 << 5;
/// Of a connection: it will not get [`LEVEL`] any more.
const NEVER_LEVEL: u64 = 1 << 6;
/// Of a connection: the kernel makes records (TLS) of what is written.
const RECORDS: u64 = 1 << 7;

impl State {
    /// Nothing is known.
    pub const UNTRACKED: Self = Self(0);
    /// A ring of ours.
    pub const RING: Self = Self::new(Kind::Own, 0, 1);
    /// A file opened for reading only.
    pub const FILE: Self = Self::new(Kind::File, 0, 0);
    /// The statistics file.
    pub const STATS: Self = Self::new(Kind::Own, 0, 2);

    const fn new(kind: Kind, owner: u32, value: u32) -> Self {
        Self(kind as u64 | (owner as u64) << 8 | (value as u64) << 32)
    }

    /// A connection; `turn` is the loop turn of the first response on it, 0 before that.
    pub const fn candidate(nonblock: bool, turn: u32) -> Self {
        let state = Self::new(Kind::Candidate, 0, turn);
        Self(state.0 | if nonblock { NONBLOCK } else { 0 })
    }

    /// A flow of `owner`.
    pub const fn flow(owner: u32, flow: FlowRef) -> Self {
        Self::new(Kind::Flow, owner, flow.raw())
    }

    /// This connection as a flow of `owner`.
    pub const fn into_flow(self, owner: u32, flow: FlowRef) -> Self {
        Self(Self::flow(owner, flow).0 | self.0 & (LEVEL | NEVER_LEVEL | RECORDS))
    }

    /// This candidate, non-blocking or not.
    pub const fn with_nonblock(self, on: bool) -> Self {
        Self(self.0 & !NONBLOCK | if on { NONBLOCK } else { 0 })
    }

    /// This candidate, with the turn of the first response on it.
    pub const fn with_turn(self, turn: u32) -> Self {
        Self(self.0 as u32 as u64 | (turn as u64) << 32)
    }

    /// This candidate, whose responses are more than one write.
    pub const fn with_company(self) -> Self {
        Self(self.0 | COMPANY)
    }

    /// This candidate, written to once more in one turn of the loop.
    pub const fn with_further(self) -> Self {
        if self.company() {
            return self;
        }
        let further = Self(self.0 + FURTHER);
        if (further.0 / FURTHER) & 0xff == COMPANIONS as u64 {
            return self.with_company();
        }
        further
    }

    /// Whether responses on this candidate are more than one write.
    pub const fn company(self) -> bool {
        self.0 & COMPANY != 0
    }

    /// This candidate, with one more response that was one write and not queued.
    pub const fn alone_again(self) -> Self {
        if self.lonely() {
            return self;
        }
        Self(self.0 + ALONE)
    }

    /// Whether so many responses on this candidate were that that it is no use to expect others.
    #[inline]
    pub const fn lonely(self) -> bool {
        (self.0 / ALONE) & 0xff == LONELY
    }

    /// This, [`Self::level`] from now on if nothing speaks against it.
    pub const fn with_level(self) -> Self {
        Self(if self.0 & NEVER_LEVEL == 0 {
            self.0 | LEVEL
        } else {
            self.0
        })
    }

    /// This, never [`Self::level`] again.
    pub const fn without_level(self) -> Self {
        Self(self.0 & !LEVEL | NEVER_LEVEL)
    }

    /// This connection, of whose bytes the kernel makes records from now on.
    pub const fn with_records(self) -> Self {
        Self(self.0 | RECORDS)
    }

    /// Whether the kernel makes records of what is written.
    pub const fn records(self) -> bool {
        self.0 & RECORDS != 0
    }

    /// To be closed by `owner`.
    pub const fn closing(owner: u32) -> Self {
        Self::new(Kind::Closing, owner, 0)
    }

    /// A connection that goes straight through, and why.
    pub const fn through(why: Why) -> Self {
        Self::new(Kind::Through, 0, why as u32)
    }

    /// An epoll set of `owner`.
    pub const fn epoll(owner: u32) -> Self {
        Self::new(Kind::Epoll, owner, 0)
    }

    #[inline]
    pub const fn kind(self) -> Kind {
        match self.0 & 7 {
            1 => Kind::Candidate,
            2 => Kind::Flow,
            3 => Kind::File,
            4 => Kind::Closing,
            5 => Kind::Epoll,
            6 => Kind::Own,
            7 => Kind::Through,
            _ => Kind::Untracked,
        }
    }

    #[inline]
    pub const fn owner(self) -> u32 {
        (self.0 >> 8) as u32 & MAX_OWNER
    }

    /// Why a call on it goes straight through, if it is no flow and no candidate.
    pub fn why(self) -> Why {
        match self.kind() {
            Kind::Through => Why::ALL.get(self.value() as usize).copied(),
            _ => None,
        }
        .unwrap_or(Why::Other)
    }

    /// Turn, flow reference or reason, by kind.
    #[inline]
    pub const fn value(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub const fn nonblock(self) -> bool {
        self.0 & NONBLOCK != 0
    }

    /// Whether its reads may be answered; of an epoll set, whether its owner sleeps in it.
    #[inline]
    pub const fn level(self) -> bool {
        self.0 & LEVEL != 0
    }
}

struct Slot {
    state: AtomicU64,
    /// Size of a [`Kind::File`] plus one; 0 if not known.
    size: AtomicU64,
}

// Untouched parts of it are never backed by memory.
static TABLE: [Slot; FDS] = [const {
    Slot {
        state: AtomicU64::new(0),
        size: AtomicU64::new(0),
    }
}; FDS];

/// One more than the highest descriptor ever tracked.
static TOP: AtomicUsize = AtomicUsize::new(0);

/// Set for good once two threads have waited on one epoll set. Then a close must
/// not be put off: the other thread could still get events for the descriptor.
static SHARED_EPOLL: AtomicBool = AtomicBool::new(false);

/// What is known of `fd`.
#[inline]
pub fn get(fd: c_int) -> State {
    match TABLE.get(fd as usize) {
        Some(slot) => State(slot.state.load(Ordering::Acquire)),
        None => State::UNTRACKED,
    }
}

/// Whether anything is known of `fd`.
#[inline]
pub fn tracked(fd: c_int) -> bool {
    get(fd) != State::UNTRACKED
}

/// Notes what `fd` is now; out of range it stays untracked.
#[inline]
pub fn set(fd: c_int, state: State) {
    let Some(slot) = TABLE.get(fd as usize) else {
        return;
    };
    if fd as usize >= TOP.load(Ordering::Relaxed) && state != State::UNTRACKED {
        TOP.fetch_max(fd as usize + 1, Ordering::Relaxed);
    }
    slot.state.store(state.0, Ordering::Release);
}

/// Notes that `fd` is of no interest.
#[inline]
pub fn forget(fd: c_int) {
    if tracked(fd) {
        set(fd, State::UNTRACKED);
    }
}

/// Notes a file that was just opened for reading: its size is not known yet.
#[inline]
pub fn set_file(fd: c_int) {
    if let Some(slot) = TABLE.get(fd as usize) {
        slot.size.store(0, Ordering::Relaxed);
        set(fd, State::FILE);
    }
}

/// Forgets `fd` if its close was queued by `owner`; `false` if the number has
/// already become something else.
pub fn closed(fd: c_int, owner: u32) -> bool {
    replace(fd, State::closing(owner), State::UNTRACKED)
}

/// Notes the size of a file.
#[inline]
pub fn set_size(fd: c_int, size: u64) {
    if let Some(slot) = TABLE.get(fd as usize) {
        slot.size.store(size.wrapping_add(1), Ordering::Relaxed);
    }
}

/// The size of a file, if it is known.
#[inline]
pub fn size(fd: c_int) -> Option<u64> {
    let slot = TABLE.get(fd as usize)?;
    if State(slot.state.load(Ordering::Acquire)).kind() != Kind::File {
        return None;
    }
    slot.size.load(Ordering::Relaxed).checked_sub(1)
}

/// Notes that thread `owner` waits on the epoll set `fd`, and whether it may sleep there.
#[inline]
pub fn waits(fd: c_int, owner: u32, sleeps: bool) {
    let state = get(fd);
    let ours = State::epoll(owner);
    if state == ours.with_level() || state == ours && !sleeps {
        return;
    }
    match state.kind() {
        Kind::Epoll if state != ours => SHARED_EPOLL.store(true, Ordering::Relaxed),
        Kind::Untracked | Kind::Through | Kind::Epoll => {
            set(fd, if sleeps { ours.with_level() } else { ours });
        }
        _ => {}
    }
}

/// Notes `new` of `fd` if it is still `old`: not if another thread has closed it or got it.
#[inline]
pub fn replace(fd: c_int, old: State, new: State) -> bool {
    TABLE.get(fd as usize).is_some_and(|slot| {
        slot.state
            .compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    })
}

/// Notes that the reads of the connection `fd` are never to be answered.
#[cold]
pub fn never_level(fd: c_int) {
    note(fd, State::without_level);
}

/// Notes that the kernel makes records of what is written to the connection `fd`.
#[cold]
pub fn makes_records(fd: c_int) {
    note(fd, State::with_records);
}

/// Notes whether calls on the candidate `fd` may wait.
pub fn blocks(fd: c_int, on: bool) {
    note(fd, |state| match state.kind() {
        Kind::Candidate => state.with_nonblock(!on),
        _ => state,
    });
}

/// Adds to what is known of a connection, whoever has it by now.
fn note(fd: c_int, add: impl Fn(State) -> State) {
    loop {
        let old = get(fd);
        let new = add(old);
        if !matches!(old.kind(), Kind::Candidate | Kind::Flow)
            || new == old
            || replace(fd, old, new)
        {
            return;
        }
    }
}

/// Whether closes may be put off.
#[inline]
pub fn closes_wait() -> bool {
    !SHARED_EPOLL.load(Ordering::Relaxed)
}

/// One more than the highest descriptor ever tracked.
pub fn top() -> c_int {
    TOP.load(Ordering::Relaxed) as c_int
}

/// Everything tracked from `from` on and below `to`.
pub fn all(from: c_int, to: c_int) -> impl Iterator<Item = (c_int, State)> {
    (from.max(0)..to.min(top()))
        .map(|fd| (fd, get(fd)))
        .filter(|(_, state)| *state != State::UNTRACKED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packing(owner in 0..=MAX_OWNER, value: u32, nonblock: bool) {
            let flow = State::flow(owner, FlowRef::from_raw(value));
            prop_assert_eq!((flow.kind(), flow.owner(), flow.value()), (Kind::Flow, owner, value));
            let candidate = State::candidate(nonblock, value);
            prop_assert_eq!(candidate.kind(), Kind::Candidate);
            prop_assert_eq!((candidate.nonblock(), candidate.value()), (nonblock, value));
            prop_assert!(!candidate.company());
            let known = candidate.with_company().with_turn(value.rotate_left(1));
            prop_assert_eq!((known.kind(), known.company()), (Kind::Candidate, true));
            let mut further = candidate;
            for _ in 0..COMPANIONS {
                prop_assert!(!further.company());
                further = further.with_further();
            }
            prop_assert_eq!((further.company(), further.value()), (true, value));
            prop_assert_eq!(further.with_further(), further);
            let mut alone = candidate;
            for _ in 0..LONELY {
                prop_assert!(!alone.lonely());
                alone = alone.alone_again();
            }
            prop_assert!(alone.lonely());
            prop_assert_eq!(alone.alone_again(), alone);
            prop_assert_eq!((alone.value(), alone.nonblock()), (candidate.value(), nonblock));
            let closing = State::closing(owner);
            prop_assert_eq!((closing.kind(), closing.owner()), (Kind::Closing, owner));
            let epoll = State::epoll(owner);
            prop_assert_eq!((epoll.kind(), epoll.owner()), (Kind::Epoll, owner));
        }
    }

    #[test]
    fn reasons_are_kept() {
        for why in Why::ALL {
            let state = State::through(*why);
            assert_eq!((state.kind(), state.why()), (Kind::Through, *why));
        }
        assert_eq!(State::UNTRACKED.why(), Why::Other);
    }

    // Each test uses descriptors of its own: they run in parallel on one table.

    #[test]
    fn out_of_range_is_untracked() {
        for fd in [-1, c_int::MIN, FDS as c_int, c_int::MAX] {
            set(fd, State::RING);
            assert_eq!(get(fd), State::UNTRACKED);
            assert_eq!(size(fd), None);
            assert!(!closed(fd, 1));
        }
    }

    #[test]
    fn size_belongs_to_a_file() {
        set_file(9010);
        assert_eq!(size(9010), None);
        set_size(9010, 0);
        assert_eq!(size(9010), Some(0));
        set(9010, State::candidate(true, 0));
        assert_eq!(size(9010), None);
    }

    #[test]
    fn reused_number_is_left_alone() {
        set(9020, State::closing(5));
        assert!(!closed(9020, 6));
        assert!(closed(9020, 5));
        set(9020, State::candidate(true, 0));
        assert!(!closed(9020, 5));
        assert_eq!(get(9020).kind(), Kind::Candidate);
    }

    #[test]
    fn walk_shows_what_is_tracked() {
        set(9031, State::STATS);
        set(9033, State::RING);
        let seen: Vec<_> = all(9030, 9035).map(|(fd, _)| fd).collect();
        assert_eq!(seen, [9031, 9033]);
    }
}
