// SPDX-License-Identifier: MIT OR Apache-2.0
//! The little statistics that the report needs: medians, ranges and ratios.

use serde::Serialize;

use crate::results::Better;

/// Relative difference below which two medians count as equal: repeated runs
/// of the steadiest instrument differ by this much.
pub const NOISE: f64 = 0.005;

/// What is kept of the samples of one run, in the run's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Middle sample, or the mean of the two middle samples.
    pub median: f64,
    /// Smallest sample.
    pub min: f64,
    /// Largest sample.
    pub max: f64,
    /// Number of samples.
    pub count: usize,
}

impl Summary {
    /// Sums up `samples`; `None` if there are none or one is not a number.
    pub fn of(samples: &[f64]) -> Option<Self> {
        if samples.iter().any(|sample| sample.is_nan()) {
            return None;
        }
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Self {
            median,
            min,
            max,
            count: sorted.len(),
        })
    }

    /// Half the range between the extremes, as a fraction of the median
    /// (0.01 is ±1 %); 0 if the median is 0.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            0.0
        } else {
            (self.max - self.min) / 2.0 / self.median
        }
    }

    /// Whether the ranges of the two have a value in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// How many times better `value` is than `base`: above 1 is better, whichever
/// direction the metric has. Neither may be negative; better than nothing at
/// all is infinite.
pub fn ratio(better: Better, value: f64, base: f64) -> f64 {
    let (above, below) = match better {
        Better::Higher => (value, base),
        Better::Lower => (base, value),
    };
    if above == below {
        1.0
    } else {
        above / below
    }
}

/// How a result stands against its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Better by more than noise.
    Better,
    /// The difference may be noise.
    Same,
    /// Worse by more than noise.
    Worse,
}

/// Judges `value` against `base`: ranges that overlap, and medians closer than
/// [`NOISE`], count as the same.
pub fn verdict(better: Better, value: &Summary, base: &Summary) -> Verdict {
    let ratio = ratio(better, value.median, base.median);
    if value.overlaps(base) || (ratio - 1.0).abs() < NOISE {
        Verdict::Same
    } else if ratio > 1.0 {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_and_even_medians() {
        let odd = Summary::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(
            (odd.median, odd.min, odd.max, odd.count),
            (2.0, 1.0, 3.0, 3)
        );
        let even = Summary::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(even.median, 2.5);
    }

    #[test]
    fn nothing_to_sum_up() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn spread_is_half_the_relative_range() {
        assert_eq!(Summary::of(&[9.0, 10.0, 11.0]).unwrap().spread(), 0.1);
        assert_eq!(Summary::of(&[0.0]).unwrap().spread(), 0.0);
    }

    #[test]
    fn ratio_knows_the_direction() {
        assert_eq!(ratio(Better::Higher, 20.0, 10.0), 2.0);
        assert_eq!(ratio(Better::Lower, 5.0, 10.0), 2.0);
        assert_eq!(ratio(Better::Lower, 0.0, 0.0), 1.0);
        assert_eq!(ratio(Better::Lower, 0.0, 1.0), f64::INFINITY);
        assert_eq!(ratio(Better::Higher, 0.0, 1.0), 0.0);
    }

    #[test]
    fn overlapping_ranges_are_the_same() {
        let base = Summary::of(&[9.0, 10.0, 11.0]).unwrap();
        let near = Summary::of(&[10.5, 11.5, 12.5]).unwrap();
        let far = Summary::of(&[12.0, 12.5, 13.0]).unwrap();
        assert_eq!(verdict(Better::Higher, &near, &base), Verdict::Same);
        assert_eq!(verdict(Better::Higher, &far, &base), Verdict::Better);
        assert_eq!(verdict(Better::Lower, &far, &base), Verdict::Worse);
    }
}
