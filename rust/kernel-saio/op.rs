// SPDX-License-Identifier: GPL-2.0

//! Operations on a flow: flow entries, checked, with what they name pinned.

mod lone;

pub(crate) use lone::Lone;

use crate::{
    errno,
    glue::{Caller, Cred, File},
    mem::Mem,
    ring::Ring,
    trace::{self, Where},
};
use core::mem::size_of;
use kernel::{alloc::Flags, bindings, prelude::*};

/// What the flow entries call, as numbered on x86-64.
mod nr {
    pub(super) const WRITE: u16 = 1;
    pub(super) const WRITEV: u16 = 20;
    pub(super) const SENDFILE: u16 = 40;
    pub(super) const SENDTO: u16 = 44;
    pub(super) const SENDMSG: u16 = 46;
    pub(super) const SHUTDOWN: u16 = 48;
    pub(super) const SETSOCKOPT: u16 = 54;

    /// All of them: what is not here goes past seccomp.
    pub(crate) const ALL: [i32; 7] = [
        WRITE as i32,
        WRITEV as i32,
        SENDFILE as i32,
        SENDTO as i32,
        SENDMSG as i32,
        SHUTDOWN as i32,
        SETSOCKOPT as i32,
    ];
}

pub(crate) use nr::ALL as CALLS;

pub(crate) const MAX_SEGS: usize = bindings::SAIO_FLOW_MAX_IOV as usize;
const MAX_OPTLEN: usize = 16;
/// As `MAX_RW_COUNT`.
const MAX_LEN: u64 = (i32::MAX as u64) & !(kernel::page::PAGE_SIZE as u64 - 1);

const MSG_DONTWAIT: u64 = 0x40;
const MSG_NOSIGNAL: u64 = 0x4000;
pub(crate) const MSG_MORE: u64 = 0x8000;
const SEND_FLAGS: u64 = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE;

const SOL_SOCKET: u64 = 1;
const SOL_TCP: u64 = 6;

/// Options of the write side that may stand in the order of a flow.
const OPTIONS: &[(u64, u64)] = &[
    (SOL_TCP, 1),     // TCP_NODELAY
    (SOL_TCP, 3),     // TCP_CORK
    (SOL_TCP, 12),    // TCP_QUICKACK
    (SOL_TCP, 18),    // TCP_USER_TIMEOUT
    (SOL_TCP, 25),    // TCP_NOTSENT_LOWAT
    (SOL_SOCKET, 7),  // SO_SNDBUF
    (SOL_SOCKET, 9),  // SO_KEEPALIVE
    (SOL_SOCKET, 12), // SO_PRIORITY
    (SOL_SOCKET, 13), // SO_LINGER
];

/// A piece of the arena.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seg {
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// Pieces of the arena: mostly one, and moved around with the operation, so the rest is elsewhere.
pub(crate) enum Segs {
    /// One, perhaps empty.
    One(Seg),
    /// Up to `MAX_SEGS`, the others empty.
    Many(KBox<[Seg; MAX_SEGS]>),
}

impl Segs {
    pub(crate) fn as_slice(&self) -> &[Seg] {
        match self {
            Self::One(seg) => core::slice::from_ref(seg),
            Self::Many(segs) => &**segs,
        }
    }
}

/// A part of a regular file.
pub(crate) struct Part {
    pub(crate) file: File,
    pub(crate) pos: i64,
    pub(crate) len: u64,
}

impl Part {
    /// What a sendfile with these arguments sends.
    #[inline]
    pub(crate) fn new(caller: Caller<'_>, args: &[u64; 6]) -> Result<Self> {
        let (pos, len) = (args[2] as i64, args[3]);
        if len > MAX_LEN {
            return Err(EINVAL);
        }
        let file = File::get(caller, args[1] as u32, pos, len as usize)?;
        Ok(Self { file, pos, len })
    }
}

pub(crate) enum Kind {
    /// Bytes of the arena, and those of a file behind them.
    Data {
        segs: Segs,
        more: bool,
        part: Option<Part>,
    },
    /// A socket option.
    SetOpt {
        level: i32,
        name: i32,
        value: [u8; MAX_OPTLEN],
        len: u32,
    },
    /// The end of the write side.
    Shutdown { how: i32 },
}

