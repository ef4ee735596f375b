// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: who writes to the socket of a flow and waits for an entry of a chain is let go when the chain
//! cancels that entry, even if the owner then sleeps in the same batch.

use std::time::Duration;

use crate::harness::*;

pub fn run() {
    let mut flow = Flow::roomy();
    let (silent, done) = (tcp_pair(0, 0), tcp_pair(0, 0));
    set_patience(silent.peer, 1);
    let mut byte = 0u8;
    let mut read = |socket| sqe!(libc::SYS_read, socket, &mut byte, 1);
    let fails = read(silent.peer).flag(LINK).data(1);
    let sleeps = read(done.peer).data(3);
    flow.ring.fill_arena(0, b"never");
    let cancelled = flow.write(0, 5).data(2);

    let writer = child(|| {
        // By now the owner waits in the first entry.
        std::thread::sleep(Duration::from_millis(300));
        set_nonblocking(flow.ours, false);
        write_all(flow.ours, b"direct");
        write_all(done.ours, b"!");
    });
    for entry in [fails, cancelled, sleeps] {
        flow.ring.push(entry);
    }
    flow.ring.publish();
    assert_eq!(flow.ring.enter(3, 3), 3);
    let results = in_order(flow.ring.reap());
    let (eagain, ecanceled) = (-i64::from(libc::EAGAIN), -i64::from(libc::ECANCELED));
    expect_results(&results, &[eagain, ecanceled, 1]);
    assert_eq!(writer.wait(), Exit::Status(0));
    expect_bytes(flow.peer, b"direct");
}
