// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a wait for what cannot come ends with an error; a call without a safe form is taken by
//! its number, and one that may not stand in a batch is refused by its completion.

use std::time::Duration;

use saio::queue::Call;

use super::{done, errno, queue};

pub fn run() {
    let mut queue = queue();
    let ended = errno(queue.submit_and_wait(1, Some(Duration::from_millis(1))));
    assert!([libc::EDEADLK, libc::ETIME].contains(&ended), "{ended}");

    // SAFETY: no memory is involved. (A sleep of a millisecond, by poll.)
    let sleep = unsafe { Call::raw(libc::SYS_poll as u16, [0, 0, 1, 0, 0, 0]) };
    queue.push(sleep, 7).expect("room");
    queue.submit().expect("no signal comes");
    assert_eq!(done(&mut queue, 1), [(7, Ok(0))]);

    // SAFETY: it is refused.
    let fork = unsafe { Call::raw(libc::SYS_fork as u16, [0; 6]) };
    queue.push(fork, 8).expect("room");
    queue.submit().expect("no signal comes");
    assert_eq!(done(&mut queue, 1), [(8, Err(libc::EOPNOTSUPP))]);
}