/// What is to be told of an entry when it is done.
#[derive(Clone, Copy)]
pub(crate) struct Completion {
    user_data: u64,
    nr: u16,
    reserved: Reserved,
}

/// Whether a slot is reserved for the completion.
#[derive(Clone, Copy)]
enum Reserved {
    No,
    /// To be filled whatever the result.
    Always,
    /// To be filled by a failure.
    OnlyFailure,
}

impl Completion {
    fn new(nr: u16, user_data: u64) -> Self {
        Self {
            user_data,
            nr,
            reserved: Reserved::No,
        }
    }

    fn reserve(&mut self, only_failure: bool) {
        self.reserved = if only_failure {
            Reserved::OnlyFailure
        } else {
            Reserved::Always
        };
    }

    /// What [`Ring::post`] takes, for this result.
    fn with(self, result: i64) -> Option<(u64, i64, bool)> {
        let only_failure = match self.reserved {
            Reserved::No => return None,
            Reserved::Always => false,
            Reserved::OnlyFailure => true,
        };
        Some((self.user_data, result, only_failure))
    }
}

/// How running an operation ended.
pub(crate) enum Outcome {
    /// It is done, with this result.
    Done(i64),
    /// The socket takes no more just now.
    Again,
    /// A signal wants the current task; somebody else may go on.
    Interrupted,
    /// It cannot be done. If its bytes were promised, the connection has to fail.
    Failed(Error),
}

/// An operation on a flow: an entry, or two that are sent as one.
///
/// # Invariants
///
/// `done <= total`; all segments lie in the arena of the ring that the operation came from, and
/// with the part of a file, if there is one, hold `total` bytes.
pub(crate) struct Op {
    pub(crate) kind: Kind,
    pub(crate) total: u64,
    pub(crate) done: u64,
    completion: Completion,
    /// Of the entry that the part of the file came from, if the bytes before it have their own.
    second: Option<Completion>,
    /// Whose operation it is, if another task has to run it.
    pub(crate) cred: Option<Cred>,
    /// When it was put behind others or left to a thread, as [`glue::clock`] says; 0: not at all.
    ///
    /// [`glue::clock`]: crate::glue::clock
    pub(crate) since: u64,
}

impl Default for Op {
    /// No bytes at all.
    fn default() -> Self {
        let nothing = Kind::Data {
            segs: Segs::One(Seg::default()),
            more: false,
            part: None,
        };
        // INVARIANT: One empty segment.
        Self::of(nothing, 0, Completion::new(nr::WRITE, 0))
    }
}

/// What the seccomp filter is asked about an entry of a flow.
pub(crate) fn filter_args(nr: u16, args: &[u64; 6], mem: &Mem) -> [u64; 6] {
    let mut seen = *args;
    seen[0] &= u64::from(u32::MAX);
    match nr {
        nr::WRITE | nr::WRITEV | nr::SENDTO | nr::SENDMSG => seen[1] = mem.arena_uaddr(args[1]),
        nr::SETSOCKOPT => seen[3] = mem.arena_uaddr(args[3]),
        _ => {}
    }
    seen
}

/// Whether an entry promises bytes, so that its failure is the connection's.
pub(crate) fn promises(nr: u16) -> bool {
    matches!(
        nr,
        nr::WRITE | nr::WRITEV | nr::SENDTO | nr::SENDMSG | nr::SENDFILE
    )
}

