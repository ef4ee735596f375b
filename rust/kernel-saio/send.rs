// SPDX-License-Identifier: GPL-2.0

//! Running operations on a flow.

use crate::{
    glue,
    mem::Mem,
    op::{Kind, Lone, Op, Outcome, Part, Segs, MAX_SEGS, MSG_MORE},
};
use core::mem::MaybeUninit;
use kernel::{bindings, prelude::*};

/// Pieces of memory to send.
struct Vecs {
    vecs: [MaybeUninit<bindings::kvec>; MAX_SEGS],
    n: usize,
}

impl Vecs {
    #[inline(always)]
    fn new() -> Self {
        Self {
            vecs: [const { MaybeUninit::uninit() }; MAX_SEGS],
            n: 0,
        }
    }

    /// Adds the segments, but for the first `skip` bytes. Where it is, as a copy costs more than this.
    #[inline]
    fn fill(&mut self, segs: &Segs, mut skip: u64, mem: &Mem) -> Result {
        for seg in segs.as_slice() {
            let len = u64::from(seg.len);
            if skip >= len {
                skip -= len;
                continue;
            }
            let base = mem.arena(u64::from(seg.offset) + skip, len - skip)?;
            self.vecs[self.n].write(bindings::kvec {
                iov_base: base.cast(),
                iov_len: (len - skip) as usize,
            });
            self.n += 1;
            skip = 0;
        }
        Ok(())
    }

    /// The `n` pieces that were written.
    fn as_mut_ptr(&mut self) -> *mut bindings::kvec {
        self.vecs.as_mut_ptr().cast()
    }
}

impl Op {
    /// Runs the operation as far as the socket lets it, for the current task. `follows`: more bytes
    /// come at once.
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
        match &mut self.kind {
            Kind::Data { segs, more, part } => {
                let flags = if *more || follows { MSG_MORE as i32 } else { 0 };
                while self.done < self.total {
                    // SAFETY: By the caller's promise.
                    let sent = unsafe { send(ss, mem, segs, part, self.total, self.done, flags) };
                    match sent {
                        // INVARIANT: A send takes no more than it was given.
                        Ok(n) => self.done = (self.done + n).min(self.total),
                        Err(EAGAIN) => return Outcome::Again,
                        Err(EINTR | ERESTARTSYS) => return Outcome::Interrupted,
                        Err(err) => return Outcome::Failed(err),
                    }
                    // A peer that keeps up must not keep a signal waiting.
                    if self.done < self.total && glue::interrupted() {
                        return Outcome::Interrupted;
                    }
                }
                Outcome::Done(self.total as i64)
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

/// Sends bytes that stand alone, as far as the socket lets it: how many.
///
/// # Safety
///
/// As for [`Op::run`].
#[inline]
pub(crate) unsafe fn lone(ss: *mut bindings::saio_sock, mem: &Mem, send: &Lone) -> Result<u64> {
    let (offset, more) = send.place();
    let mut vec = bindings::kvec {
        iov_base: mem.arena(offset, send.len)?.cast(),
        iov_len: send.len as usize,
    };
    let flags = if more { MSG_MORE as i32 } else { 0 };
    // SAFETY: The caller vouches for `ss`; `vec` holds bytes of the arena.
    let sent = unsafe { bindings::saio_sock_send(ss, &mut vec, 1, vec.iov_len, flags) };
    match sent {
        0.. => Ok(sent as u64),
        _ => Err(Error::from_errno(sent as i32)),
    }
}

/// Sends some of what is left behind the first `done` of `total` bytes: how many.
///
/// # Safety
///
/// As for [`Op::run`].
unsafe fn send(
    ss: *mut bindings::saio_sock,
    mem: &Mem,
    segs: &Segs,
    part: &Option<Part>,
    total: u64,
    done: u64,
    flags: i32,
) -> Result<u64> {
    let before = total - part.as_ref().map_or(0, |part| part.len);
    let bytes = before.saturating_sub(done) as usize;
    let mut sent = 0;
    if let Some(part) = part {
        let skip = done.saturating_sub(before);
        let (file, pos) = (part.file.as_ptr(), part.pos + skip as i64);
        let len = (part.len - skip) as usize;
        let mut vecs = Vecs::new();
        vecs.fill(segs, done, mem)?;
        // SAFETY: The caller vouches for `ss`; `vecs` holds `bytes` bytes of the arena, and the
        // file is pinned.
        sent = unsafe {
            let vec = vecs.as_mut_ptr();
            bindings::saio_sock_send_pages(ss, vec, vecs.n, bytes, file, pos, len, flags)
        };
        if sent == 0 && bytes == 0 {
            // The pages are not at hand.
            // SAFETY: As above.
            sent = unsafe { bindings::saio_sock_sendfile(ss, file, pos, len, flags) };
        }
    }
    if sent == 0 && bytes != 0 {
        let flags = flags | if part.is_some() { MSG_MORE as i32 } else { 0 };
        let mut vecs = Vecs::new();
        vecs.fill(segs, done, mem)?;
        // SAFETY: As above.
        sent = unsafe { bindings::saio_sock_send(ss, vecs.as_mut_ptr(), vecs.n, bytes, flags) };
    }
    match sent {
        1.. => Ok(sent as u64),
        // The file has shrunk: the bytes promised do not exist.
        0 => Err(EIO),
        _ => Err(Error::from_errno(sent as i32)),
    }
}
