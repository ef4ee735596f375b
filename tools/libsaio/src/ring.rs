// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring of the calling thread.

use std::ffi::c_int;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use saio_logic::ring::{Producer, Reader};

use crate::sys::{self, saio_cqe, saio_params, saio_ring, saio_sqe};

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
        })
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
    /// Nothing runs before [`Self::enter`].
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
    pub fn replace_newest(&mut self, entry: &saio_sqe) {
        self.write_entry(self.newest, entry);
    }

    /// How many entries are published and not taken.
    #[inline]
    pub fn pending(&mut self) -> u32 {
        let header = self.header();
        // SAFETY: the word lies in the mapping and is only used atomically.
        self.producer
            .pending(unsafe { atomic(&raw mut (*header).sq_head) })
    }

    /// Has up to `to_submit` entries run on this thread, then waits for `min_complete`
    /// unread completions. Returns how many entries were taken, or a negated errno.
    ///
    /// # Safety
    ///
    /// Entries are system calls: what those that are published point to must be good
    /// for them until they complete.
    #[inline]
    pub unsafe fn enter(&mut self, to_submit: u32, min_complete: u32) -> isize {
        // SAFETY: the caller's contract.
        unsafe { sys::enter(self.fd, to_submit, min_complete) }
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
    use super::*;

    /// A ring without kernel: private memory laid out as the kernel would.
    fn fake() -> Ring {
        let params = saio_params {
            sq_entries: 4,
            cq_entries: 8,
            flows: 2,
            arena_size: 4096,
            sq_off: 192,
            cq_off: 448,
            flow_off: 576,
            arena_off: 4096,
            map_size: 8192,
            ..Default::default()
        };
        Ring {
            fd: -1,
            base: sys::map(None, params.map_size as usize).unwrap(),
            producer: Producer::new(params.sq_entries),
            reader: Reader::new(params.cq_entries),
            params,
            newest: 0,
        }
    }

    fn entry(user_data: u64) -> saio_sqe {
        saio_sqe {
            user_data,
            ..Default::default()
        }
    }

    #[test]
    fn fills_up_and_drains() {
        let mut ring = fake();
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
        let mut ring = fake();
        ring.push(&entry(1));
        ring.push(&entry(2));
        ring.replace_newest(&entry(9));
        // SAFETY: the mapping is ours.
        let got = unsafe { ring.at::<saio_sqe>(192).add(1).read() };
        assert_eq!(got.user_data, 9);
    }

    #[test]
    fn completions_in_order() {
        let mut ring = fake();
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
        let ring = fake();
        // SAFETY: the mapping is ours.
        unsafe { ring.at::<u32>(576).add(1).write(77) };
        assert_eq!(ring.flow_word(1), 77);
        assert_eq!(ring.flow_word(2), 0);
    }
}
