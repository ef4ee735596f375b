// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a flow is made of a connected, non-blocking TCP socket, once; everything else is
//! refused with the error that the ABI names.

use crate::harness::*;

pub fn run() {
    let ring = RawRing::new();
    arguments(&ring);
    wrong_files(&ring);
    wrong_states(&ring);
    once(&ring);
}

fn arguments(ring: &RawRing) {
    let size = size_of::<FlowReg>();
    let mut reg: FlowReg = zeroed();
    reg.fd = tcp_pair(0, 0).ours as u32;
    let good = reg;
    let op = REGISTER_FLOW;

    expect_errno!(sys!(REGISTER, -1, op, &mut reg, size), libc::EBADF);
    let null = fd(sys!(libc::SYS_open, c"/dev/null".as_ptr(), 0));
    expect_errno!(sys!(REGISTER, null, op, &mut reg, size), libc::EOPNOTSUPP);
    for unknown in [REGISTER_LAST, u32::MAX] {
        let got = sys!(REGISTER, ring.fd, unknown, &mut reg, size);
        expect_errno!(got, libc::EINVAL);
    }
    for op in [REGISTER_FLOW, UNREGISTER_FLOW] {
        for short in [0, size - 4] {
            let got = sys!(REGISTER, ring.fd, op, &mut reg, short);
            expect_errno!(got, libc::EINVAL);
        }
        expect_errno!(sys!(REGISTER, ring.fd, op, 0, size), libc::EFAULT);
        expect_errno!(sys!(REGISTER, ring.fd, op, 1, size), libc::EFAULT);
        reg.flags = 1;
        let got = sys!(REGISTER, ring.fd, op, &mut reg, size);
        expect_errno!(got, libc::EINVAL);
        reg = good;
        reg.resv = 1;
        let got = sys!(REGISTER, ring.fd, op, &mut reg, size);
        expect_errno!(got, libc::EINVAL);
        reg = good;
    }
    let mut longer = [good, zeroed()];
    longer[1].resv = 1;
    let got = sys!(REGISTER, ring.fd, op, &mut longer, 2 * size);
    expect_errno!(got, libc::E2BIG);
    longer[1].resv = 0;
    expect_ok!(sys!(REGISTER, ring.fd, op, &mut longer, 2 * size));
}

fn wrong_files(ring: &RawRing) {
    let null = fd(sys!(libc::SYS_open, c"/dev/null".as_ptr(), libc::O_RDWR));
    for (number, errno) in [
        (-1, libc::EBADF),
        (9999, libc::EBADF),
        (null, libc::ENOTSOCK),
        (pipe()[1], libc::ENOTSOCK),
        (ring.fd, libc::ENOTSOCK),
    ] {
        expect_errno!(ring.register_errno(number), errno);
    }

    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    let mut ends = [0i32; 2];
    let unix = libc::AF_UNIX;
    expect_ok!(sys!(libc::SYS_socketpair, unix, kind, 0, &mut ends));
    expect_errno!(ring.register_errno(ends[0]), libc::EOPNOTSUPP);
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK;
    let udp = fd(sys!(libc::SYS_socket, libc::AF_INET, kind, 0));
    expect_errno!(ring.register_errno(udp), libc::EOPNOTSUPP);
    // A kernel may be built without it.
    if let Ok(multipath) = pair_of(libc::IPPROTO_MPTCP, 0, 0) {
        expect_errno!(ring.register_errno(multipath.ours), libc::EOPNOTSUPP);
    }
}

fn wrong_states(ring: &RawRing) {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    let fresh = fd(sys!(libc::SYS_socket, libc::AF_INET, kind, 0));
    expect_errno!(ring.register_errno(fresh), libc::ENOTCONN);
    expect_ok!(sys!(libc::SYS_listen, fresh, 1));
    expect_errno!(ring.register_errno(fresh), libc::ENOTCONN);

    let pair = tcp_pair(0, 0);
    expect_errno!(ring.register_errno(pair.peer), libc::EWOULDBLOCK);
    set_linger0(pair.peer);
    expect_ok!(sys!(libc::SYS_close, pair.peer));
    eventually("the reset arrives", || {
        poll(pair.ours, libc::POLLIN, 0) & libc::POLLHUP != 0
    });
    expect_errno!(ring.register_errno(pair.ours), libc::ENOTCONN);
}

fn once(ring: &RawRing) {
    let pair = tcp_pair(0, 0);
    let flow = ring.register(pair.ours);
    let word = ring.status(flow);
    assert_eq!(word & 0xffff, FLOW_USED, "used and nothing else");
    assert_eq!(word >> 16, flow >> 16, "the generation");

    expect_errno!(ring.register_errno(pair.ours), libc::EEXIST);
    let copy = fd(sys!(libc::SYS_dup, pair.ours));
    expect_errno!(ring.register_errno(copy), libc::EEXIST);
    let other = RawRing::new();
    expect_errno!(other.register_errno(pair.ours), libc::EEXIST);

    expect_errno!(other.unregister(flow), libc::EBADF);
    expect_errno!(ring.unregister(flow ^ 1 << 16), libc::EBADF);
    expect_errno!(ring.unregister(flow + 1), libc::EBADF);
    expect_errno!(ring.unregister(u32::MAX), libc::EBADF);
    expect_ok!(ring.unregister(flow));
    expect_errno!(ring.unregister(flow), libc::EBADF);
    assert_eq!(ring.status(flow) & FLOW_USED, 0);
    // Now any ring may have it, and the socket works as before.
    let again = other.register(pair.ours);
    expect_ok!(other.unregister(again));
    write_all(pair.ours, b"plain");
    expect_bytes(pair.peer, b"plain");
}
