// SPDX-License-Identifier: MIT OR Apache-2.0

//! A process that publishes whatever a flow can be given, at random and as fast as it can, and checks
//! that every byte arrives and every entry completes.

use super::stream::{Stream, Streams};
use crate::harness::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries that are under way at a time; each has a part of the arena.
const PARTS: usize = 64;
const PART: usize = 4096;
/// Room for vectors before the data of a part.
const VECTORS: usize = 128;
/// Longest entry that is no file, and longest of a file.
const LONGEST: usize = PART - VECTORS;
const LONGEST_FILE: usize = 16 << 10;
/// User data of entries that are no part.
const ORDINARY: u64 = u64::MAX;

/// What other processes know of a connection.
#[derive(Clone, Copy)]
pub struct Promise {
    /// Bytes that are published, at least.
    pub published: &'static AtomicU64,
    /// Bytes that may be.
    pub planned: &'static AtomicU64,
}

/// A connection.
#[derive(Clone, Copy)]
pub struct Line {
    pub ends: Pair,
    pub stream: Stream,
    pub promise: Option<Promise>,
}

struct Member {
    line: Line,
    flow: u32,
    /// What has arrived.
    got: Stream,
}

/// A connection that the server has closed, with bytes under way.
struct Closed {
    peer: i32,
    sent: usize,
    got: Stream,
}

/// How wild it is.
#[derive(Clone, Copy)]
pub struct Manner {
    /// Whether it reads at the other ends too.
    pub reads: bool,
    /// Chains, and connections that are closed with bytes under way and replaced.
    pub wild: bool,
}

pub struct Server<'a> {
    pub ring: RawRing,
    manner: Manner,
    streams: &'a Streams,
    members: Vec<Member>,
    closed: Vec<Closed>,
    /// Parts of the arena that are not in use.
    free: Vec<usize>,
    /// Results that entries must have.
    lengths: [usize; PARTS],
    rng: Rng,
    /// Numbers of streams that were given out.
    numbered: usize,
    /// Entries of flows that are done.
    pub completed: u64,
    /// Ordinary entries that are not done.
    ordinary: u32,
}

impl<'a> Server<'a> {
    /// A server whose ring is attached to the pool `name`.
    pub fn new(name: &str, seed: u64, streams: &'a Streams, manner: Manner) -> Self {
        Self {
            ring: RawRing::pooled(name),
            manner,
            streams,
            members: Vec::new(),
            closed: Vec::new(),
            free: (0..PARTS).collect(),
            lengths: [0; PARTS],
            rng: Rng::new(seed),
            numbered: seed as usize * 100,
            completed: 0,
            ordinary: 0,
        }
    }

    /// Serves a connection, too.
    pub fn add(&mut self, line: Line) {
        let flow = self.ring.register(line.ends.ours);
        let got = line.stream;
        self.members.push(Member { line, flow, got });
    }

    /// Makes a connection and serves it.
    pub fn add_new(&mut self) {
        // Some hold little, so that flows wait for their peers.
        let size = [0, SMALL, SMALL, 4 * SMALL][self.rng.below(4)];
        self.numbered += 1;
        self.add(Line {
            ends: tcp_pair(size, size),
            stream: Stream::new(self.numbered),
            promise: None,
        });
    }

    /// Does one thing, or some.
    pub fn step(&mut self) {
        if self.free.len() < 2 || self.ring.queued() + 2 > self.ring.params.sq_entries {
            self.make_room();
            return;
        }
        match self.rng.below(64) {
            0..8 => self.read_some(),
            8..12 => {
                let all = self.ring.params.sq_entries;
                expect_ok!(self.ring.enter(all, 0));
            }
            12..14 => {
                self.ring.push(sqe!(libc::SYS_getuid).data(ORDINARY));
                self.ordinary += 1;
                self.ring.publish();
            }
            14 if self.manner.wild => {
                let which = self.rng.below(self.members.len());
                self.publish(which, HARDLINK);
                self.publish(which, 0);
            }
            15 if self.manner.wild && self.rng.below(8) == 0 => self.replace(),
            _ => {
                let which = self.rng.below(self.members.len());
                self.publish(which, 0);
            }
        }
        self.ring.wake_if_needed();
        self.reap();
    }

