// SPDX-License-Identifier: GPL-2.0

//! Operations on a flow: flow entries, checked, with what they name pinned.

use crate::{
    errno,
    glue::{Cred, File},
    mem::Mem,
};
use core::mem::size_of;
use kernel::{bindings, prelude::*};

/// What the flow entries call, as numbered on x86-64.
mod nr {
    pub(super) const WRITE: u16 = 1;
    pub(super) const WRITEV: u16 = 20;
    pub(super) const SENDFILE: u16 = 40;
    pub(super) const SENDTO: u16 = 44;
    pub(super) const SHUTDOWN: u16 = 48;
    pub(super) const SETSOCKOPT: u16 = 54;
}

const MAX_SEGS: usize = bindings::SAIO_FLOW_MAX_IOV as usize;
const MAX_OPTLEN: usize = 16;
/// As `MAX_RW_COUNT`.
const MAX_LEN: u64 = (i32::MAX as u64) & !(kernel::page::PAGE_SIZE as u64 - 1);

const MSG_DONTWAIT: u64 = 0x40;
const MSG_NOSIGNAL: u64 = 0x4000;
const MSG_MORE: u64 = 0x8000;

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
struct Seg {
    offset: u32,
    len: u32,
}

enum Kind {
    /// Bytes of the arena.
    Data { segs: [Seg; MAX_SEGS], more: bool },
    /// Bytes of a file.
    File { file: File, pos: i64 },
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

/// An operation on a flow.
///
/// # Invariants
///
/// `done <= total`; all segments lie in the arena of the ring that the operation came from, and
/// together hold `total` bytes.
pub(crate) struct Op {
    kind: Kind,
    total: u64,
    done: u64,
    /// Of the completion.
    pub(crate) user_data: u64,
    /// Whether a completion slot is reserved, to be filled whatever the result (`Some(false)`),
    /// or only by a failure (`Some(true)`).
    pub(crate) completion: Option<bool>,
    /// Whose operation it is, if another task has to run it.
    pub(crate) cred: Option<Cred>,
}

/// What the seccomp filter is asked about an entry of a flow.
pub(crate) fn filter_args(nr: u16, args: &[u64; 6], mem: &Mem) -> [u64; 6] {
    let mut seen = *args;
    seen[0] &= u64::from(u32::MAX);
    match nr {
        nr::WRITE | nr::WRITEV | nr::SENDTO => seen[1] = mem.arena_uaddr(args[1]),
        nr::SETSOCKOPT => seen[3] = mem.arena_uaddr(args[3]),
        _ => {}
    }
    seen
}

/// Whether an entry promises bytes, so that its failure is the connection's.
pub(crate) fn promises(nr: u16) -> bool {
    matches!(nr, nr::WRITE | nr::WRITEV | nr::SENDTO | nr::SENDFILE)
}

impl Op {
    /// Checks the entry of a flow and pins what it names.
    ///
    /// `EOPNOTSUPP` for a call that flows do not have, otherwise what the call would say.
    pub(crate) fn new(nr: u16, args: &[u64; 6], user_data: u64, mem: &Mem) -> Result<Self> {
        let mut total = 0;
        let kind = match nr {
            nr::WRITE => Self::data(args[1], args[2], false, mem, &mut total)?,
            nr::SENDTO => {
                if args[3] & !(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) != 0 {
                    return Err(errno::eopnotsupp());
                }
                if args[4] | args[5] != 0 {
                    return Err(errno::eisconn());
                }
                Self::data(args[1], args[2], args[3] & MSG_MORE != 0, mem, &mut total)?
            }
            nr::WRITEV => Self::vector(args[1], args[2], mem, &mut total)?,
            nr::SENDFILE => {
                if args[3] > MAX_LEN {
                    return Err(EINVAL);
                }
                total = args[3];
                Kind::File {
                    file: File::get(args[1] as u32, args[2] as i64, total as usize)?,
                    pos: args[2] as i64,
                }
            }
            nr::SETSOCKOPT => {
                if !OPTIONS.contains(&(args[1], args[2])) {
                    return Err(errno::eopnotsupp());
                }
                Kind::SetOpt {
                    level: args[1] as i32,
                    name: args[2] as i32,
                    value: mem.arena_copy(args[3], args[4].min(1 << 20) as usize)?,
                    len: args[4] as u32,
                }
            }
            nr::SHUTDOWN => Kind::Shutdown {
                how: args[1] as i32,
            },
            _ => return Err(errno::eopnotsupp()),
        };
        // INVARIANT: Each arm has checked its segments and summed them up.
        Ok(Self {
            kind,
            total,
            done: 0,
            user_data,
            completion: None,
            cred: None,
        })
    }

    /// The end of the write side, asked for by a system call.
    pub(crate) fn shutdown(how: i32) -> Self {
        Self {
            kind: Kind::Shutdown { how },
            total: 0,
            done: 0,
            user_data: 0,
            completion: None,
            cred: Some(Cred::current()),
        }
    }

