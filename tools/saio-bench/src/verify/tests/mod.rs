// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests, by name. Which of them a way of a server gets is in `groups`.

pub mod groups;
mod http;
mod http2;
pub mod kill;
mod ktls;
mod lifecycle;
mod load;
mod memcached;
mod nginx;
mod redis;
mod sizes;
pub mod stress;

use anyhow::Result;

use super::subjects::Way;
use super::world::{Pair, World};

/// A test: compares, and says what differs.
pub type Test = fn(&World, &mut Pair) -> Result<()>;

/// All tests, in the order in which they run. The last one looks at what the others left and stops the servers.
pub const TESTS: [(&str, Test); 47] = [
    ("1b", sizes::one_byte),
    ("1k", sizes::one_kib),
    ("20k", sizes::twenty_kib),
    ("256k", sizes::quarter_mib),
    ("1m", sizes::one_mib),
    ("8m", sizes::eight_mib),
    ("64m", sizes::sixty_four_mib),
    ("404", http::not_found),
    ("bad-request", http::bad_request),
    ("head", http::head),
    ("not-modified", http::not_modified),
    ("range-single", http::range_single),
    ("range-multi", http::range_multi),
    ("range-suffix", http::range_suffix),
    ("range-unsatisfiable", http::range_unsatisfiable),
    ("post-refused", http::post_refused),
    ("post", http::post_echoed),
    ("chunked", http::chunked),
    ("pipelined", load::pipelined),
    ("pipelined-16", load::pipelined_16),
    ("pipelined-128", load::pipelined_128),
    ("keep-alive-off", http::keep_alive_off),
    ("http-1.0", http::http_1_0),
    ("mixed", load::mixed),
    ("many", load::many),
    ("half-close", load::half_close),
    ("file-cache", nginx::file_cache),
    ("kernel-tls", ktls::kernel_tls),
    ("tls-records", ktls::records),
    ("tls-segments", ktls::segments),
    ("access-log", nginx::access_log),
    ("http2-one-by-one", http2::one_by_one),
    ("http2-at-once", http2::at_once),
    ("dead-server", http::dead_server),
    ("pubsub", redis::publish_and_subscribe),
    ("bgsave", redis::background_save),
    ("digest", redis::digest),
    ("kept-over-restart", redis::kept_over_restart),
    ("cas", memcached::check_and_set),
    ("slow-readers", stress::slow_readers),
    ("resets", stress::resets),
    ("aborted-uploads", stress::aborted_uploads),
    ("reload", lifecycle::reload),
    ("stop", lifecycle::stop),
    ("restart", lifecycle::restart),
    ("kill", kill::kill),
    ("volume", load::volume),
];

/// Runs after all others.
pub const LAST: (&str, Test) = ("used", lifecycle::saio_was_used);

/// Tests that the short form leaves out.
const LONG: [&str; 2] = ["8m", "64m"];

/// The tests of a way, in their order.
pub fn of(way: &Way, quick: bool) -> Vec<(&'static str, Test)> {
    TESTS
        .into_iter()
        .filter(|(name, _)| way.tests.iter().any(|group| group.contains(name)))
        .filter(|(name, _)| !(quick && LONG.contains(name)))
        .chain([LAST])
        .collect()
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::verify::subjects::SUBJECTS;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = TESTS.iter().map(|(name, _)| *name).collect();
        names.push(LAST.0);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TESTS.len() + 1);
    }

    #[test]
    fn every_test_is_used_and_every_name_is_one() {
        let ways = || SUBJECTS.iter().flat_map(|subject| subject.ways);
        let wanted = |name: &str| ways().any(|way| of(way, false).iter().any(|t| t.0 == name));
        for (name, _) in TESTS {
            assert!(wanted(name), "{name} is in no group");
        }
        for name in ways().flat_map(|way| way.tests.iter().copied().flatten()) {
            assert!(TESTS.iter().any(|t| t.0 == *name), "{name} is no test");
        }
    }
}