    /// Publishes an entry of a flow.
    fn publish(&mut self, which: usize, flags: u16) {
        let part = self.free.pop().expect("there is room");
        let member = &mut self.members[which];
        let Line { ends, stream, .. } = &mut member.line;
        let (at, target) = (part * PART, target(member.flow, ends.ours));
        let mut len = 1 + self.rng.below(LONGEST);
        let kind = self.rng.below(4);
        if kind == 0 {
            len = 1 + self.rng.below(LONGEST_FILE);
        } else {
            let data = at + VECTORS;
            self.ring.fill_arena(data, self.streams.next(stream, len));
        }
        let entry = match kind {
            0 => sqe!(
                libc::SYS_sendfile,
                target,
                self.streams.file,
                stream.position(),
                len
            ),
            1 => sqe!(libc::SYS_write, target, at + VECTORS, len),
            2 => sqe!(libc::SYS_sendto, target, at + VECTORS, len, 0),
            _ => {
                let cut = self.rng.below(len + 1);
                let data = at + VECTORS;
                let vectors = [data, cut, data + cut, len - cut].map(|word| word as u64);
                let bytes: Vec<u8> = vectors.iter().flat_map(|word| word.to_ne_bytes()).collect();
                self.ring.fill_arena(at, &bytes);
                sqe!(libc::SYS_writev, target, at, 2)
            }
        };
        self.lengths[part] = len;
        stream.done += len;
        let total = stream.done as u64;
        if let Some(promise) = member.line.promise {
            promise.planned.store(total, Ordering::Release);
        }
        self.ring
            .push(entry.on_flow().flag(flags).data(part as u64));
        self.ring.publish();
        if let Some(promise) = member.line.promise {
            promise.published.store(total, Ordering::Release);
        }
    }

    fn reap(&mut self) {
        for cqe in self.ring.reap() {
            if cqe.user_data == ORDINARY {
                assert_eq!(cqe.res, 0, "{}", show(cqe.res));
                self.ordinary -= 1;
                continue;
            }
            let part = cqe.user_data as usize;
            let len = self.lengths[part];
            assert_eq!(cqe.res, len as i64, "{}", show(cqe.res));
            self.free.push(part);
            self.completed += 1;
        }
    }

    /// Reads from one of the other ends.
    fn read_some(&mut self) {
        let limit = 1 + self.rng.below(LONGEST_FILE);
        let which = self.rng.below(self.members.len());
        self.read(which, limit);
    }

    fn read(&mut self, which: usize, limit: usize) {
        if self.manner.reads {
            let Member { line, got, .. } = &mut self.members[which];
            let flags = libc::MSG_DONTWAIT;
            let result = self.streams.receive(line.ends.peer, got, limit, flags);
            let fine = result > 0 || result == neg(libc::EAGAIN);
            assert!(fine, "after {} bytes: {}", got.done, show(result));
        }
    }

    /// Nothing more can be published: sees to it that something gets done.
    fn make_room(&mut self) {
        for which in 0..self.members.len() {
            self.read(which, usize::MAX);
        }
        let (streams, flags) = (self.streams, libc::MSG_DONTWAIT);
        self.closed.retain_mut(|line| {
            let result = streams.receive(line.peer, &mut line.got, usize::MAX, flags);
            if result == 0 {
                line.end();
            }
            result != 0
        });
        self.ring.wake_if_needed();
        expect_ok!(self.ring.enter(self.ring.params.sq_entries, 0));
        self.reap();
        // Perhaps only others can go on.
        std::thread::yield_now();
    }

    /// Closes a connection, whatever is under way, and makes another.
    fn replace(&mut self) {
        let which = self.rng.below(self.members.len());
        let member = self.members.swap_remove(which);
        self.close(member);
        self.add_new();
    }

    fn close(&mut self, member: Member) {
        expect_ok!(sys!(libc::SYS_close, member.line.ends.ours));
        self.closed.push(Closed {
            peer: member.line.ends.peer,
            sent: member.line.stream.done,
            got: member.got,
        });
    }

    /// Waits until everything is done; all must have arrived. With `close` the connections are
    /// closed first.
    pub fn finish(mut self, close: bool) {
        if close {
            for member in std::mem::take(&mut self.members) {
                self.close(member);
            }
        }
        within(60, "everything is done", || {
            self.make_room();
            self.free.len() == PARTS && self.ordinary == 0 && self.closed.is_empty()
        });
        for member in &mut self.members {
            let (peer, sent) = (member.line.ends.peer, member.line.stream.done);
            while member.got.done < sent {
                let result = self.streams.receive(peer, &mut member.got, usize::MAX, 0);
                assert!(result > 0, "{} of {sent} bytes came", member.got.done);
            }
            assert_eq!(poll(peer, libc::POLLIN, 0), 0, "more than was sent");
        }
    }
}

impl Closed {
    /// The stream has ended, as it should.
    fn end(&self) {
        assert_eq!(self.got.done, self.sent, "the stream ends too early");
        expect_ok!(sys!(libc::SYS_close, self.peer));
    }
}
