// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: socket options as entries of a flow take effect in its order: what stands between
//! cork and uncork leaves as one segment. Options that are not listed are refused.

use crate::harness::*;

pub fn run() {
    let mut flow = Flow::roomy();
    let tcp = libc::IPPROTO_TCP;
    let (on, off) = (SPARE, SPARE + 8);
    flow.ring.fill_arena(on, &1i32.to_ne_bytes());
    flow.ring.fill_arena(off, &0i32.to_ne_bytes());
    let bytes = pattern(8, 1000);
    flow.ring.fill_arena(0, &bytes);

    let before = data_segments(flow.ours);
    assert_eq!(
        flow.ring
            .run_one(flow.set_option(tcp, libc::TCP_NODELAY, on)),
        0
    );
    assert_ne!(get_option(flow.ours, tcp, libc::TCP_NODELAY), 0);
    assert_eq!(
        flow.ring.run_one(flow.set_option(tcp, libc::TCP_CORK, on)),
        0
    );
    assert_ne!(get_option(flow.ours, tcp, libc::TCP_CORK), 0);
    assert_eq!(flow.ring.run_one(flow.write(0, 100)), 100);
    assert_eq!(flow.ring.run_one(flow.write(100, 200)), 200);
    let got = flow.ring.run(&[
        flow.write(300, 700),
        flow.set_option(tcp, libc::TCP_CORK, off),
    ]);
    expect_results(&got, &[700, 0]);
    assert_eq!(get_option(flow.ours, tcp, libc::TCP_CORK), 0);
    expect_bytes(flow.peer, &bytes);
    assert_eq!(data_segments(flow.ours) - before, 1);

    let keep_alive = flow.set_option(libc::SOL_SOCKET, libc::SO_KEEPALIVE, on);
    assert_eq!(flow.ring.run_one(keep_alive), 0);
    assert_ne!(
        get_option(flow.ours, libc::SOL_SOCKET, libc::SO_KEEPALIVE),
        0
    );
    for (level, name) in [
        (libc::SOL_SOCKET, libc::SO_REUSEADDR),
        (tcp, libc::TCP_ULP),
        (tcp, libc::TCP_REPAIR),
        (libc::IPPROTO_IP, libc::IP_TTL),
    ] {
        let got = flow.ring.run_one(flow.set_option(level, name, on));
        assert_eq!(got, neg(libc::EOPNOTSUPP), "{level}/{name}: {}", show(got));
    }
    assert!(!flow.has(FLOW_FAILED));
    assert_eq!(flow.ring.run_one(flow.write(0, 10)), 10);
    expect_bytes(flow.peer, &bytes[..10]);
}
