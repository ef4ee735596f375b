// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a server that exits with published entries, its request fully read: the peer gets
//! all bytes and the end of the stream; other published entries are dropped.

use crate::harness::*;

pub fn run() {
    owner_ends(|| (), Exit::Status(0));
}

/// Has a child publish a response and end by `end`, which gives `exit`.
pub fn owner_ends(end: impl FnOnce(), exit: Exit) {
    let response = pattern(3, 20 << 10);
    let source = file("body", &response[1000..]);
    let pair = tcp_pair(0, 0);
    write_all(pair.peer, b"request");
    let server = child(|| {
        set_nonblocking(pair.ours, false);
        expect_bytes(pair.ours, b"request");
        set_nonblocking(pair.ours, true);
        let mut flow = Flow::on(flow_ring(), pair);
        flow.ring.fill_arena(0, &response);
        flow.ring.push(flow.write(0, 1000));
        let rest = response.len() - 1000;
        flow.ring.push(flow.sendfile(source, 0, rest));
        let dropped = sqe!(libc::SYS_mkdir, c"dropped".as_ptr(), 0o755);
        flow.ring.push(dropped);
        flow.ring.publish();
        end();
    });
    // Now the child's is the last descriptor.
    expect_ok!(sys!(libc::SYS_close, pair.ours));
    expect_bytes(pair.peer, &response);
    expect_eof(pair.peer);
    assert_eq!(server.wait(), exit);
    assert!(!exists("dropped"), "a plain entry ran at the end");
}
