// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is done and how long the rest may take, on stderr.

use std::time::{Duration, Instant};

/// Steps of a measurement.
pub struct Progress {
    done: usize,
    total: usize,
    start: Instant,
    clock: &'static str,
}

impl Progress {
    /// So many steps to come. `clock` is what is said behind seconds, such as " of the guest's time".
    pub fn new(total: usize, clock: &'static str) -> Self {
        Self {
            done: 0,
            total,
            start: Instant::now(),
            clock,
        }
    }

    /// One is done.
    pub fn done(&mut self, label: &str, result: &str) {
        self.done += 1;
        let left = left(self.start.elapsed(), self.done, self.total);
        eprintln!(
            "{}/{}: {label}: {result} (about {} s{} left)",
            self.done,
            self.total,
            left.as_secs(),
            self.clock
        );
    }
}

fn left(elapsed: Duration, done: usize, total: usize) -> Duration {
    elapsed.mul_f64((total - done) as f64 / done as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left() {
        let left = left(Duration::from_secs(30), 3, 12);
        assert_eq!(left, Duration::from_secs(90));
    }
}
