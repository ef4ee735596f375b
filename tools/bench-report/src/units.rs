// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers as text, and the marks of an axis.

/// Smallest value shown with a prefix, what the prefix divides by, the prefix.
const PREFIXES: [(f64, f64, &str); 7] = [
    (1e9, 1e9, "G"),
    (1e6, 1e6, "M"),
    (1e4, 1e3, "k"),
    (1e-2, 1.0, ""),
    (1e-3, 1e-3, "m"),
    (1e-6, 1e-6, "µ"),
    (0.0, 1e-9, "n"),
];

/// Marks aimed at on a value axis, the zero not counted.
const TICKS: f64 = 5.0;

fn prefix(value: f64) -> (f64, &'static str) {
    if value == 0.0 || !value.is_finite() {
        return (1.0, "");
    }
    PREFIXES
        .iter()
        .find(|(from, _, _)| value.abs() >= *from)
        .map_or((1.0, ""), |(_, factor, name)| (*factor, *name))
}

fn with_prefix(number: String, prefix: &str) -> String {
    if prefix.is_empty() {
        number
    } else {
        format!("{number} {prefix}")
    }
}

/// `value` with four significant digits and an SI prefix: `46.12 k`.
pub fn quantity(value: f64) -> String {
    let (factor, prefix) = prefix(value);
    let scaled = value / factor;
    let decimals = match scaled.abs() {
        0.0 => 0,
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    with_prefix(format!("{scaled:.decimals$}"), prefix)
}

/// A ratio as `1.112×`, an infinite one as `∞`.
pub fn times(ratio: f64) -> String {
    if ratio.is_finite() {
        format!("{ratio:.3}×")
    } else {
        "∞".to_owned()
    }
}

/// A fraction as percent: 0.013 is `1.3 %`.
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

/// A parameter's value, without a fraction where it has none: `64`.
pub fn parameter(value: f64) -> String {
    format!("{value}")
}

/// A value axis that starts at zero.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The marks, from 0 to the end of the axis.
    pub ticks: Vec<f64>,
    factor: f64,
    prefix: &'static str,
    decimals: usize,
}

impl Axis {
    /// An axis from 0 to the first round number that is not below `max`.
    pub fn up_to(max: f64) -> Self {
        let max = if max > 0.0 && max.is_finite() {
            max
        } else {
            1.0
        };
        let wish = max / TICKS;
        let magnitude = 10f64.powf(wish.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0]
            .into_iter()
            .map(|digit| digit * magnitude)
            .find(|step| *step >= wish)
            .unwrap_or(10.0 * magnitude);
        // Without the allowance 0.3 / 0.1 would need four steps.
        let steps = (max / step - 1e-9).ceil().max(1.0) as u32;
        let (factor, prefix) = prefix(step * f64::from(steps));
        let decimals = (0..4)
            .find(|digits| {
                let shifted = step / factor * 10f64.powi(*digits);
                (shifted - shifted.round()).abs() < 1e-6
            })
            .unwrap_or(4);
        Self {
            ticks: (0..=steps).map(|n| f64::from(n) * step).collect(),
            factor,
            prefix,
            decimals: decimals as usize,
        }
    }

    /// The end of the axis.
    pub fn top(&self) -> f64 {
        self.ticks.last().copied().unwrap_or(1.0)
    }

    /// What is written at the mark `value`; all marks have the same prefix.
    pub fn label(&self, value: f64) -> String {
        if value == 0.0 {
            return "0".to_owned();
        }
        let decimals = self.decimals;
        with_prefix(format!("{:.decimals$}", value / self.factor), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        assert_eq!(quantity(46_123.4), "46.12 k");
        assert_eq!(quantity(3.02), "3.020");
        assert_eq!(quantity(1234.4), "1234");
        assert_eq!(quantity(0.0), "0");
        assert_eq!(quantity(0.000_25), "250.0 µ");
        assert_eq!(quantity(2e9), "2.000 G");
    }

    #[test]
    fn small_things() {
        assert_eq!(times(1.1116), "1.112×");
        assert_eq!(times(f64::INFINITY), "∞");
        assert_eq!(percent(0.013), "1.3 %");
        assert_eq!(parameter(64.0), "64");
        assert_eq!(parameter(0.5), "0.5");
    }

    #[test]
    fn axis_ends_on_a_round_number() {
        let axis = Axis::up_to(47_000.0);
        assert_eq!(axis.ticks.len(), 6);
        assert_eq!(axis.top(), 50_000.0);
        assert_eq!(axis.label(20_000.0), "20 k");
        assert_eq!(axis.label(0.0), "0");
        assert_eq!(Axis::up_to(12.0).label(2.5), "2.5");
        assert_eq!(Axis::up_to(0.0).top(), 1.0);
    }
}
