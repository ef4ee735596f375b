// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring of the calling thread.

use std::ffi::c_int;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use saio_logic::ring::{Producer, Reader};

#[cfg(any(test, feature = "fake"))]
use crate::fake::Kernel;
use crate::flow::FlowRef;
use crate::pool;
use crate::restriction::Restriction;
use crate::sys::{self, saio_cqe, saio_params, saio_ring, saio_ring_pool, saio_sqe};

/// Where the descriptor of a ring goes, if the limit on descriptors allows.
pub const HIGH_FD: c_int = 500;

/// A ring and its mapping.
///
/// It belongs to the thread that made it: the kernel refuses every other one
/// (`EPERM`), and the type is neither `Send` nor `Sync`. A forked child has neither the
/// right to use the ring nor the mapping: it must forget (`mem::forget`) what it
/// inherits, or not touch it.
///
/// # Invariants
///
/// The pointers stay within the mapping, which is as the kernel described it and
/// lives as long as the value.
#[derive(Debug)]
pub struct Ring {
    fd: c_int,
    base: NonNull<u8>,
    params: saio_params,
    producer: Producer,
    reader: Reader,
    newest: u32,
    /// Stands for the kernel, and owns the mapping.
    #[cfg(any(test, feature = "fake"))]
    fake: Option<std::sync::Arc<Kernel>>,
}

impl Ring {
    /// Makes a ring; fields of `params` that are zero mean the kernel's default.
    ///
    /// # Errors
    ///
    /// Those of `saio_setup` (`ENOSYS`: no SAIO in this kernel; `ENOMEM`: `RLIMIT_MEMLOCK`)
    /// and of `mmap`.
    pub fn setup(mut params: saio_params) -> io::Result<Self> {
        let fd = sys::move_up(sys::setup(&mut params)?, HIGH_FD);
        let base = match sys::map(Some(fd), params.map_size as usize) {
            Ok(base) => base,
            Err(error) => {
                sys::close(fd);
                return Err(error);
            }
        };
        // INVARIANT: just mapped, with the offsets that the kernel wrote.
        Ok(Self {
            fd,
            base,
            producer: Producer::new(params.sq_entries),
            reader: Reader::new(params.cq_entries),
            params,
            newest: 0,
            #[cfg(any(test, feature = "fake"))]
            fake: None,
        })
    }

    /// A ring without kernel, and what answers in its place. Of `params` the sizes count.
    ///
    /// # Errors
    ///
    /// Those of `mmap`.
    #[cfg(any(test, feature = "fake"))]
    pub fn fake(params: saio_params) -> io::Result<(Self, std::sync::Arc<Kernel>)> {
        let kernel = std::sync::Arc::new(Kernel::new(params)?);
        let params = *kernel.params();
        // INVARIANT: the kernel has laid its memory out so, and is kept.
        let ring = Self {
            fd: -1,
            base: kernel.base(),
            producer: Producer::new(params.sq_entries),
            reader: Reader::new(params.cq_entries),
            params,
            newest: 0,
            fake: Some(kernel.clone()),
        };
        Ok((ring, kernel))
    }

    /// Attaches the ring to a pool, for good: from now on threads of the kernel take entries too,
    /// see [`Self::push`]. `mode` is `SAIO_MODE_AUTO` or `SAIO_MODE_POOL`.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is no such pool. `EACCES`: the caller is not in its group. `EINVAL`: another
    /// mode, or a kernel without pools. Others: see docs/abi.md.
    pub fn attach(&mut self, pool: &pool::Name, mode: u32) -> io::Result<()> {
        let mut reg = saio_ring_pool {
            mode,
            ..Default::default()
        };
        // What is left are zeros: a name is shorter than its place.
        let name = pool.as_str().as_bytes();
        reg.name[..name.len()].copy_from_slice(name);
        sys::attach(self.fd, &mut reg)
    }

