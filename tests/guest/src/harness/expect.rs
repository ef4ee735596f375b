// SPDX-License-Identifier: MIT OR Apache-2.0

//! Assertions that speak of errnos and bytes.

use std::{io, thread, time::Duration};

/// A result in words: the number, and the error that it stands for.
pub fn show(result: i64) -> String {
    if (-4095..0).contains(&result) {
        io::Error::from_raw_os_error(-result as i32).to_string()
    } else {
        result.to_string()
    }
}

/// Asserts that a result is the negated errno.
macro_rules! expect_errno {
    ($result:expr, $errno:expr) => {{
        let (got, want) = ($result, -i64::from($errno));
        assert!(
            got == want,
            "{}: expected {}, got {}",
            stringify!($result),
            $crate::harness::show(want),
            $crate::harness::show(got)
        );
    }};
}
pub(crate) use expect_errno;

/// Asserts that a result is no error, and gives it back.
macro_rules! expect_ok {
    ($result:expr) => {{
        let got: i64 = $result;
        assert!(
            got >= 0,
            "{}: {}",
            stringify!($result),
            $crate::harness::show(got)
        );
        got
    }};
}
pub(crate) use expect_ok;

/// Asserts that results are as expected; errnos are given as `-errno`.
#[track_caller]
pub fn expect_results(got: &[i64], want: &[i64]) {
    let text = |all: &[i64]| all.iter().map(|r| show(*r)).collect::<Vec<_>>().join(", ");
    assert!(
        got == want,
        "expected results [{}], got [{}]",
        text(want),
        text(got)
    );
}

/// Asserts that bytes are equal without printing them all.
#[track_caller]
pub fn expect_same(got: &[u8], want: &[u8]) {
    let equal = got.iter().zip(want).take_while(|(a, b)| a == b).count();
    assert!(
        got == want,
        "{} bytes instead of {}, equal up to {equal}",
        got.len(),
        want.len()
    );
}

/// Waits up to 10 s for what another thread or the kernel does in its own time.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    within(10, what, condition);
}

/// As [`eventually`], with another limit in seconds.
#[track_caller]
pub fn within(seconds: u32, what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..100 * seconds {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: still not so after {seconds} s");
}

/// Ends the test as skipped. Only from the test's own process, not from a child of it.
pub fn skip(reason: &str) -> ! {
    println!("{reason}");
    std::process::exit(super::ktap::SKIP_STATUS)
}

/// Negated errno as an entry's result.
pub const fn neg(errno: i32) -> i64 {
    -(errno as i64)
}
