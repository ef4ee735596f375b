// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is done and how long the rest may take, on stderr.

use std::time::{Duration, Instant};

/// Steps of a measurement.
pub struct Progress {
    done: usize,
    total: usize,
    /// If there is a clock that tells how long the rest takes.
    start: Option<Instant>,
}

impl Progress {
    /// So many steps to come. `timed`: the time of this machine is that of who waits. Otherwise who
    /// emulates it may add it: `xtask` does.
    pub fn new(total: usize, timed: bool) -> Self {
        Self {
            done: 0,
            total,
            start: timed.then(Instant::now),
        }
    }

    /// One is done.
    pub fn done(&mut self, label: &str, result: &str) {
        self.done += 1;
        let (done, total) = (self.done, self.total);
        let left = self.start.map_or_else(String::new, |start| {
            let left = left(start.elapsed(), done, total);
            format!(" (about {} s left)", left.as_secs())
        });
        eprintln!("{done}/{total}: {label}: {result}{left}");
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