    /// Takes from the ring what `restriction` does not have, for good. Entries with other calls fail with
    /// `EACCES`, and if they are to send on a flow, its connection fails with them.
    ///
    /// # Errors
    ///
    /// `EBUSY`: it is to have no pool, and has one. `EINVAL`: a kernel without restrictions.
    pub fn restrict(&mut self, restriction: Restriction) -> io::Result<()> {
        sys::restrict(self.fd, &mut restriction.raw())
    }

    /// What the kernel made of the parameters.
    pub fn params(&self) -> &saio_params {
        &self.params
    }

    /// The ring's descriptor.
    pub fn fd(&self) -> c_int {
        self.fd
    }

    /// Publishes an entry. `false` if the queue is full.
    ///
    /// Without a pool nothing runs before [`Self::enter`]. With one, entries of flows may be taken
    /// and run from now on, as long as a thread is awake. An ordinary entry is run by this thread
    /// only, in [`Self::enter`]; one that has an entry of a flow behind it may leave the queue
    /// before, for a list in the kernel.
    #[inline]
    pub fn push(&mut self, entry: &saio_sqe) -> bool {
        let header = self.header();
        // SAFETY: the word lies in the mapping and is only used atomically.
        let head = unsafe { atomic(&raw mut (*header).sq_head) };
        let Some(slot) = self.producer.slot(head) else {
            return false;
        };
        self.write_entry(slot, entry);
        self.newest = slot;
        // SAFETY: as above.
        self.producer
            .publish(unsafe { atomic(&raw mut (*header).sq_tail) });
        true
    }

    /// Puts another entry in the place of the newest one, which must not have been
    /// taken: [`Self::pending`] is not zero.
    ///
    /// Neither of the two may be one of a flow. Then there is no race with a pool: only
    /// [`Self::enter`], and so this thread, takes an ordinary entry with none of a flow
    /// behind it. Threads of the pool see that it is one, before and after, and leave it.
    pub fn replace_newest(&mut self, entry: &saio_sqe) {
        debug_assert_eq!(entry.flags & sys::SQE_FLOW, 0);
        self.write_entry(self.newest, entry);
    }

    /// Whether nobody looks at the queue, so that [`Self::wake`] or [`Self::enter`] is needed for
    /// what was published. `false` may be relied upon: what is published is looked at.
    #[inline]
    pub fn need_wakeup(&self) -> bool {
        let header = self.header();
        // SAFETY: the word lies in the mapping and is only used atomically.
        Producer::need_wakeup(unsafe { atomic(&raw mut (*header).sq_flags) })
    }

    /// Has the pool look at the queue. This thread runs nothing. Returns 0 or a negated errno;
    /// then what is published waits for [`Self::enter`].
    pub fn wake(&mut self) -> isize {
        #[cfg(any(test, feature = "fake"))]
        if let Some(kernel) = &self.fake {
            return kernel.wake();
        }
        // SAFETY: only entries of flows run for this; they name descriptors and arena bytes.
        unsafe { sys::enter(self.fd, 0, 0, sys::SAIO_ENTER_WAKEUP) }
    }

    /// How many entries are published and not taken. With a pool it may be fewer already.
    #[inline]
    pub fn pending(&mut self) -> u32 {
        let header = self.header();
        // SAFETY: the word lies in the mapping and is only used atomically.
        self.producer
            .pending(unsafe { atomic(&raw mut (*header).sq_head) })
    }

    /// Has up to `to_submit` entries run, then waits for `min_complete` unread completions.
    /// Returns how many entries this call took, or a negated errno.
    ///
    /// With a pool fewer may be left than the caller believes, even none, which is no error. Those
    /// of flows may then have been handed to the pool, in order, and not have run. Ordinary ones
    /// have: also those that left the queue before, which are not counted. While this call lasts
    /// nobody else takes entries.
    ///
    /// # Safety
    ///
    /// Entries are system calls: what those that are published point to must be good
    /// for them until they complete.
    #[inline]
    pub unsafe fn enter(&mut self, to_submit: u32, min_complete: u32) -> isize {
        #[cfg(any(test, feature = "fake"))]
        if let Some(kernel) = &self.fake {
            return kernel.enter(to_submit);
        }
        // SAFETY: the caller's contract.
        unsafe { sys::enter(self.fd, to_submit, min_complete, 0) }
    }

