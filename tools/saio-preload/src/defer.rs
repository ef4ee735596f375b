// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls that are queued instead of made.

use std::ffi::c_int;

use saio::arena::Chunk;
use saio::flow::{FlowRef, Health};
use saio::sys;

use crate::cork::Cork;
use crate::fds::{self, Kind, State, COMPANIONS};
use crate::queue::{entry, Engine, Flow, MAX_CLOSING, MAX_FLOWS};
use crate::stats::{bump, Call, Flush, Why};
use crate::tag::Tag;
use crate::tls;

#[cfg(test)]
mod tests;

/// Longest payload that is copied into the arena, in bytes.
pub const MAX_SEND: usize = 16 << 10;
/// Longest part of a file that is queued, in bytes.
pub const MAX_FILE: usize = 64 << 10;
/// Bytes that a flow may have queued in one batch.
const MAX_BYTES: u32 = 128 << 10;

/// What a call is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Queued: return this.
    Done(isize),
    /// Return -1 and `EAGAIN`.
    Again,
    /// Make the call; nothing is queued on the connection before it any more. With a pool what was queued may not have
    /// run: the kernel then answers as a socket without room does.
    Pass(Why),
}

/// Why a flow takes nothing now: an [`Answer`] that is small enough for a register.
#[derive(Clone, Copy)]
enum Refusal {
    Again,
    Pass(Why),
}

impl From<Refusal> for Answer {
    #[cold]
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Again => Self::Again,
            Refusal::Pass(why) => Self::Pass(why),
        }
    }
}

/// Part of a file to send.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub fd: c_int,
    pub offset: u64,
    pub len: usize,
}

impl Engine {
    /// Takes a flow that was just registered.
    pub fn adopt(&mut self, fd: c_int, flow: FlowRef) -> bool {
        let Some(place) = self.flows.get_mut(flow.index()) else {
            return false;
        };
        // Another thread may add to what is known of it.
        let state = loop {
            let state = fds::get(fd);
            if fds::replace(fd, state, state.into_flow(self.id, flow)) {
                break state;
            }
        };
        *place = Flow {
            fd,
            flow,
            company: if state.company() { COMPANIONS } else { 0 },
            ..Flow::NONE
        };
        bump(&self.counters.flows);
        true
    }

    /// Queues `len` bytes, 1 to [`MAX_SEND`], which `fill` puts where it is told.
    #[inline]
    pub fn send(
        &mut self,
        fd: c_int,
        flow: FlowRef,
        len: usize,
        more: bool,
        fill: impl FnOnce(*mut u8),
    ) -> Answer {
        if self.sparing && self.better_passed(flow, more) {
            return Answer::Pass(Why::Alone);
        }
        if let Err(refusal) = self.ready(fd, flow, len) {
            return refusal.into();
        }
        let Some(chunk) = self.arena.alloc(len).or_else(|| self.make_chunk(len)) else {
            return Answer::Pass(Why::Room);
        };
        fill(self.ring.arena(chunk.offset()));
        let more = more || self.holds(flow);
        let flags = if more { libc::MSG_MORE as u64 } else { 0 };
        let args = [flow.arg(fd), chunk.offset() as u64, len as u64, flags, 0, 0];
        if !self.push(&entry(
            libc::SYS_sendto,
            self.flags,
            Tag::Chunk(chunk),
            args,
        )) {
            self.arena.free(chunk);
            return self.pass(Why::Room);
        }
        self.flows[flow.index()].head = self.queued;
        self.sent(flow, Some(chunk));
        self.queued_data(flow, len, more);
        Answer::Done(len as isize)
    }

    /// Queues part of a file, whose size is known to reach that far.
    #[inline]
    pub fn send_file(&mut self, fd: c_int, flow: FlowRef, part: Part) -> Answer {
        if let Err(refusal) = self.ready(fd, flow, part.len) {
            return refusal.into();
        }
        let args = [
            flow.arg(fd),
            part.fd as u64,
            part.offset,
            part.len as u64,
            0,
            0,
        ];
        if self.flows[flow.index()].head == self.queued {
            bump(&self.counters.joined);
        }
        let file = entry(libc::SYS_sendfile, self.flags, Tag::Counted, args);
        if !self.push(&file) {
            return self.pass(Why::Room);
        }
        self.flows[flow.index()].company = COMPANIONS;
        self.sent(flow, None);
        self.queued_data(flow, part.len, false);
        Answer::Done(part.len as isize)
    }

