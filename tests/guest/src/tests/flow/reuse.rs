// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the number of a parked flow's socket is closed and used for a connection to
//! somebody else at once: no byte goes to the wrong peer, the first peer gets all of its bytes
//! and then the end of the stream. By each way to close a number.

use crate::harness::*;

/// Closes the number with a plain system call.
pub fn by_raw_call() {
    reuse(|flow, other| {
        expect_ok!(sys!(libc::SYS_close, flow.ours));
        let number = sys!(libc::SYS_fcntl, other, libc::F_DUPFD, flow.ours);
        assert_eq!(number, i64::from(flow.ours), "the number is free at once");
    });
}

/// Closes and reuses the number by entries of one batch.
pub fn by_close_entry() {
    reuse(|flow, other| {
        let number = flow.ours;
        let entries = [
            sqe!(libc::SYS_close, number).data(2),
            sqe!(libc::SYS_fcntl, other, libc::F_DUPFD, number).data(3),
        ];
        assert_eq!(flow.ring.submit(&entries), 2);
        expect_results(&in_order(flow.ring.reap()), &[0, i64::from(number)]);
    });
}

/// Replaces the file behind the number.
pub fn by_dup2() {
    reuse(|flow, other| {
        assert_eq!(sys!(libc::SYS_dup2, other, flow.ours), i64::from(flow.ours));
    });
}

/// Closes the number as part of a range.
pub fn by_close_range() {
    reuse(|flow, other| {
        expect_ok!(sys!(libc::SYS_close_range, flow.ours, flow.ours, 0));
        let number = sys!(libc::SYS_fcntl, other, libc::F_DUPFD, flow.ours);
        assert_eq!(number, i64::from(flow.ours));
    });
}

fn reuse(close_and_dup: impl Fn(&mut Flow, i32)) {
    let other = tcp_pair(0, 0);
    let (mut flow, parked) = parked();
    close_and_dup(&mut flow, other.ours);
    // The number is that of the other connection now, for plain calls and for a new flow.
    write_all(flow.ours, b"to the other, ");
    let new = flow.ring.register(flow.ours);
    assert_ne!(new, flow.id);
    flow.ring.fill_arena(SPARE, b"by its own flow");
    let target = target(new, flow.ours);
    let entry = sqe!(libc::SYS_write, target, SPARE, 15).on_flow();
    assert_eq!(flow.ring.run_one(entry), 15);

    expect_bytes(other.peer, b"to the other, by its own flow");
    expect_bytes(flow.peer, &parked);
    expect_eof(flow.peer);
    assert_eq!(poll(other.peer, libc::POLLIN, 0), 0, "foreign bytes");
    let cqes = flow.ring.wait(2);
    expect_results(&in_order(cqes), &[CHUNK as i64, CHUNK as i64]);
    expect_ok!(sys!(libc::SYS_close, other.ours));
    expect_ok!(sys!(libc::SYS_close, flow.ours));
    expect_eof(other.peer);
}
