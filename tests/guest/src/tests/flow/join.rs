// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: two data entries of a flow that follow each other directly leave in one segment,
//! as header and file of a response should; alone each leaves by itself.

use crate::harness::*;

pub fn run() {
    let mut flow = Flow::roomy();
    // Otherwise Nagle's algorithm would do some of the joining.
    set_option(flow.ours, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    let bytes = pattern(8, 1000);
    flow.ring.fill_arena(0, &bytes);
    let source = file("body", &bytes[300..]);

    let before = data_segments(flow.ours);
    assert_eq!(flow.ring.run_one(flow.write(0, 300)), 300);
    assert_eq!(flow.ring.run_one(flow.sendfile(source, 0, 700)), 700);
    assert_eq!(data_segments(flow.ours) - before, 2, "two batches");
    expect_bytes(flow.peer, &bytes);

    for second in [flow.sendfile(source, 0, 700), flow.write(300, 700)] {
        if in_pool().is_some() && second.nr != libc::SYS_sendfile as u16 {
            // A thread may send the first before the second is handed over; a file becomes part of
            // the operation before it.
            continue;
        }
        let before = data_segments(flow.ours);
        let got = flow.ring.run(&[flow.write(0, 300), second]);
        expect_results(&got, &[300, 700]);
        expect_bytes(flow.peer, &bytes);
        assert_eq!(data_segments(flow.ours) - before, 1, "one batch");
    }

    // Bytes that are to wait for more are joined as well, and then wait no longer.
    let mut header = flow.write(0, 300);
    header.nr = libc::SYS_sendto as u16;
    header.args[3] = libc::MSG_MORE as u64;
    let before = data_segments(flow.ours);
    let got = flow.ring.run(&[header, flow.sendfile(source, 0, 700)]);
    expect_results(&got, &[300, 700]);
    assert_eq!(data_segments(flow.ours) - before, 1, "nothing is held back");
    expect_bytes(flow.peer, &bytes);

    // An entry of another flow between them, or none behind: nothing may be held back.
    let other = tcp_pair(0, 0);
    let reference = flow.ring.register(other.ours);
    let target = target(reference, other.ours);
    let elsewhere = sqe!(libc::SYS_write, target, 0, 10).on_flow();
    let got = flow
        .ring
        .run(&[flow.write(0, 300), elsewhere, flow.write(300, 700)]);
    expect_results(&got, &[300, 10, 700]);
    expect_bytes(flow.peer, &bytes);
    expect_bytes(other.peer, &bytes[..10]);
}
