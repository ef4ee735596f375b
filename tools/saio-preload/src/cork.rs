// SPDX-License-Identifier: MIT OR Apache-2.0

//! `TCP_CORK` of a flow: which toggles the kernel needs to see.
//!
//! A server corks, writes a few times and uncorks. If all of that is of one batch and ends with
//! part of a file, both toggles can be dropped: what is written meanwhile says `MSG_MORE`.
//!
//! A call that the program makes itself overtakes what is queued. So an uncork that has to come
//! behind something in the queue is always queued too: [`MOST_OUTSTANDING`] leaves room for one of
//! each flow. Corks need not be: without one the bytes only leave in other packets.
//!
//! Where the kernel makes TLS records, `MSG_MORE` leaves one unfinished that no uncork pushes. There
//! both toggles are queued.
//!
//! [`MOST_OUTSTANDING`]: crate::queue::MOST_OUTSTANDING

use std::ffi::c_int;

use saio::flow::FlowRef;

use crate::defer::Answer;
use crate::fds::{self, State};
use crate::queue::{Engine, Flow, MAX_CORKED};
use crate::stats::{bump, Flush, Why};

/// What the program believes and what the kernel knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Cork {
    /// Set or not before the socket became a flow.
    #[default]
    Unknown = 0,
    /// Not corked.
    Off,
    /// The program corked; the kernel has not been told.
    Virtual,
    /// Corked in the kernel, or by an entry that is queued.
    Real,
}

/// What is to be done for a `setsockopt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toggle {
    /// Nothing.
    Drop,
    /// Queue an entry with this value.
    Queue(bool),
}

impl Cork {
    /// The program sets the option to `on`. `more` says that the last write asked for
    /// `MSG_MORE`, so that the kernel may hold bytes which only an uncork pushes.
    pub fn set(self, on: bool, more: bool) -> (Self, Toggle) {
        match (self, on) {
            (Self::Unknown, true) => (Self::Real, Toggle::Queue(true)),
            (Self::Off | Self::Virtual, true) => (Self::Virtual, Toggle::Drop),
            (Self::Real, true) => (Self::Real, Toggle::Drop),
            (Self::Virtual, false) if !more => (Self::Off, Toggle::Drop),
            // An uncork pushes what the kernel holds, corked or not.
            (_, false) => (Self::Off, Toggle::Queue(false)),
        }
    }
}

impl Flow {
    /// Whether TCP holds bytes once all that is queued has run, so that an uncork has to come
    /// behind it.
    fn holds(&self) -> bool {
        self.more || self.cork == Cork::Real
    }
}

impl Engine {
    /// Sets `TCP_CORK`.
    pub fn set_cork(&mut self, fd: c_int, flow: FlowRef, on: bool) -> Answer {
        let index = flow.index();
        if flow.health(self.ring.flow_word(index)).is_over() {
            return self.gone(fd, flow);
        }
        let Some(state) = self.flows.get_mut(index) else {
            return self.gone(fd, flow);
        };
        let owed = !on && state.holds();
        let was = if fds::get(fd).records() {
            Cork::Unknown
        } else {
            state.cork
        };
        let (cork, toggle) = was.set(on, state.more);
        // Before anything is flushed: nothing must be corked any more that the program uncorks.
        state.cork = cork;
        if was == Cork::Virtual && cork != Cork::Virtual {
            self.unlist(index);
            bump(&self.counters.folded);
        }
        if toggle == Toggle::Drop && (!on || cork == was) {
            bump(&self.counters.folded);
            return Answer::Done(0);
        }
        if !owed && !self.room() {
            return self.pass_cork(index, on);
        }
        if toggle == Toggle::Drop {
            if self.corks < MAX_CORKED {
                self.corked[self.corks] = index as u16;
                self.corks += 1;
                return Answer::Done(0);
            }
            // Too many to remember: this one the kernel is told of at once.
            self.flows[index].cork = Cork::Real;
        }
        if !self.push_option(fd, flow, libc::TCP_CORK, on) {
            // Then there is room for it.
            self.sync(Flush::Room);
            if !self.alive() || !self.push_option(fd, flow, libc::TCP_CORK, on) {
                return self.pass_cork(index, on);
            }
        }
        if !on {
            self.flows[index].more = false;
        }
        self.tick();
        Answer::Done(0)
    }

