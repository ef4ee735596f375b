// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring by hand: it does what it is told, sense or not.

use super::{
    eventually, expect_ok, fd, in_pool, neg, show, sys, zeroed, Cqe, EnterArg, FlowReg, Params,
    RingHeader, Sqe, SqeExt, ENTER, POOLED, REGISTER, REGISTER_FLOW, SETUP, SKIP_SUCCESS,
    UNREGISTER_FLOW,
};
use std::{
    cell::Cell,
    mem::offset_of,
    sync::atomic::{AtomicU32, Ordering},
};

/// `saio_setup` of exactly these parameters.
pub fn setup(params: &mut Params) -> i64 {
    sys!(SETUP, params, size_of::<Params>())
}

/// Maps a ring's descriptor; the address, or a negated errno.
pub fn map_ring(ring: i32, len: usize, offset: usize) -> i64 {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    sys!(
        libc::SYS_mmap,
        0,
        len,
        access,
        libc::MAP_SHARED,
        ring,
        offset
    )
}

/// A ring of the thread that made it, mapped.
pub struct RawRing {
    pub fd: i32,
    pub params: Params,
    /// Where the mapping starts.
    pub base: *mut u8,
    tail: u32,
    head: u32,
    /// The queue's head after the last call. For rings that are all in a pool.
    left: Cell<u32>,
}

impl RawRing {
    /// A ring with the defaults.
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    /// A ring with the parameters that `set` sets, the defaults for the rest.
    pub fn with(set: impl FnOnce(&mut Params)) -> Self {
        let mut params: Params = zeroed();
        set(&mut params);
        let fd = fd(setup(&mut params));
        let base = expect_ok!(map_ring(fd, params.map_size as usize, 0));
        let ring = Self {
            fd,
            params,
            base: base as *mut u8,
            tail: 0,
            head: 0,
            left: Cell::new(0),
        };
        if let Some(pool) = in_pool() {
            expect_ok!(ring.attach(pool, POOLED));
            expect_ok!(ring.wake());
        }
        ring
    }

