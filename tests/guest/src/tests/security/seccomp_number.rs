// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a filter that goes by descriptors cannot be deceived by an entry that names the flow of
//! one socket and the number of another: nothing leaves, no option is set, whether the owner enters or a
//! hook hands the entries over.

use crate::harness::*;

pub fn run() {
    in_child(|| deceive(false));
    in_child(|| deceive(true));
}

fn deceive(by_hook: bool) {
    const LOW: i32 = 1;
    let pair = tcp_pair(0, 0);
    let mut flow = Flow::on(flow_ring(), pair);
    flow.ring.fill_arena(0, b"text");
    flow.ring.fill_arena(8, &LOW.to_ne_bytes());
    let spare = fd(sys!(libc::SYS_dup, 2));
    let denied = |nr| Rule::new(nr, ret_errno(libc::EPERM)).only(0, pair.ours as u32);
    install_filter(&[
        denied(libc::SYS_write),
        denied(libc::SYS_sendto),
        denied(libc::SYS_setsockopt),
    ]);
    expect_errno!(
        sys!(libc::SYS_write, pair.ours, c"text".as_ptr(), 4),
        libc::EPERM
    );

    // The number is one for which the filter allows everything.
    flow.ours = spare;
    let entries = [
        flow.set_option(libc::SOL_SOCKET, libc::SO_PRIORITY, 8)
            .data(0),
        flow.write(0, 4).data(1),
        sqe!(libc::SYS_sendto, flow.target(), 0, 4, 0)
            .on_flow()
            .data(2),
    ];
    for entry in entries {
        flow.ring.push(entry);
    }
    flow.ring.publish();
    if by_hook {
        expect_ok!(sys!(libc::SYS_close, fd(sys!(libc::SYS_dup, 2))));
    }
    flow.ring.enter(3, 3);
    let results = in_order(flow.ring.reap());
    let (got, _) = read_up_to(flow.peer, 1);
    assert!(got.is_empty(), "bytes left past the filter: {results:?}");
    let now = get_option(pair.ours, libc::SOL_SOCKET, libc::SO_PRIORITY);
    assert_eq!(now, 0, "an option was set past the filter: {results:?}");
    assert!(results.iter().all(|result| *result < 0), "{results:?}");
}