    /// Sets `TCP_CORK` or `TCP_NODELAY`.
    pub fn option(&mut self, fd: c_int, flow: FlowRef, name: c_int, on: bool) -> Answer {
        if name == libc::TCP_CORK {
            if let Some(state) = self.flows.get_mut(flow.index()) {
                state.company = COMPANIONS;
            }
            return self.set_cork(fd, flow, on);
        }
        if !self.room() {
            return self.pass(Why::Room);
        }
        if flow.health(self.ring.flow_word(flow.index())).is_over() {
            return self.gone(fd, flow);
        }
        if !self.push_option(fd, flow, name, on) {
            return self.pass(Why::Room);
        }
        self.in_batch(flow);
        self.tick();
        Answer::Done(0)
    }

    /// Queues the close of `fd` if that makes no difference to the program, or has what is
    /// queued run before it: when a number leaves the file table, the kernel takes what is
    /// published, and leaves it to a workqueue.
    pub fn close_any(&mut self, fd: c_int, state: State) -> Answer {
        let (call, answer) = match state.kind() {
            Kind::Flow if state.owner() == self.id => {
                self.drop_cork(FlowRef::from_raw(state.value()).index());
                (Call::Close, self.close_connection(fd))
            }
            Kind::Candidate if self.queued != 0 => (Call::Close, self.close_connection(fd)),
            // One that this process has made, or shut down: nobody else has it.
            Kind::Through
                if self.queued != 0 && matches!(state.why(), Why::Other | Why::Shutdown) =>
            {
                (Call::Close, self.close_connection(fd))
            }
            // Known to be regular, and open for reading only: nothing can fail. A queued
            // `sendfile` may name it.
            Kind::File
                if self.queued != 0 && fds::size(fd).is_some() && !self.bars(Call::CloseFile) =>
            {
                (Call::CloseFile, self.close(fd))
            }
            _ => self.close_behind(state),
        };
        self.count(call, answer);
        answer
    }

    /// A close that is not queued.
    #[cold]
    fn close_behind(&mut self, state: State) -> (Call, Answer) {
        let call = Call::of_close(state.kind() == Kind::File);
        if self.queued == 0 {
            return (call, Answer::Pass(Why::Idle));
        }
        let why = match state.kind() {
            _ if self.bars(call) => tls::why_barred(call),
            Kind::File => Why::File,
            Kind::Flow => Why::Thread,
            _ => state.why(),
        };
        (call, self.pass(why))
    }

    fn close_connection(&mut self, fd: c_int) -> Answer {
        if self.bars(Call::Close) {
            return self.pass(tls::why_barred(Call::Close));
        }
        if !fds::closes_wait() {
            return self.pass(Why::Epoll);
        }
        self.close(fd)
    }

    fn close(&mut self, fd: c_int) -> Answer {
        let args = [fd as u64, 0, 0, 0, 0, 0];
        let close = entry(libc::SYS_close, sys::SQE_SKIP_SUCCESS, Tag::Close(fd), args);
        if self.closings == MAX_CLOSING || !self.push(&close) {
            return self.pass(Why::Room);
        }
        self.closing[self.closings] = fd;
        self.closings += 1;
        fds::set(fd, State::closing(self.id));
        self.tick();
        Answer::Done(0)
    }