    fn data(offset: u64, len: u64, more: bool, mem: &Mem, total: &mut u64) -> Result<Kind> {
        let mut segs = [Seg::default(); MAX_SEGS];
        mem.arena(offset, len)?;
        segs[0] = Seg {
            offset: offset as u32,
            len: len as u32,
        };
        *total = len;
        Ok(Kind::Data { segs, more })
    }

    fn vector(offset: u64, count: u64, mem: &Mem, total: &mut u64) -> Result<Kind> {
        const IOVEC: u64 = size_of::<bindings::iovec>() as u64;

        let mut segs = [Seg::default(); MAX_SEGS];
        if count > MAX_SEGS as u64 {
            return Err(EINVAL);
        }
        mem.arena(offset, count * IOVEC)?;
        for (i, seg) in segs.iter_mut().enumerate().take(count as usize) {
            let raw: [u8; IOVEC as usize] =
                mem.arena_copy(offset + i as u64 * IOVEC, IOVEC as usize)?;
            let (base, len) = raw.split_at(8);
            let word = |b: &[u8]| b.iter().rev().fold(0, |w, x| w << 8 | u64::from(*x));
            let (base, len) = (word(base), word(len));
            mem.arena(base, len)?;
            *seg = Seg {
                offset: base as u32,
                len: len as u32,
            };
            *total += len;
        }
        Ok(Kind::Data { segs, more: false })
    }

    /// Whether the operation carries bytes.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self.kind, Kind::Data { .. } | Kind::File { .. })
    }

    /// Bytes that have not left yet.
    pub(crate) fn left(&self) -> u64 {
        self.total - self.done
    }

    /// Bytes that have left.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Runs the operation as far as the socket lets it, for the current task.
    ///
    /// With `more`, further bytes follow at once.
    ///
    /// # Safety
    ///
    /// `ss` must belong to an attached flow whose socket is not being released, and whose
    /// operations nobody else runs; `mem` must be that of the ring the operation came from.
    pub(crate) unsafe fn run(
        &mut self,
        ss: *mut bindings::saio_sock,
        mem: &Mem,
        follows: bool,
    ) -> Outcome {
        let (total, done) = (self.total, &mut self.done);
        match &mut self.kind {
            Kind::Data { segs, more } => {
                let flags = if *more || follows { MSG_MORE as i32 } else { 0 };
                loop {
                    let mut vecs = [const {
                        bindings::kvec {
                            iov_base: core::ptr::null_mut(),
                            iov_len: 0,
                        }
                    }; MAX_SEGS];
                    let mut skip = *done;
                    let mut n = 0;
                    for seg in segs.iter() {
                        let len = u64::from(seg.len);
                        if skip >= len {
                            skip -= len;
                            continue;
                        }
                        let Ok(base) = mem.arena(u64::from(seg.offset) + skip, len - skip) else {
                            return Outcome::Failed(EFAULT);
                        };
                        vecs[n].iov_base = base.cast();
                        vecs[n].iov_len = (len - skip) as usize;
                        n += 1;
                        skip = 0;
                    }
                    let left = (total - *done) as usize;
                    // SAFETY: The caller vouches for `ss`; `vecs` holds `n` pieces of the arena
                    // with `left` bytes in all.
                    let sent =
                        unsafe { bindings::saio_sock_send(ss, vecs.as_mut_ptr(), n, left, flags) };
                    if let Some(outcome) = account(sent, total, done) {
                        return outcome;
                    }
                }
            }
            Kind::File { file, pos } => {
                let (file, pos) = (file.as_ptr(), *pos);
                if total == 0 {
                    return Outcome::Done(0);
                }
                loop {
                    let left = (total - *done) as usize;
                    // SAFETY: The caller vouches for `ss`, and the file is pinned.
                    let sent = unsafe {
                        bindings::saio_sock_sendfile(ss, file, pos + *done as i64, left, follows)
                    };
                    if sent == 0 {
                        // The file has shrunk: the bytes promised do not exist.
                        return Outcome::Failed(EIO);
                    }
                    if let Some(outcome) = account(sent, total, done) {
                        return outcome;
                    }
                }
            }
            Kind::SetOpt {
                level,
                name,
                value,
                len,
            } => {
                // SAFETY: The caller vouches for `ss`; `len` was checked against `value`.
                let ret = unsafe {
                    bindings::saio_sock_setopt(ss, *level, *name, value.as_mut_ptr().cast(), *len)
                };
                Outcome::Done(ret.into())
            }
            Kind::Shutdown { how } => {
                // SAFETY: The caller vouches for `ss`.
                Outcome::Done(unsafe { bindings::saio_sock_shut(ss, *how) }.into())
            }
        }
    }
}

/// Takes what a send has returned into account; `None` if there is more to send.
fn account(sent: isize, total: u64, done: &mut u64) -> Option<Outcome> {
    if sent >= 0 {
        // INVARIANT: A send takes no more than it was given.
        *done = (*done + sent as u64).min(total);
        return (*done == total).then_some(Outcome::Done(total as i64));
    }
    let err = Error::from_errno(sent as i32);
    Some(if err == EAGAIN {
        Outcome::Again
    } else if err == EINTR || err == ERESTARTSYS {
        Outcome::Interrupted
    } else {
        Outcome::Failed(err)
    })
}