    /// The word at a byte offset of the mapping.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + 4 <= self.params.map_size as usize);
        // SAFETY: the word lies in the mapping, which is never taken away while it is used.
        unsafe { AtomicU32::from_ptr(self.base.add(offset).cast()) }
    }

    pub fn sq_head(&self) -> &AtomicU32 {
        self.word(offset_of!(RingHeader, sq_head))
    }

    pub fn sq_tail(&self) -> &AtomicU32 {
        self.word(offset_of!(RingHeader, sq_tail))
    }

    pub fn cq_head(&self) -> &AtomicU32 {
        self.word(offset_of!(RingHeader, cq_head))
    }

    pub fn cq_tail(&self) -> &AtomicU32 {
        self.word(offset_of!(RingHeader, cq_tail))
    }

    /// The slot of a free-running index.
    pub fn slot(&self, index: u32) -> *mut Sqe {
        let slot = (index & (self.params.sq_entries - 1)) as usize;
        let offset = self.params.sq_off as usize + slot * size_of::<Sqe>();
        // SAFETY: the submission queue lies in the mapping.
        unsafe { self.base.add(offset).cast() }
    }

    /// Fills the next slot, whether it is free or not.
    pub fn push(&mut self, entry: Sqe) {
        // SAFETY: the slot lies in the mapping; nobody else in the process writes it.
        unsafe { self.slot(self.tail).write_volatile(entry) };
        self.tail = self.tail.wrapping_add(1);
    }

    /// Publishes what was pushed.
    pub fn publish(&self) {
        self.set_tail_raw(self.tail);
    }

    /// Claims that entries up to `tail` are published.
    pub fn set_tail_raw(&self, tail: u32) {
        self.sq_tail().store(tail, Ordering::Release);
    }

    /// Index of the next slot to fill.
    pub fn next_index(&self) -> u32 {
        self.tail
    }

    pub fn enter(&self, to_submit: u32, min_complete: u32) -> i64 {
        self.taken(sys!(ENTER, self.fd, to_submit, min_complete))
    }

    /// What `saio_enter` has returned. If all rings are in a pool, its threads may have taken entries
    /// before the call did, and a test that does not know of them counts these too.
    fn taken(&self, result: i64) -> i64 {
        if in_pool().is_none() || result < 0 {
            return result;
        }
        let head = self.sq_head().load(Ordering::Acquire);
        head.wrapping_sub(self.left.replace(head)).into()
    }

    /// `saio_enter` that waits no longer than `timeout_ns`.
    pub fn enter_timeout(&self, to_submit: u32, min_complete: u32, timeout_ns: u64) -> i64 {
        let arg = EnterArg {
            timeout_ns,
            resv: 0,
        };
        let size = size_of::<EnterArg>();
        self.taken(sys!(ENTER, self.fd, to_submit, min_complete, 0, &arg, size))
    }

    /// Pushes and publishes entries, enters once, and gives the number taken.
    pub fn submit(&mut self, entries: &[Sqe]) -> i64 {
        for entry in entries {
            self.push(*entry);
        }
        self.publish();
        self.enter(entries.len() as u32, 0)
    }

    /// Completions that are there and not consumed.
    pub fn unread(&self) -> u32 {
        let tail = self.cq_tail().load(Ordering::Acquire);
        tail.wrapping_sub(self.head)
    }

    /// Consumes the completions that are there.
    pub fn reap(&mut self) -> Vec<Cqe> {
        self.reap_up_to(u32::MAX)
    }

    /// Consumes at most `limit` of them.
    pub fn reap_up_to(&mut self, limit: u32) -> Vec<Cqe> {
        let unread = self.unread();
        assert!(
            unread <= self.params.cq_entries,
            "{unread} unread completions"
        );
        let mut cqes = Vec::new();
        for _ in 0..unread.min(limit) {
            let slot = (self.head & (self.params.cq_entries - 1)) as usize;
            let offset = self.params.cq_off as usize + slot * size_of::<Cqe>();
            // SAFETY: the completion queue lies in the mapping.
            cqes.push(unsafe { self.base.add(offset).cast::<Cqe>().read_volatile() });
            self.head = self.head.wrapping_add(1);
        }
        self.cq_head().store(self.head, Ordering::Release);
        cqes
    }

    /// Waits until `count` completions are there and consumes all.
    #[track_caller]
    pub fn wait(&mut self, count: u32) -> Vec<Cqe> {
        let result = self.enter(0, count);
        let cqes = self.reap();
        assert!(
            result >= 0 && cqes.len() >= count as usize,
            "waiting for {count} completions: {}, {} came",
            show(result),
            cqes.len()
        );
        cqes
    }

    /// Results of the unread completions by user data, which must be below `count` and unique.
    #[track_caller]
    pub fn results(&mut self, count: usize) -> Vec<Option<i64>> {
        let mut results = vec![None; count];
        for cqe in self.reap() {
            let index = cqe.user_data as usize;
            assert!(index < count, "completion of a foreign entry: {cqe:?}");
            assert!(results[index].is_none(), "entry {index} completed twice");
            results[index] = Some(cqe.res);
        }
        results
    }

    /// Runs entries in one batch. Their user data is replaced by their place; an entry without
    /// completion gives `None`.
    #[track_caller]
    pub fn run_sparse(&mut self, entries: &[Sqe]) -> Vec<Option<i64>> {
        let numbered: Vec<Sqe> = entries
            .iter()
            .enumerate()
            .map(|(place, entry)| entry.data(place as u64))
            .collect();
        let taken = self.submit(&numbered);
        assert!(
            taken == entries.len() as i64,
            "saio_enter took {} of {} entries",
            show(taken),
            entries.len()
        );
        if in_pool().is_some() {
            let told = entries.iter().filter(|e| e.flags & SKIP_SUCCESS == 0);
            expect_ok!(self.enter(0, told.count() as u32));
        }
        self.results(entries.len())
    }

    /// Runs entries in one batch; every one must complete.
    #[track_caller]
    pub fn run(&mut self, entries: &[Sqe]) -> Vec<i64> {
        let results = self.run_sparse(entries);
        let missing = results.iter().position(Option::is_none);
        assert!(missing.is_none(), "entry {missing:?} has no completion");
        results.into_iter().flatten().collect()
    }

    /// Runs one entry.
    #[track_caller]
    pub fn run_one(&mut self, entry: Sqe) -> i64 {
        self.run(&[entry])[0]
    }

    /// Makes a flow of the socket; its reference, or a negated errno.
    pub fn try_register(&self, socket: i32) -> Result<u32, i64> {
        let mut reg: FlowReg = zeroed();
        reg.fd = socket as u32;
        match sys!(
            REGISTER,
            self.fd,
            REGISTER_FLOW,
            &mut reg,
            size_of::<FlowReg>()
        ) {
            0 => Ok(reg.flow),
            errno => Err(errno),
        }
    }

    #[track_caller]
    pub fn register(&self, socket: i32) -> u32 {
        let mut result = self.try_register(socket);
        if in_pool().is_some() && result == Err(neg(libc::EEXIST)) {
            // A thread may just be ending the flow that the socket had before.
            eventually("the socket's last flow ends", || {
                result = self.try_register(socket);
                result != Err(neg(libc::EEXIST))
            });
        }
        match result {
            Ok(flow) => flow,
            Err(errno) => panic!("registering a flow: {}", show(errno)),
        }
    }

    /// The errno with which registering fails, negated; 0 if it does not.
    pub fn register_errno(&self, socket: i32) -> i64 {
        self.try_register(socket).err().unwrap_or(0)
    }

    pub fn unregister(&self, flow: u32) -> i64 {
        let mut reg: FlowReg = zeroed();
        reg.flow = flow;
        sys!(
            REGISTER,
            self.fd,
            UNREGISTER_FLOW,
            &mut reg,
            size_of::<FlowReg>()
        )
    }

    /// The status word of the slot that a flow reference names.
    pub fn status(&self, flow: u32) -> u32 {
        let index = (flow & 0xffff) as usize;
        self.word(self.params.flow_off as usize + 4 * index)
            .load(Ordering::Acquire)
    }

    /// Unmaps the ring and closes its descriptor.
    pub fn discard(self) {
        let size = self.params.map_size;
        expect_ok!(sys!(libc::SYS_munmap, self.base, size));
        expect_ok!(sys!(libc::SYS_close, self.fd));
    }

    /// Copies bytes into the arena.
    pub fn fill_arena(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.params.arena_size as usize);
        let start = self.params.arena_off as usize + offset;
        // SAFETY: the arena lies in the mapping, and the bytes fit.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(start), bytes.len());
        }
    }
}

/// Results of completions in the order of their user data.
pub fn in_order(mut cqes: Vec<Cqe>) -> Vec<i64> {
    cqes.sort_by_key(|cqe| cqe.user_data);
    cqes.iter().map(|cqe| cqe.res).collect()
}

/// Asserts that an entry of the ring still runs as it should.
#[track_caller]
pub fn expect_alive(ring: &mut RawRing) {
    let pid = sys!(libc::SYS_getpid);
    let got = ring.run(&[
        super::sqe!(libc::SYS_getpid),
        super::sqe!(libc::SYS_close, -1),
    ]);
    super::expect_results(&got, &[pid, neg(libc::EBADF)]);
}