    /// As [`Self::enter`], but the wait ends after `timeout`, if there is one.
    ///
    /// # Safety
    ///
    /// As for [`Self::enter`].
    pub unsafe fn enter_for(
        &mut self,
        to_submit: u32,
        min_complete: u32,
        timeout: Option<Duration>,
    ) -> isize {
        let Some(timeout) = timeout else {
            // SAFETY: the caller's contract.
            return unsafe { self.enter(to_submit, min_complete) };
        };
        #[cfg(any(test, feature = "fake"))]
        if let Some(kernel) = &self.fake {
            return kernel.enter(to_submit);
        }
        // Zero would be no limit.
        let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1);
        // SAFETY: the caller's contract.
        unsafe { sys::enter_timeout(self.fd, to_submit, min_complete, ns) }
    }

    /// Makes a flow of the connected TCP socket `socket`.
    ///
    /// # Errors
    ///
    /// Those of `SAIO_REGISTER_FLOW`, see docs/abi.md.
    pub fn register(&mut self, socket: c_int) -> io::Result<FlowRef> {
        #[cfg(any(test, feature = "fake"))]
        if let Some(kernel) = &self.fake {
            return kernel.register();
        }
        sys::register_flow(self.fd, socket).map(FlowRef::from_raw)
    }

    /// Gives a flow up. What it holds still leaves.
    ///
    /// # Errors
    ///
    /// Those of `SAIO_UNREGISTER_FLOW`, see docs/abi.md.
    pub fn unregister(&mut self, flow: FlowRef) -> io::Result<()> {
        #[cfg(any(test, feature = "fake"))]
        if let Some(kernel) = &self.fake {
            return kernel.unregister(flow);
        }
        sys::unregister_flow(self.fd, flow.raw())
    }

    /// Takes the oldest completion.
    #[inline]
    pub fn pop(&mut self) -> Option<saio_cqe> {
        let header = self.header();
        // SAFETY: the word lies in the mapping and is only used atomically.
        let slot = self
            .reader
            .slot(unsafe { atomic(&raw mut (*header).cq_tail) })?;
        // SAFETY: a slot of the completion queue; the kernel has posted it and does
        // not write to it again before it is given back below.
        let cqe = unsafe {
            self.at::<saio_cqe>(self.params.cq_off)
                .add(slot as usize)
                .read()
        };
        // SAFETY: as the first.
        self.reader
            .advance(unsafe { atomic(&raw mut (*header).cq_head) });
        Some(cqe)
    }

    /// The status word of the flow in slot `index`; zero, an unused one, out of range.
    #[inline]
    pub fn flow_word(&self, index: usize) -> u32 {
        if index >= self.params.flows as usize {
            return 0;
        }
        // SAFETY: in range, so within the mapping, and only used atomically.
        let word = unsafe { atomic(self.at::<u32>(self.params.flow_off).add(index)) };
        word.load(Ordering::Acquire)
    }

    /// The arena byte at `offset`, which must be below `arena_size`. What lies behind it
    /// may be written as long as no entry that was published names it.
    #[inline]
    pub fn arena(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset < self.params.arena_size as usize);
        self.at::<u8>(self.params.arena_off).wrapping_add(offset)
    }

    #[inline]
    fn write_entry(&mut self, slot: u32, entry: &saio_sqe) {
        // SAFETY: a slot of the submission queue, which this thread alone writes.
        unsafe {
            self.at::<saio_sqe>(self.params.sq_off)
                .add(slot as usize)
                .write(*entry);
        }
    }

    #[inline]
    fn header(&self) -> *mut saio_ring {
        self.at(0)
    }

    #[inline]
    fn at<T>(&self, offset: u32) -> *mut T {
        self.base.as_ptr().wrapping_add(offset as usize).cast()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        #[cfg(any(test, feature = "fake"))]
        if self.fake.is_some() {
            return;
        }
        // SAFETY: by the invariant nothing outside this value points into the mapping
        // but what `arena` gave out, which its callers do not keep.
        unsafe { sys::unmap(self.base, self.params.map_size as usize) };
        sys::close(self.fd);
    }
}

