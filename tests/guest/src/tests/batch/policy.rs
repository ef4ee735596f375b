// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: every number that the policy table denies completes with EOPNOTSUPP, every one
//! that the kernel does not have with ENOSYS, and nothing else happens.

use crate::harness::*;
use saio_logic::policy::{self, Class, TABLE};

pub fn run() {
    let mut ring = RawRing::new();
    let denied: Vec<u16> = (0..=u16::MAX)
        .filter(|nr| !policy::lookup(*nr).allowed())
        .collect();
    assert!(denied.len() > 65_000 && denied.len() < 65_536);
    let pid = sys!(libc::SYS_getpid);
    for numbers in denied.chunks(128) {
        let mut entries: Vec<Sqe> = numbers
            .iter()
            // Arguments with which even a call that slipped through would do no harm.
            .map(|nr| sqe!(i64::from(*nr), -1, -1, -1, -1, -1, -1))
            .collect();
        entries.push(sqe!(libc::SYS_getpid));
        let results = ring.run(&entries);
        for (nr, result) in numbers.iter().zip(&results) {
            expect_refusal(*nr, *result);
        }
        assert_eq!(results.last(), Some(&pid), "after {numbers:?}");
    }
}

fn expect_refusal(nr: u16, got: i64) {
    let (refused, absent) = (neg(libc::EOPNOTSUPP), neg(libc::ENOSYS));
    let row = TABLE
        .binary_search_by_key(&nr, |rule| rule.nr)
        .map(|i| TABLE[i]);
    let good = match row {
        // The table has names of calls that no kernel has had for long: both answers are true.
        Ok(rule) if rule.reason.contains("ENOSYS") => got == refused || got == absent,
        Ok(rule) => rule.class == Class::Never && got == refused,
        // The numbers that only x32 has.
        Err(_) if (512..=547).contains(&nr) => got == refused || got == absent,
        Err(_) => got == absent,
    };
    let name = policy::name(nr).unwrap_or("not in the table");
    assert!(good, "{nr} ({name}): {}", show(got));
}
