// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: what is published, but was not entered yet, comes before what its owner does by
//! ordinary calls: a sendfile's source is pinned before its number is closed and reused, a write
//! does not overtake, and a close loses nothing, also when an ordinary entry stands in between.

use crate::harness::*;

pub fn source_closed() {
    let mut flow = Flow::roomy();
    let content = pattern(1, 20 << 10);
    let source = file("right", &content);
    flow.ring.push(flow.sendfile(source, 0, content.len()));
    flow.ring.publish();
    expect_ok!(sys!(libc::SYS_close, source));
    assert_eq!(file("wrong", &pattern(2, 20 << 10)), source, "reused");
    expect_bytes(flow.peer, &content);
    assert!(!flow.has(FLOW_FAILED));
}

pub fn write_waits() {
    for between in [false, true] {
        let mut flow = Flow::roomy();
        flow.ring.fill_arena(0, b"first");
        if between {
            flow.ring.push(sqe!(libc::SYS_getpid));
        }
        flow.ring.push(flow.write(0, 5));
        flow.ring.publish();
        let end = now() + std::time::Duration::from_secs(10);
        while sys!(libc::SYS_write, flow.ours, b"second".as_ptr(), 6) != 6 {
            assert!(now() < end, "the write never gets through");
            flow.ring.enter(1, 0);
        }
        expect_bytes(flow.peer, b"firstsecond");
    }
}

pub fn close_loses_nothing() {
    for between in [false, true] {
        let mut flow = Flow::roomy();
        flow.ring.fill_arena(0, b"promised");
        if between {
            flow.ring.push(sqe!(libc::SYS_getpid));
        }
        flow.ring.push(flow.write(0, 8));
        flow.ring.publish();
        expect_ok!(sys!(libc::SYS_close, flow.ours));
        flow.ring.enter(2, 0);
        expect_bytes(flow.peer, b"promised");
        expect_eof(flow.peer);
    }
}

fn now() -> std::time::Instant {
    std::time::Instant::now()
}
