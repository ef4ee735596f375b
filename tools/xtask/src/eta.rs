// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long a guest may still take whose clock is not ours.
//!
//! Its programs number their steps ("3/24: …") and cannot know how long one takes here.

use std::time::{Duration, Instant};

/// Longest beginning of a line that is looked at, in bytes.
const HEAD: usize = 24;

/// Puts the time that is left at the end of lines that number steps.
#[derive(Debug, Default)]
pub struct TimeLeft {
    /// The beginning of the line that is not complete yet.
    head: Vec<u8>,
    /// When the first step was done, and its number. What came before it was not only that step.
    first: Option<(Instant, u32)>,
}

impl TimeLeft {
    /// Takes a piece of a stream at the time `now` and returns it, with what is added.
    pub fn pass(&mut self, bytes: &[u8], now: Instant) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if byte == b'\n' {
                if let Some(left) = step(&self.head).and_then(|step| self.left(step, now)) {
                    out.extend(format!(" (about {} s left)", left.as_secs()).bytes());
                }
                self.head.clear();
            } else if self.head.len() < HEAD {
                self.head.push(byte);
            }
            out.push(byte);
        }
        out
    }

    fn left(&mut self, (done, total): (u32, u32), now: Instant) -> Option<Duration> {
        match self.first {
            Some((since, first)) if done > first => {
                let steps = f64::from(total.checked_sub(done)?) / f64::from(done - first);
                Some(now.saturating_duration_since(since).mul_f64(steps))
            }
            // Also if the count begins again.
            _ => {
                self.first = Some((now, done));
                None
            }
        }
    }
}

/// The number of a step and how many there are, at the beginning of a line.
fn step(head: &[u8]) -> Option<(u32, u32)> {
    let head = String::from_utf8_lossy(head);
    let (done, total) = head.split_once(": ")?.0.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_get_the_time_that_is_left() {
        let start = Instant::now();
        let mut left = TimeLeft::default();
        let mut said = |text: &str, second: u64| {
            let out = left.pass(text.as_bytes(), start + Duration::from_secs(second));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            said("hello: 1/2\n1/9: slow\n", 100),
            "hello: 1/2\n1/9: slow\n"
        );
        assert_eq!(said("2/9: a, 12", 103), "2/9: a, 12");
        assert_eq!(said("34\n", 104), "34 (about 28 s left)\n");
        assert_eq!(said("5/9: b\n", 120), "5/9: b (about 20 s left)\n");
        assert_eq!(said("9/9: c\n", 140), "9/9: c (about 0 s left)\n");
        assert_eq!(
            said("1/2: next\n2/2: x\n", 150),
            "1/2: next\n2/2: x (about 0 s left)\n"
        );
    }
}