impl Op {
    /// Checks the entry of a flow and pins what it names.
    ///
    /// `EOPNOTSUPP` for a call that flows do not have, otherwise what the call would say.
    #[inline]
    pub(crate) fn new(
        caller: Caller<'_>,
        nr: u16,
        args: &[u64; 6],
        user_data: u64,
        mem: &Mem,
    ) -> Result<Self> {
        let mut total = 0;
        let kind = match nr {
            nr::WRITE => Self::data(args[1], args[2], false, mem, &mut total)?,
            nr::SENDTO => {
                check_flags(args[3])?;
                if args[4] | args[5] != 0 {
                    return Err(errno::eisconn());
                }
                Self::data(args[1], args[2], args[3] & MSG_MORE != 0, mem, &mut total)?
            }
            nr::WRITEV => Self::vector(args[1], args[2], false, mem, caller.gfp(), &mut total)?,
            nr::SENDMSG => Self::message(args[1], args[2], mem, caller.gfp(), &mut total)?,
            nr::SENDFILE => {
                let part = Part::new(caller, args)?;
                total = part.len;
                Kind::Data {
                    segs: Segs::One(Seg::default()),
                    more: false,
                    part: Some(part),
                }
            }
            nr::SETSOCKOPT => Self::option(args, mem)?,
            nr::SHUTDOWN => Kind::Shutdown {
                how: args[1] as i32,
            },
            _ => return Err(errno::eopnotsupp()),
        };
        // INVARIANT: Each arm has checked its segments and summed them up.
        Ok(Self::of(kind, total, Completion::new(nr, user_data)))
    }

    /// An operation that was not begun; `total` must be what `kind` holds.
    #[inline(always)]
    fn of(kind: Kind, total: u64, completion: Completion) -> Self {
        Self {
            kind,
            total,
            done: 0,
            completion,
            second: None,
            cred: None,
            since: 0,
        }
    }

    /// The end of the write side, asked for by a system call.
    pub(crate) fn shutdown(how: i32) -> Self {
        Self {
            cred: Some(Cred::current()),
            ..Self::of(Kind::Shutdown { how }, 0, Completion::new(nr::SHUTDOWN, 0))
        }
    }

    fn data(offset: u64, len: u64, more: bool, mem: &Mem, total: &mut u64) -> Result<Kind> {
        mem.arena(offset, len)?;
        *total = len;
        Ok(Kind::Data {
            segs: Segs::One(Seg {
                offset: offset as u32,
                len: len as u32,
            }),
            more,
            part: None,
        })
    }

    /// A socket option.
    #[inline(never)]
    fn option(args: &[u64; 6], mem: &Mem) -> Result<Kind> {
        if !OPTIONS.contains(&(args[1], args[2])) {
            return Err(errno::eopnotsupp());
        }
        Ok(Kind::SetOpt {
            level: args[1] as i32,
            name: args[2] as i32,
            value: mem.arena_copy(args[3], args[4].min(1 << 20) as usize)?,
            len: args[4] as u32,
        })
    }

    #[inline(never)]
    fn vector(
        offset: u64,
        count: u64,
        more: bool,
        mem: &Mem,
        gfp: Flags,
        total: &mut u64,
    ) -> Result<Kind> {
        const IOVEC: u64 = size_of::<bindings::iovec>() as u64;

        let mut segs = KBox::new([Seg::default(); MAX_SEGS], gfp)?;
        if count > MAX_SEGS as u64 {
            return Err(EINVAL);
        }
        mem.arena(offset, count * IOVEC)?;
        for (i, seg) in segs.iter_mut().enumerate().take(count as usize) {
            let raw: [u8; IOVEC as usize] =
                mem.arena_copy(offset + i as u64 * IOVEC, IOVEC as usize)?;
            let (base, len) = (word(&raw, 0), word(&raw, 1));
            mem.arena(base, len)?;
            *seg = Seg {
                offset: base as u32,
                len: len as u32,
            };
            *total += len;
        }
        Ok(Kind::Data {
            segs: Segs::Many(segs),
            more,
            part: None,
        })
    }

    /// A message: no address, since there is a connection, and no control data yet.
    #[inline(never)]
    fn message(offset: u64, flags: u64, mem: &Mem, gfp: Flags, total: &mut u64) -> Result<Kind> {
        const MSGHDR: usize = size_of::<bindings::user_msghdr>();

        check_flags(flags)?;
        let raw: [u8; MSGHDR] = mem.arena_copy(offset, MSGHDR)?;
        let [name, namelen, iov, iovlen, control, controllen] =
            [0, 1, 2, 3, 4, 5].map(|i| word(&raw, i));
        if name | namelen as u32 as u64 != 0 {
            return Err(errno::eisconn());
        }
        if control | controllen != 0 {
            return Err(errno::eopnotsupp());
        }
        Self::vector(iov, iovlen, flags & MSG_MORE != 0, mem, gfp, total)
    }

