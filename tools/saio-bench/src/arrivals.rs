// SPDX-License-Identifier: MIT OR Apache-2.0

//! When requests come, where nobody waits for the answers.

use std::time::Duration;

use crate::docs::Random;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All gaps are equal
    Constant,
    /// As from many clients who know nothing of each other
    Poisson,
}

impl Pace {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Constant, Self::Poisson];

    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        }
    }

    /// When each of so many requests comes, from the start on. Of one seed they are the same each time.
    pub fn arrivals(self, per_second: f64, number: u64, seed: u64) -> Vec<Duration> {
        let mut random = Random::new(seed);
        let mut now = 0.0;
        (0..number)
            .map(|_| {
                now += self.gap(&mut random) / per_second;
                Duration::from_secs_f64(now)
            })
            .collect()
    }

    /// A gap, where the mean is 1.
    fn gap(self, random: &mut Random) -> f64 {
        match self {
            Self::Constant => 1.0,
            // 53 bits are what a float has; the 1 - x is never 0.
            Self::Poisson => -(1.0 - (random.number() >> 11) as f64 / (1_u64 << 53) as f64).ln(),
        }
    }
}

/// The value that a share of `sorted` is not above: 0.5 is the median.
pub fn quantile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_gaps_are_equal() {
        let millis = |number| Duration::from_millis(number);
        let arrivals = Pace::Constant.arrivals(1000.0, 3, 7);
        assert_eq!(arrivals, [millis(1), millis(2), millis(3)]);
    }

    #[test]
    fn gaps_of_poisson_have_mean_and_spread_of_their_own() {
        let arrivals = Pace::Poisson.arrivals(1000.0, 20_000, 1);
        assert_eq!(arrivals, Pace::Poisson.arrivals(1000.0, 20_000, 1));
        assert_ne!(arrivals, Pace::Poisson.arrivals(1000.0, 20_000, 2));
        let last = arrivals.last().unwrap().as_secs_f64();
        assert!((last - 20.0).abs() < 0.5, "{last}");
        // A share of 1/e is longer than the mean, of constant gaps none.
        let gaps = arrivals.windows(2).map(|two| two[1] - two[0]);
        let long = gaps.filter(|gap| *gap > Duration::from_millis(1)).count();
        assert!((7000..7700).contains(&long), "{long}");
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values: Vec<Duration> = (1..=1000).map(Duration::from_millis).collect();
        let at = |share| quantile(&values, share).unwrap().as_millis();
        assert_eq!((at(0.0), at(0.5), at(0.99), at(0.999)), (1, 500, 990, 999));
        assert_eq!(at(1.0), 1000);
        assert_eq!(quantile(&values[..1], 0.999), Some(values[0]));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