    /// Leaves a call to the program that nothing in the queue undoes. A cork may be overtaken by an
    /// uncork that is queued, so it is not known.
    #[cold]
    fn pass_cork(&mut self, index: usize, on: bool) -> Answer {
        if on {
            self.flows[index].cork = Cork::Unknown;
        }
        self.pass(Why::Room)
    }

    /// The flow takes no early answers any more, for good: what the program does about its cork
    /// from now on overtakes what is queued.
    #[cold]
    pub fn leave(&mut self, fd: c_int, flow: FlowRef, flush: Flush, why: Why) {
        if !self.let_go(flow) {
            // Then there is room for it.
            self.sync(flush);
            self.push_option(fd, flow, libc::TCP_CORK, false);
        }
        self.sync(flush);
        fds::set(fd, State::through(why));
    }

    /// Has TCP hold nothing of the flow once all that is queued has run. What the program still
    /// writes under a cork then leaves in other packets. Returns whether there was room for that.
    fn let_go(&mut self, flow: FlowRef) -> bool {
        let index = flow.index();
        // The slot may have another flow by now.
        let Some(state) = (self.flows.get_mut(index)).filter(|state| state.flow == flow) else {
            return true;
        };
        let (fd, owed) = (state.fd, state.holds());
        let was = std::mem::replace(&mut state.cork, Cork::Unknown);
        state.more = false;
        if was == Cork::Virtual {
            self.unlist(index);
        }
        !owed || self.push_option(fd, flow, libc::TCP_CORK, false)
    }

    /// Tells the kernel of corks that it has not been told of: the batch ends here.
    pub fn cork_for_real(&mut self) {
        while self.corks > 0 {
            self.corks -= 1;
            let index = self.corked[self.corks] as usize;
            let Some(state) = self.flows.get_mut(index) else {
                continue;
            };
            // The slot may have another flow by now.
            if state.cork != Cork::Virtual {
                continue;
            }
            let (fd, flow) = (state.fd, state.flow);
            if flow.health(self.ring.flow_word(index)).is_over() {
                // The program's uncork may go past the queue.
                self.let_go(flow);
                continue;
            }
            self.flows[index].cork = Cork::Real;
            self.push_option(fd, flow, libc::TCP_CORK, true);
        }
    }

    /// Forgets a virtual cork that came to nothing, as the socket is closed, which pushes all.
    pub fn drop_cork(&mut self, index: usize) {
        if let Some(state) = self.flows.get_mut(index) {
            if state.cork == Cork::Virtual {
                state.cork = Cork::Off;
                self.unlist(index);
                bump(&self.counters.folded);
            }
        }
    }

    /// Takes a flow off the list of virtual corks.
    fn unlist(&mut self, index: usize) {
        let list = &mut self.corked[..self.corks];
        if let Some(place) = list.iter().position(|flow| *flow as usize == index) {
            list.swap(place, self.corks - 1);
            self.corks -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pair_in_one_batch_is_dropped() {
        let (cork, toggle) = Cork::Off.set(true, false);
        assert_eq!((cork, toggle), (Cork::Virtual, Toggle::Drop));
        assert_eq!(cork.set(true, false), (Cork::Virtual, Toggle::Drop));
        assert_eq!(cork.set(false, false), (Cork::Off, Toggle::Drop));
    }

    #[test]
    fn what_the_kernel_knows_is_undone_there() {
        assert_eq!(
            Cork::Real.set(false, false),
            (Cork::Off, Toggle::Queue(false))
        );
        assert_eq!(Cork::Real.set(true, false), (Cork::Real, Toggle::Drop));
    }

    #[test]
    fn held_bytes_are_pushed() {
        for cork in [Cork::Unknown, Cork::Off, Cork::Virtual, Cork::Real] {
            assert_eq!(cork.set(false, true), (Cork::Off, Toggle::Queue(false)));
        }
        assert_eq!(
            Cork::Off.set(false, false),
            (Cork::Off, Toggle::Queue(false))
        );
    }

    #[test]
    fn unknown_state_is_told_to_the_kernel() {
        assert_eq!(
            Cork::Unknown.set(true, false),
            (Cork::Real, Toggle::Queue(true))
        );
        assert_eq!(
            Cork::Unknown.set(false, false),
            (Cork::Off, Toggle::Queue(false))
        );
    }
}
