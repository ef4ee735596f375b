// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a socket whose non-blocking connect is still under way is refused as a flow with
//! ENOTCONN; once the connection is there the same socket is accepted.

use crate::harness::*;

/// As in the kernel's `net/tcp_states.h`.
const TCP_SYN_SENT: u8 = 2;

pub fn run() {
    let ring = RawRing::new();
    // Backlog 0 lets one connection wait to be accepted. As long as it does, nobody answers the
    // SYN of a second one.
    let listener = Listener::new(0);
    expect_ok!(listener.connect(listener.client(0)));
    let waits = poll(listener.socket, libc::POLLIN, 10_000);
    assert_eq!(waits, libc::POLLIN, "the backlog is full");

    let socket = listener.client(libc::SOCK_NONBLOCK);
    expect_errno!(listener.connect(socket), libc::EINPROGRESS);
    expect_errno!(ring.register_errno(socket), libc::ENOTCONN);
    let state = tcp_info(socket).tcpi_state;
    assert_eq!(state, TCP_SYN_SENT, "the connect is still under way");

    // Room for the SYN, which comes again after a second.
    listener.accept();
    let seen = poll(socket, libc::POLLOUT, 10_000);
    assert_eq!(seen, libc::POLLOUT, "poll says {seen:#x}");
    ring.register(socket);
}