    /// Whether `len` more bytes may be queued for the flow.
    #[inline]
    fn ready(&mut self, fd: c_int, flow: FlowRef, len: usize) -> Result<(), Refusal> {
        let index = flow.index();
        if index >= MAX_FLOWS || !self.room() {
            self.pass(Why::Room);
            return Err(Refusal::Pass(Why::Room));
        }
        self.judge(fd, flow)?;
        if self.in_batch(flow).bytes + len as u32 > MAX_BYTES {
            self.flush(Flush::Bytes);
            // Without a pool all was tried, and the status word says if that was too much. A pool
            // may not have got so far. The kernel knows: it does the call itself, or answers
            // `EAGAIN` and raises `EPOLLOUT` when all has left. What a flow can hold over several
            // batches is bounded by the arena, which is smaller than what fails a connection
            // (twice `flow_limit`), and files, which take no memory, by MOST_OUTSTANDING.
            if !self.alive() || self.served {
                return Err(Refusal::Pass(Why::Bytes));
            }
            self.judge(fd, flow)?;
            self.in_batch(flow);
        }
        Ok(())
    }

    /// Asks the status word whether the flow takes bytes.
    #[inline]
    fn judge(&mut self, fd: c_int, flow: FlowRef) -> Result<(), Refusal> {
        let index = flow.index();
        let word = self.ring.flow_word(index);
        match flow.health(word) {
            Health::Usable => {
                // Before it gets busy again: then what it has done would not be seen.
                if self.flows[index].kept && !flow.is_busy(word) {
                    self.look_again();
                }
                Ok(())
            }
            Health::Full => Err(Refusal::Again),
            Health::Failed | Health::Gone => {
                self.gone(fd, flow);
                Err(Refusal::Pass(Why::Gone))
            }
        }
    }

    /// A chunk once what was sent meanwhile has given its own back. With a pool that may be
    /// nothing; the call then passes, and the writer waits for a flow that has not got so far.
    #[cold]
    fn make_chunk(&mut self, len: usize) -> Option<Chunk> {
        self.look_again();
        if let Some(chunk) = self.arena.alloc(len) {
            return Some(chunk);
        }
        self.pass(Why::Room);
        if self.alive() {
            self.arena.alloc(len)
        } else {
            None
        }
    }

    /// Whether TCP has to hold the bytes that are written now, because of a cork of which the
    /// kernel was not told. Entries of one batch it joins by itself, but the batch may end before
    /// the rest is written, and a thread of a pool sees each entry as it is published. A short
    /// segment that left by itself would keep the rest waiting for the peer's delayed
    /// acknowledgement.
    #[inline]
    fn holds(&self, flow: FlowRef) -> bool {
        (self.flows.get(flow.index())).is_some_and(|state| state.cork == Cork::Virtual)
    }

    /// Accounts for data that was queued.
    #[inline]
    fn queued_data(&mut self, flow: FlowRef, len: usize, more: bool) {
        let state = &mut self.flows[flow.index()];
        state.bytes += len as u32;
        state.more = more;
        self.tick();
    }

    /// Has the queue run, or handed to the pool, so that the call can be made.
    #[cold]
    pub fn pass(&mut self, why: Why) -> Answer {
        let room = why == Why::Room;
        self.sync(if room { Flush::Room } else { Flush::Pass });
        // Also if there was nothing to flush: room comes from here.
        self.look_again();
        Answer::Pass(why)
    }

    /// The status word says that the flow takes no early answers any more.
    #[cold]
    pub fn gone(&mut self, fd: c_int, flow: FlowRef) -> Answer {
        self.leave(fd, flow, Flush::Gone, Why::Gone);
        Answer::Pass(Why::Gone)
    }

    /// Whether calls of this kind go straight through, whatever they are on.
    #[inline]
    pub fn bars(&self, call: Call) -> bool {
        self.barred.has(call)
    }

    /// Counts a call that was answered.
    #[inline]
    pub fn count(&self, call: Call, answer: Answer) {
        match answer {
            Answer::Done(_) => bump(&self.counters.deferred[call as usize]),
            other => self.count_undone(call, other),
        }
    }

    #[cold]
    fn count_undone(&self, call: Call, answer: Answer) {
        bump(match answer {
            Answer::Done(_) => return,
            Answer::Pass(why) => &self.counters.passed[call as usize][why as usize],
            Answer::Again => &self.counters.full[call as usize],
        });
    }
}
