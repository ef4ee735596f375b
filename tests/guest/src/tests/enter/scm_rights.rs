// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the descriptor of a ring cannot be sent over a Unix socket.

use crate::harness::*;

#[repr(C)]
struct Rights {
    header: libc::cmsghdr,
    fd: i32,
    padding: i32,
}

pub fn run() {
    let ring = RawRing::new();
    let mut ends = [0i32; 2];
    let kind = libc::SOCK_STREAM;
    expect_ok!(sys!(
        libc::SYS_socketpair,
        libc::AF_UNIX,
        kind,
        0,
        &mut ends
    ));
    assert_eq!(send(ends[0], ends[1]), 1, "an ordinary descriptor passes");
    expect_errno!(send(ends[0], ring.fd), libc::EINVAL);
}

/// Sends one byte and a descriptor.
fn send(socket: i32, passed: i32) -> i64 {
    let mut rights = Rights {
        header: zeroed(),
        fd: passed,
        padding: 0,
    };
    rights.header.cmsg_len = size_of::<libc::cmsghdr>() + size_of::<i32>();
    rights.header.cmsg_level = libc::SOL_SOCKET;
    rights.header.cmsg_type = libc::SCM_RIGHTS;
    let byte = 0u8;
    let mut part = libc::iovec {
        iov_base: std::ptr::from_ref(&byte).cast_mut().cast(),
        iov_len: 1,
    };
    let mut message: libc::msghdr = zeroed();
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut rights).cast();
    message.msg_controllen = size_of::<Rights>();
    sys!(libc::SYS_sendmsg, socket, &message, 0)
}
