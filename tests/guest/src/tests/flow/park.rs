// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: entries that do not fit are parked: status FULL, the socket not writable by any
//! other way. When the peer reads, every byte arrives in order, the completions follow, FULL
//! goes, and the socket can be written again.

use crate::harness::*;

pub fn run() {
    let mut flow = Flow::tight();
    let parked = flow.park();
    not_writable(&flow);
    // A third entry waits behind the two.
    flow.ring.fill_arena(SPARE, b"third");
    assert_eq!(flow.ring.submit(&[flow.write(SPARE, 5).data(2)]), 1);
    assert!(flow.ring.reap().is_empty());
    // Reads and other calls are no concern of the flow.
    expect_alive(&mut flow.ring);
    write_all(flow.peer, b"request");
    let mut text = [0u8; 16];
    eventually("the request can be read", || {
        sys!(libc::SYS_read, flow.ours, &mut text, 16) == 7
    });
    assert_eq!(&text[..7], b"request");

    expect_bytes(flow.peer, &parked);
    expect_bytes(flow.peer, b"third");
    let results = in_order(flow.ring.wait(3));
    expect_results(&results, &[CHUNK as i64, CHUNK as i64, 5]);
    flow.expect_writable();
    assert!(!flow.has(FLOW_FAILED));
    write_all(flow.ours, b"plain");
    expect_bytes(flow.peer, b"plain");

    // Once more, on the same flow.
    let parked = flow.park();
    not_writable(&flow);
    flow.unpark(&parked);
}

/// Writes by another way get EAGAIN, and poll agrees.
fn not_writable(flow: &Flow) {
    let text = c"early".as_ptr();
    let ours = flow.ours;
    expect_errno!(sys!(libc::SYS_write, ours, text, 5), libc::EAGAIN);
    expect_errno!(
        sys!(libc::SYS_sendto, ours, text, 5, libc::MSG_NOSIGNAL, 0, 0),
        libc::EAGAIN
    );
    let part = libc::iovec {
        iov_base: text.cast_mut().cast(),
        iov_len: 5,
    };
    expect_errno!(sys!(libc::SYS_writev, ours, &part, 1), libc::EAGAIN);
    let source = file("early", b"early");
    expect_errno!(sys!(libc::SYS_sendfile, ours, source, 0, 5), libc::EAGAIN);
    expect_ok!(sys!(libc::SYS_close, source));
    assert_eq!(poll(ours, libc::POLLOUT, 0), 0, "not writable");
}
