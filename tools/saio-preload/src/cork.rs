// SPDX-License-Identifier: MIT OR Apache-2.0

//! `TCP_CORK` of a flow: which toggles the kernel needs to see.
//!
//! A server corks, writes a few times and uncorks. If all of that is of one batch,
//! the kernel joins the writes by itself and both toggles can be dropped.

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
