// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Chains: which entry runs, and with whose results.

/// Flags of an entry; the UAPI header has them, `SAIO_SQE_*`.
pub mod flags {
    /// The next entry runs only if this one succeeds.
    pub const LINK: u16 = 1 << 0;
    /// The next entry is of the chain, whatever this one returns.
    pub const HARDLINK: u16 = 1 << 1;
    /// An argument is an earlier result.
    pub const RESULT_TO_ARG: u16 = 1 << 2;
    /// No completion on success.
    pub const SKIP_SUCCESS: u16 = 1 << 3;
    /// The call acts on a flow.
    pub const FLOW: u16 = 1 << 4;
    /// Every flag known.
    pub const ALL: u16 = LINK | HARDLINK | RESULT_TO_ARG | SKIP_SUCCESS | FLOW;
}

/// How far back a result may come from (`SAIO_MAX_BACK`).
pub const MAX_BACK: usize = 8;

/// Why an entry does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The entry contradicts itself: `EINVAL`.
    Invalid,
    /// What it depends on failed: `ECANCELED`.
    Cancelled,
}

/// What is remembered of the chain that the next entry may belong to.
///
/// # Invariants
///
/// `len` is the number of entries of the current chain so far, 0 outside a chain;
/// the newest `min(len, MAX_BACK)` results are valid.
#[derive(Debug, Default)]
pub struct Chain {
    results: [i64; MAX_BACK],
    len: usize,
    broken: bool,
}

impl Chain {
    /// No chain.
    pub const fn new() -> Self {
        Self {
            results: [0; MAX_BACK],
            len: 0,
            broken: false,
        }
    }

    /// Decides whether the next entry runs, and replaces its argument if it asks
    /// for that. Call [`Self::done`] with the result, or the refusal's errno, after.
    #[inline]
    pub fn admit(&self, flags: u16, ctl: u32, args: &mut [u64; 6]) -> Result<(), Refusal> {
        if flags & !flags::ALL != 0
            || flags & (flags::LINK | flags::HARDLINK) == flags::LINK | flags::HARDLINK
        {
            return Err(Refusal::Invalid);
        }
        if flags & flags::RESULT_TO_ARG == 0 {
            if ctl != 0 {
                return Err(Refusal::Invalid);
            }
            return if self.broken {
                Err(Refusal::Cancelled)
            } else {
                Ok(())
            };
        }

        let arg = (ctl & 0xff) as usize;
        let back = (ctl >> 8 & 0xff) as usize;
        if ctl >> 16 != 0
            || arg >= args.len()
            || back == 0
            || back > MAX_BACK
            || back > self.len
            || flags & flags::FLOW != 0 && arg == 0
        {
            return Err(Refusal::Invalid);
        }
        let source = self.results[(self.len - back) % MAX_BACK];
        if self.broken || source < 0 {
            return Err(Refusal::Cancelled);
        }
        args[arg] = source as u64;
        Ok(())
    }

    /// Records the result of the entry that [`Self::admit`] was asked about.
    #[inline]
    pub fn done(&mut self, flags: u16, result: i64) {
        if flags & (flags::LINK | flags::HARDLINK) == 0 {
            // Outside chains nothing is remembered: this is the common case.
            self.end();
            return;
        }
        self.results[self.len % MAX_BACK] = result;
        self.len += 1;
        if flags & flags::LINK != 0 && result < 0 {
            self.broken = true;
        }
    }

    /// Ends the chain: the next entry stands alone.
    #[inline]
    pub fn end(&mut self) {
        self.len = 0;
        self.broken = false;
    }

    /// Whether the next entry belongs to a chain.
    #[inline]
    pub fn open(&self) -> bool {
        self.len != 0
    }
}

#[cfg(any(test, CONFIG_SAIO_KUNIT_TEST))]
#[warn(dead_code)]
pub(crate) mod tests {
    use super::{flags::*, *};
    #[cfg(not(test))]
    use crate::kunit::{assert, assert_eq};

    fn ctl(arg: u32, back: u32) -> u32 {
        arg | back << 8
    }

    #[cfg_attr(test, test)]
    pub(crate) fn open_fstat_read_close() {
        let mut c = Chain::new();
        let mut a = [0; 6];
        assert_eq!(c.admit(LINK, 0, &mut a), Ok(()));
        c.done(LINK, 7);
        let f = HARDLINK | RESULT_TO_ARG;
        for back in 1..=2 {
            a = [0; 6];
            assert_eq!(c.admit(f, ctl(0, back), &mut a), Ok(()));
            assert_eq!(a[0], 7);
            c.done(f, -5);
        }
        a = [0; 6];
        assert_eq!(c.admit(RESULT_TO_ARG, ctl(0, 3), &mut a), Ok(()));
        assert_eq!(a[0], 7);
        c.done(RESULT_TO_ARG, 0);
        assert!(!c.open());
    }

    #[cfg_attr(test, test)]
    pub(crate) fn failed_source_cancels_all_that_hang_on_it() {
        let mut c = Chain::new();
        let mut a = [0; 6];
        c.done(LINK, -2);
        assert_eq!(c.admit(LINK, 0, &mut a), Err(Refusal::Cancelled));
        c.done(LINK, -125);
        assert_eq!(
            c.admit(RESULT_TO_ARG, ctl(0, 2), &mut a),
            Err(Refusal::Cancelled)
        );
        c.done(RESULT_TO_ARG, -125);
        assert_eq!(c.admit(0, 0, &mut a), Ok(()));
    }

    #[cfg_attr(test, test)]
    pub(crate) fn hardlink_goes_on_but_failed_source_does_not() {
        let mut c = Chain::new();
        let mut a = [0; 6];
        c.done(HARDLINK, -9);
        assert_eq!(c.admit(HARDLINK, 0, &mut a), Ok(()));
        c.done(HARDLINK, 1);
        assert_eq!(
            c.admit(RESULT_TO_ARG, ctl(0, 2), &mut a),
            Err(Refusal::Cancelled)
        );
    }

    #[cfg_attr(test, test)]
    pub(crate) fn contradictions_are_invalid() {
        let mut a = [0; 6];
        let c = Chain::new();
        for (f, x) in [
            (LINK | HARDLINK, 0),
            (1 << 5, 0),
            (1 << 15, 0),
            (0, 1),
            (RESULT_TO_ARG, ctl(0, 1)),
            (RESULT_TO_ARG, ctl(0, 0)),
        ] {
            assert_eq!(c.admit(f, x, &mut a), Err(Refusal::Invalid), "{f:x} {x:x}");
        }
        let mut c = Chain::new();
        c.done(LINK, 1);
        for x in [ctl(6, 1), ctl(0, 2), ctl(0, 9), 1 << 16 | ctl(0, 1)] {
            assert_eq!(c.admit(RESULT_TO_ARG, x, &mut a), Err(Refusal::Invalid));
        }
        assert_eq!(
            c.admit(RESULT_TO_ARG | FLOW, ctl(0, 1), &mut a),
            Err(Refusal::Invalid)
        );
        assert_eq!(c.admit(RESULT_TO_ARG | FLOW, ctl(3, 1), &mut a), Ok(()));
    }

    #[cfg_attr(test, test)]
    pub(crate) fn long_chain_keeps_the_newest_results() {
        let mut c = Chain::new();
        for i in 0..100 {
            c.done(LINK, i);
        }
        for back in 1..=MAX_BACK as u32 {
            let mut a = [0; 6];
            assert_eq!(c.admit(RESULT_TO_ARG, ctl(5, back), &mut a), Ok(()));
            assert_eq!(a[5], 100 - u64::from(back));
        }
    }
}
