// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: while a flow is parked, what would change the connection under its bytes gives
//! EBUSY: TCP_ULP, TCP_REPAIR, a connect to AF_UNSPEC. The bytes arrive all the same.

use crate::harness::*;

pub fn run() {
    let (mut flow, parked) = parked();
    let ours = flow.ours;
    let tls = c"tls".as_ptr();
    let tcp = libc::IPPROTO_TCP;
    expect_errno!(
        sys!(libc::SYS_setsockopt, ours, tcp, libc::TCP_ULP, tls, 3),
        libc::EBUSY
    );
    expect_errno!(try_option(ours, tcp, libc::TCP_REPAIR, 1), libc::EBUSY);
    let nowhere: libc::sockaddr_in = zeroed();
    assert_eq!(i32::from(nowhere.sin_family), libc::AF_UNSPEC);
    let size = size_of::<libc::sockaddr_in>();
    expect_errno!(sys!(libc::SYS_connect, ours, &nowhere, size), libc::EBUSY);
    // What changes nothing is not held up.
    expect_ok!(try_option(ours, tcp, libc::TCP_NODELAY, 1));

    flow.unpark(&parked);
    expect_ok!(sys!(libc::SYS_connect, ours, &nowhere, size));
}
