// SPDX-License-Identifier: MIT OR Apache-2.0

//! Writes that are all of a response, in mode auto, where crossings are cheap (see [`crate::price`]).
//!
//! If a pool sends them, the server is rid of the sending, and queueing them is a gain. If the server's thread runs them
//! itself, it is a loss. Who does is told by the ring: while threads of the pool look at its queue they take what is
//! there. While they do not, a crossing decides, and may wake one. So then most of these writes go straight through, and
//! now and then a batch of them is queued, for the crossing to decide anew.

use saio::flow::{FlowRef, Health};

use crate::fds::COMPANIONS;
use crate::queue::Engine;
use crate::tls;

/// So many writes go straight through for each entry of flows in a batch that no pool took.
const SPARED: u32 = 64;

impl Engine {
    /// Whether a write on `flow`, with `MSG_MORE` or not, had better go straight through.
    #[inline(never)]
    pub fn better_passed(&mut self, flow: FlowRef, more: bool) -> bool {
        let turn = tls::turn();
        let word = self.ring.flow_word(flow.index());
        let Some(state) = self.flows.get_mut(flow.index()) else {
            return false;
        };
        if more {
            state.company = COMPANIONS;
        } else if state.passed == turn && state.company < COMPANIONS {
            state.company += 1;
        }
        if state.company == COMPANIONS
            // Something is queued that it must not overtake.
            || state.batch == self.batch
            || flow.is_busy(word)
            || flow.health(word) != Health::Usable
            || self.spare == 0
            || !self.ring.need_wakeup()
        {
            return false;
        }
        state.passed = turn;
        self.spare -= 1;
        true
    }

    /// Behind a crossing: what becomes of writes that stand alone until the next one. If it had no entries of flows,
    /// nothing was decided.
    #[inline]
    pub fn weigh(&mut self) {
        if self.sparing && self.offered != 0 {
            self.spare = if self.ring.need_wakeup() {
                self.offered * SPARED
            } else {
                0
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use saio::flow::FlowRef;
    use saio::sys::SAIO_FLOW_BUSY;

    use crate::defer::Answer;
    use crate::fds::{self, COMPANIONS};
    use crate::fixture::Fixture;
    use crate::stats::{Flush, Why};

    const PASSED: Answer = Answer::Pass(Why::Alone);

    /// An engine whose pool sleeps, behind a crossing with one entry.
    fn fixture(base: i32) -> Fixture {
        let mut f = Fixture::new(base, true);
        f.engine.sparing = true;
        f.kernel.doze();
        let flow = f.flow(0);
        assert_eq!(f.send(flow, 10), Answer::Done(10));
        f.engine.flush(Flush::Wait);
        f
    }

    /// A flow that nothing was written to in this turn: the fixture's thread is in turn 0 for ever.
    fn fresh(f: &mut Fixture, index: u16) -> FlowRef {
        let flow = f.flow(index);
        f.engine.flows[flow.index()].passed = u32::MAX;
        flow
    }

    #[test]
    fn most_go_straight_through_while_no_pool_looks() {
        let mut f = fixture(11_000);
        for turn in 0..super::SPARED {
            let flow = fresh(&mut f, 1 + turn as u16 % 8);
            assert_eq!(f.send(flow, 10), PASSED);
        }
        let flow = fresh(&mut f, 1);
        assert_eq!(f.send(flow, 10), Answer::Done(10));
    }

    #[test]
    fn closes_alone_decide_nothing() {
        let mut f = fixture(11_200);
        let flow = fresh(&mut f, 1);
        assert_eq!(f.send(flow, 10), PASSED);
        let left = f.engine.spare;
        let fd = f.fd(1);
        f.engine.close_any(fd, fds::get(fd));
        assert_eq!(f.engine.queued, 1);
        f.engine.flush(Flush::Wait);
        assert_eq!(f.engine.spare, left);
    }

    #[test]
    fn all_are_queued_while_a_pool_looks() {
        let mut f = fixture(11_050);
        f.kernel.look();
        let flow = fresh(&mut f, 1);
        assert_eq!(f.send(flow, 10), Answer::Done(10));
    }

    #[test]
    fn nothing_overtakes() {
        let mut f = fixture(11_100);
        let flow = fresh(&mut f, 1);
        f.say(1, SAIO_FLOW_BUSY);
        assert_eq!(f.send(flow, 10), Answer::Done(10));
        f.say(1, 0);
        // It is queued, and so is what comes behind it.
        assert_eq!(f.send(flow, 10), Answer::Done(10));

        let flow = fresh(&mut f, 2);
        let fd = f.fd(2);
        let option = f.engine.option(fd, flow, libc::TCP_NODELAY, true);
        assert_eq!(option, Answer::Done(0));
        assert_eq!(f.send(flow, 10), Answer::Done(10));
    }

    #[test]
    fn a_response_of_more_than_one_write_is_queued() {
        let mut f = fixture(11_150);
        let flow = fresh(&mut f, 1);
        for _ in 0..COMPANIONS {
            assert_eq!(f.send(flow, 10), PASSED);
        }
        assert_eq!(f.send(flow, 10), Answer::Done(10));
        f.engine.flush(Flush::Wait);
        f.engine.flows[1].passed = u32::MAX;
        assert_eq!(f.send(flow, 10), Answer::Done(10));

        let flow = f.flow(2);
        assert_eq!(f.send_file(flow, 10), Answer::Done(10));
        f.engine.flush(Flush::Wait);
        f.engine.flows[2].passed = u32::MAX;
        assert_eq!(f.send(flow, 10), Answer::Done(10));
    }
}
