// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sets of CPUs: as text, and as masks.

use std::collections::BTreeSet;
use std::fmt;
use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::Invalid;

/// CPUs of the largest kernel that can be configured.
const CPUS_MAX: usize = 8192;
const WORD: usize = u64::BITS as usize;

/// Words of a mask that every kernel's CPUs fit in.
pub(super) const MASK_WORDS: usize = CPUS_MAX / WORD;

/// A set of CPUs. As text it is the kernel's list format: `2-5,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus(BTreeSet<usize>);

impl Cpus {
    /// The CPUs of `self` that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn mask(&self) -> Vec<u64> {
        let words = self.0.last().map_or(0, |last| last / WORD + 1);
        let mut mask = vec![0; words];
        for cpu in &self.0 {
            mask[cpu / WORD] |= 1 << (cpu % WORD);
        }
        mask
    }

    pub(super) fn from_mask(mask: &[u64]) -> Self {
        let is_set = |cpu: &usize| mask[cpu / WORD] >> (cpu % WORD) & 1 == 1;
        (0..mask.len() * WORD).filter(is_set).collect()
    }
}

impl FromIterator<usize> for Cpus {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl FromStr for Cpus {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |text: &str| match text.trim().parse::<usize>() {
            Ok(cpu) if cpu < CPUS_MAX => Ok(cpu),
            _ => Err(Invalid(format!(
                "{text:?} is no CPU: a number below {CPUS_MAX}, as in 2-5,8"
            ))),
        };
        let mut cpus = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(Invalid(format!("{part:?} runs backwards")));
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.0.iter().copied().peekable();
        let mut comma = "";
        while let Some(run) = run(&mut cpus) {
            match run.into_inner() {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

/// Takes the numbers that follow each other without a gap.
fn run(cpus: &mut Peekable<impl Iterator<Item = usize>>) -> Option<RangeInclusive<usize>> {
    let first = cpus.next()?;
    let mut last = first;
    while let Some(next) = cpus.next_if_eq(&(last + 1)) {
        last = next;
    }
    Some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_of_cpus() {
        let again = |text: &str| text.parse::<Cpus>().map(|cpus| cpus.to_string());
        assert_eq!(again("5,2-4,8").unwrap(), "2-5,8");
        assert_eq!(again(" 0 , 1").unwrap(), "0-1");
        assert_eq!(again("8191").unwrap(), "8191");
        for bad in ["", "a", "1,", "5-2", "1-2-3", "8192", "-1", "0-7:2/4"] {
            assert!(again(bad).is_err(), "{bad}");
        }
        assert_eq!(Cpus::default().to_string(), "");
    }

    proptest! {
        #[test]
        fn cpus_survive_text_and_mask(cpus in prop::collection::btree_set(0..CPUS_MAX, 1..50)) {
            let cpus = Cpus(cpus);
            prop_assert_eq!(&cpus.to_string().parse::<Cpus>().unwrap(), &cpus);
            prop_assert_eq!(&Cpus::from_mask(&cpus.mask()), &cpus);
        }
    }
}