/// A shared word.
///
/// # Safety
///
/// `word` must be in the mapping of a ring that outlives the reference.
#[inline]
unsafe fn atomic<'a>(word: *mut u32) -> &'a AtomicU32 {
    // SAFETY: the caller's contract; the kernel's accesses are atomic too.
    unsafe { AtomicU32::from_ptr(word) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn fake() -> (Ring, Arc<Kernel>) {
        Ring::fake(saio_params {
            sq_entries: 4,
            cq_entries: 8,
            flows: 2,
            arena_size: 4096,
            ..Default::default()
        })
        .unwrap()
    }

    fn entry(user_data: u64) -> saio_sqe {
        saio_sqe {
            user_data,
            ..Default::default()
        }
    }

    #[test]
    fn fills_up_and_drains() {
        let (mut ring, _kernel) = fake();
        for i in 0..4 {
            assert!(ring.push(&entry(i)));
        }
        assert!(!ring.push(&entry(4)));
        assert_eq!(ring.pending(), 4);
        // SAFETY: the mapping is ours.
        unsafe { (*ring.header()).sq_head = 3 };
        assert_eq!(ring.pending(), 1);
        assert!(ring.push(&entry(5)));
    }

    #[test]
    fn newest_can_be_replaced() {
        let (mut ring, _kernel) = fake();
        ring.push(&entry(1));
        ring.push(&entry(2));
        ring.replace_newest(&entry(9));
        // SAFETY: the mapping is ours.
        let got = unsafe { ring.at::<saio_sqe>(192).add(1).read() };
        assert_eq!(got.user_data, 9);
    }

    #[test]
    fn pool_takes_what_is_behind_nothing_else() {
        let (mut ring, kernel) = fake();
        let flow = saio_sqe {
            flags: sys::SQE_FLOW,
            ..entry(2)
        };
        assert!(ring.need_wakeup());
        assert_eq!(ring.wake(), 0);
        assert!(!ring.need_wakeup());
        for entry in [entry(1), flow, entry(3)] {
            assert!(ring.push(&entry));
        }
        assert_eq!(kernel.take(9), 2);
        assert_eq!((ring.pending(), kernel.held()), (1, (1, 1)));
        kernel.work(1);
        assert_eq!(ring.pop().unwrap().user_data, 2);
        // What was put aside runs first and is not counted.
        // SAFETY: the entries run nowhere.
        assert_eq!(unsafe { ring.enter(3, 0) }, 1);
        let ran: Vec<_> = kernel.ran().iter().map(|sqe| sqe.user_data).collect();
        assert_eq!(ran, [2, 1, 3]);
    }

    #[test]
    fn completions_in_order() {
        let (mut ring, _kernel) = fake();
        assert!(ring.pop().is_none());
        for i in 0..2 {
            let cqe = saio_cqe {
                user_data: i,
                res: -5,
            };
            // SAFETY: the mapping is ours.
            unsafe { ring.at::<saio_cqe>(448).add(i as usize).write(cqe) };
        }
        // SAFETY: the mapping is ours.
        unsafe { (*ring.header()).cq_tail = 2 };
        assert_eq!(ring.pop().unwrap().user_data, 0);
        assert_eq!(ring.pop().unwrap().res, -5);
        assert!(ring.pop().is_none());
    }

    #[test]
    fn flow_words_are_bounded() {
        let (ring, _kernel) = fake();
        // SAFETY: the mapping is ours.
        unsafe { ring.at::<u32>(576).add(1).write(77) };
        assert_eq!(ring.flow_word(1), 77);
        assert_eq!(ring.flow_word(2), 0);
    }
}
