// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processor time of a process, exact to the nanosecond.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

/// How long a process must not have run to count as idle.
const QUIET: Duration = Duration::from_millis(20);
/// How long it may take to become idle.
const LIMIT: Duration = Duration::from_secs(20);

/// Nanoseconds that the main thread of a process has run. Where the clock counts instructions, instructions.
///
/// # Errors
///
/// The process is gone, or the kernel keeps no such count.
pub fn cpu_ns(pid: u32) -> Result<u64> {
    let file = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&file).with_context(|| {
        match Path::new(&format!("/proc/{pid}")).exists() {
            true => format!("cannot read {file}; the kernel needs CONFIG_SCHED_INFO (SCHEDSTATS)"),
            false => format!("thread {pid} has ended"),
        }
    })?;
    parse(&text).with_context(|| format!("{file} is not understood: {text:?}"))
}

/// Kernel threads whose names begin so.
pub fn threads_called(name: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id: &u32| {
            // A kernel thread has no program.
            fs::read_link(format!("/proc/{id}/exe")).is_err()
                && fs::read_to_string(format!("/proc/{id}/comm"))
                    .is_ok_and(|comm| comm.starts_with(name))
        })
        .collect()
}

/// The same, once the process has nothing left to do.
///
/// # Errors
///
/// As [`cpu_ns`], and if it still runs after 20 s.
pub fn cpu_ns_when_idle(pid: u32) -> Result<u64> {
    let start = Instant::now();
    let mut before = cpu_ns(pid)?;
    loop {
        sleep(QUIET);
        let now = cpu_ns(pid)?;
        if now == before {
            return Ok(now);
        }
        before = now;
        if start.elapsed() > LIMIT {
            bail!(
                "process {pid} still runs {} s after its last request",
                LIMIT.as_secs()
            );
        }
    }
}

fn parse(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_is_not_taken_for_a_missing_option() {
        let error = cpu_ns(u32::MAX).unwrap_err().to_string();
        assert_eq!(error, format!("thread {} has ended", u32::MAX));
    }

    #[test]
    fn first_field_counts() {
        assert_eq!(parse("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(parse(""), None);
        assert_eq!(parse("x 1 2"), None);
    }
}
