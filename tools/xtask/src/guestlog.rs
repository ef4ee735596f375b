// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel's log says: complaints that fail a run, whatever its status.

/// With this a self-test is named in the log when it begins, and with nothing behind it the end of the last one.
const TEST: &str = "saio-selftest:";

/// Returns the first lines of complaints in a console log, without time stamps.
pub fn complaints(log: &str) -> Vec<String> {
    let found = complaints_in_tests(log).into_iter();
    found.map(|(_, complaint)| complaint.to_string()).collect()
}

/// What [`complaints`] returns, each with the self-test that ran then, if one did.
pub fn complaints_in_tests(log: &str) -> Vec<(Option<&str>, &str)> {
    let mut test = None;
    let mut found = Vec::new();
    for message in log.lines().map(message) {
        if let Some(name) = message.strip_prefix(TEST) {
            test = Some(name.trim()).filter(|name| !name.is_empty());
        } else if is_complaint(message) {
            found.push((test, message));
        }
    }
    found
}

/// Returns the last lines of a log.
pub fn tail(log: &str, lines: usize) -> String {
    let all: Vec<&str> = log.lines().collect();
    let start = all.len().saturating_sub(lines);
    all[start..].join("\n")
}

/// Strips the time stamp of printk.
pub fn message(line: &str) -> &str {
    let line = line.trim_end();
    match line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((stamp, message)) if stamp.trim().chars().all(|c| c.is_ascii_digit() || c == '.') => {
            message
        }
        _ => line,
    }
}

/// Whether the kernel reports a defect of its own.
fn is_complaint(message: &str) -> bool {
    // "traps: nginx[12] general protection fault" is a program's mistake.
    if message.starts_with("traps:") {
        return false;
    }
    // Elsewhere in a line these words may stand in harmless advice.
    let starts = ["WARNING:", "BUG:", "Oops:", "general protection"];
    let contains = [
        "kernel BUG at",
        "Kernel panic",
        "KASAN:",
        "UBSAN:",
        "KCSAN:",
        "[ BUG: ",
        "possible circular locking",
        "possible recursive locking",
        "inconsistent lock state",
        "suspicious RCU usage",
        "INFO: trying to register non-static key",
        "new suspected memory leaks",
        "soft lockup",
        "hard LOCKUP",
    ];
    let task_hangs = message.contains("INFO: task ") && message.contains(" blocked for more than");
    let rcu_stalls = message.contains("rcu") && message.contains("stall");
    starts.iter().any(|mark| message.starts_with(mark))
        || contains.iter().any(|mark| message.contains(mark))
        || task_hangs
        || rcu_stalls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_of_the_kernel_are_complaints() {
        let log = "\
[    0.000000] Linux version 6.12.117
[    1.500000] WARNING: CPU: 0 PID: 1 at kernel/saio/call.c:10 saio_enter+0x1/0x2
[   12.000000] BUG: KASAN: slab-use-after-free in x+0x1/0x2
[   12.000001] INFO: task nginx:99 blocked for more than 122 seconds.
[   13.000000] rcu: INFO: rcu_preempt self-detected stall on CPU
[   14.000000] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
[   15.000000] Kernel panic - not syncing: Attempted to kill init!";
        let found = complaints(log);
        assert_eq!(found.len(), 6);
        assert!(found[0].starts_with("WARNING: CPU: 0"));
    }

    #[test]
    fn complaints_belong_to_the_test_that_ran() {
        let log = "\
[    1.0] WARNING: CPU: 0 early
[    2.0] saio-selftest: enter.nop
[    3.0] saio-selftest: flow.park
[    3.1] BUG: KASAN: slab-use-after-free in x
[    4.0] saio-selftest:
[    5.0] WARNING: CPU: 1 late";
        let found = complaints_in_tests(log);
        let tests: Vec<Option<&str>> = found.iter().map(|(test, _)| *test).collect();
        assert_eq!(tests, [None, Some("flow.park"), None]);
        assert!(found[1].1.starts_with("BUG: KASAN"));
        let all: Vec<&str> = found.iter().map(|(_, complaint)| *complaint).collect();
        assert_eq!(all, complaints(log));
    }

    #[test]
    fn harmless_lines_are_none() {
        let log = "\
[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled
[    0.2] traps: nginx[12] general protection fault ip:1 sp:2 error:0
[    0.3] rcu: Hierarchical RCU implementation.
[    0.4] kmemleak: Automatic memory scanning thread started
saio-init: something";
        assert!(complaints(log).is_empty());
    }

    #[test]
    fn the_tail_may_be_all() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a", 60), "a");
    }
}