    /// Gives the operation the completion that was reserved for it.
    pub(crate) fn reserved(&mut self, only_failure: bool) {
        self.completion.reserve(only_failure);
    }

    /// Whether [`Self::append`] can take this entry of the same flow.
    pub(crate) fn takes(&self, nr: u16, args: &[u64; 6]) -> bool {
        nr == nr::SENDFILE && args[3] != 0 && matches!(self.kind, Kind::Data { part: None, .. })
    }

    /// Notes that more bytes come at once, if so.
    pub(crate) fn more_follows(&mut self, follows: bool) {
        if let Kind::Data { more, .. } = &mut self.kind {
            *more |= follows;
        }
    }

    /// Makes what a sendfile sends a part of this operation, which [`Self::takes`] it, with the
    /// completion that was reserved for it.
    #[inline]
    pub(crate) fn append(&mut self, new: Part, user_data: u64, only_failure: bool) {
        let Kind::Data { part, more, .. } = &mut self.kind else {
            return;
        };
        let mut completion = Completion::new(nr::SENDFILE, user_data);
        completion.reserve(only_failure);
        // What the bytes before it wait for has come.
        *more = false;
        // INVARIANT: The part is as long as the total grows.
        self.total += new.len;
        *part = Some(new);
        self.second = Some(completion);
    }

    /// The results of the operation's entries, when it has ended with `result`.
    fn results(&self, result: i64) -> (i64, Option<(Completion, i64)>) {
        let Kind::Data {
            part: Some(part), ..
        } = &self.kind
        else {
            return (result, None);
        };
        let Some(second) = self.second else {
            return (result, None);
        };
        let (before, own) = (self.total - part.len, part.len as i64);
        let file = if result < 0 { result } else { own };
        // What stands before a file that fails may have left.
        let first = if result >= 0 || self.done >= before {
            before as i64
        } else {
            result
        };
        (first, Some((second, file)))
    }

    /// Tells who listens how the operation's entries have ended.
    #[inline]
    pub(crate) fn tell(&self, result: i64, ring: &Ring, flow: u32, place: Where) {
        if !trace::listened() {
            return;
        }
        let (first, second) = self.results(result);
        let tell = |(entry, result): (Completion, i64)| {
            trace::complete(ring, entry.nr, entry.user_data, flow, result, place);
        };
        second.map(tell);
        tell((self.completion, first));
    }

    /// Whether the operation's entries have completions for failures only.
    #[inline]
    pub(crate) fn tells_only_failures(&self) -> bool {
        let only = |entry: &Completion| matches!(entry.reserved, Reserved::OnlyFailure);
        only(&self.completion) && self.second.as_ref().map_or(true, only)
    }

    /// Reports the result of the operation, or of each of its two entries, to the ring.
    #[inline]
    pub(crate) fn complete(&self, result: i64, ring: &Ring, flow: u32, place: Where) {
        self.tell(result, ring, flow, place);
        let (first, second) = self.results(result);
        let second = second.and_then(|(entry, result)| entry.with(result));
        ring.post(&[self.completion.with(first), second]);
    }

    /// How many entries the operation is: two if a file was appended.
    pub(crate) fn entries(&self) -> u64 {
        1 + u64::from(self.second.is_some())
    }

    /// Whether the operation carries bytes.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self.kind, Kind::Data { .. })
    }

    /// Bytes that have not left yet.
    pub(crate) fn left(&self) -> u64 {
        self.total - self.done
    }

    /// Bytes of the arena that the operation keeps.
    pub(crate) fn held(&self) -> u64 {
        match &self.kind {
            Kind::Data { part, .. } => self.total - part.as_ref().map_or(0, |part| part.len),
            _ => 0,
        }
    }
}

/// The word `i` of a structure in its bytes.
fn word(raw: &[u8], i: usize) -> u64 {
    let bytes = raw.iter().skip(i * 8).take(8).rev();
    bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn check_flags(flags: u64) -> Result {
    if flags & !SEND_FLAGS != 0 {
        return Err(errno::eopnotsupp());
    }
    Ok(())
}
