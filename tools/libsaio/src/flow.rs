// SPDX-License-Identifier: MIT OR Apache-2.0

//! References and status words of registered sockets.

use crate::sys;

/// A flow of a ring: index in the low half, generation in the high half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRef(u32);

/// What the status word says about an early answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// A write may be answered before it ran.
    Usable,
    /// Bytes wait for the peer: a write gets `EAGAIN`.
    Full,
    /// The connection was reset; the socket has the error.
    Failed,
    /// Ended, or a descriptor of the socket was closed: no early answers.
    Gone,
}

impl Health {
    /// Whether there are no early answers any more.
    #[inline]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Failed | Self::Gone)
    }
}

const STATE: u32 =
    sys::SAIO_FLOW_USED | sys::SAIO_FLOW_STALE | sys::SAIO_FLOW_FULL | sys::SAIO_FLOW_FAILED;

impl FlowRef {
    /// As the kernel writes it.
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// As the kernel reads it.
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Slot of the flow in its ring.
    #[inline]
    pub const fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    /// `args[0]` of an entry on this flow, `fd` being the socket's descriptor.
    #[inline]
    pub const fn arg(self, fd: i32) -> u64 {
        (self.0 as u64) << 32 | fd as u32 as u64
    }

    /// Whether the flow may still use arena bytes of entries that were taken off the queue, by the
    /// status word of its slot.
    #[inline]
    pub const fn is_busy(self, word: u32) -> bool {
        word >> 16 == self.0 >> 16 && word & sys::SAIO_FLOW_BUSY != 0
    }

    /// Judges the flow by the status word of its slot.
    #[inline]
    pub const fn health(self, word: u32) -> Health {
        if word >> 16 != self.0 >> 16 {
            return Health::Gone;
        }
        match word & STATE {
            sys::SAIO_FLOW_USED => Health::Usable,
            state if state == sys::SAIO_FLOW_USED | sys::SAIO_FLOW_FULL => Health::Full,
            state if state & sys::SAIO_FLOW_FAILED != 0 => Health::Failed,
            _ => Health::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{
        SAIO_FLOW_BUSY, SAIO_FLOW_FAILED, SAIO_FLOW_FULL, SAIO_FLOW_STALE, SAIO_FLOW_USED,
    };

    #[test]
    fn parts_of_a_reference() {
        let flow = FlowRef::from_raw(0xabcd_0123);
        assert_eq!(flow.index(), 0x123);
        assert_eq!(flow.arg(7), 0xabcd_0123_0000_0007);
    }

    #[test]
    fn another_flow_is_not_busy_for_this_one() {
        let flow = FlowRef::from_raw(3 << 16 | 5);
        let word = |gen: u32, state| gen << 16 | SAIO_FLOW_USED | state;
        assert!(flow.is_busy(word(3, SAIO_FLOW_BUSY)));
        assert!(!flow.is_busy(word(3, SAIO_FLOW_FULL)));
        assert!(!flow.is_busy(word(4, SAIO_FLOW_BUSY)));
    }

    #[test]
    fn health_of_every_state() {
        let flow = FlowRef::from_raw(3 << 16 | 5);
        let health = |gen: u32, state| flow.health(gen << 16 | state);
        assert_eq!(health(3, SAIO_FLOW_USED), Health::Usable);
        assert_eq!(health(3, SAIO_FLOW_USED | SAIO_FLOW_FULL), Health::Full);
        for failed in [
            SAIO_FLOW_USED | SAIO_FLOW_FAILED,
            SAIO_FLOW_USED | SAIO_FLOW_FULL | SAIO_FLOW_FAILED,
            SAIO_FLOW_USED | SAIO_FLOW_STALE | SAIO_FLOW_FAILED,
        ] {
            assert_eq!(health(3, failed), Health::Failed, "{failed:x}");
        }
        for gone in [0, SAIO_FLOW_USED | SAIO_FLOW_STALE, SAIO_FLOW_FULL] {
            assert_eq!(health(3, gone), Health::Gone, "{gone:x}");
        }
        assert_eq!(health(4, SAIO_FLOW_USED), Health::Gone);
    }
}
