// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a server that is killed while its flow is parked: a peer that reads slowly gets
//! every byte and the end of the stream, long after the server has gone.

use crate::harness::*;

pub fn run() {
    let pair = tcp_pair(SMALL, SMALL);
    let gate = Gate::new();
    let server = child(|| {
        let mut flow = Flow::on(flow_ring(), pair);
        flow.park();
        gate.open();
        wait_for_death();
    });
    expect_ok!(sys!(libc::SYS_close, pair.ours));
    gate.pass();
    server.kill();
    assert_eq!(server.wait(), Exit::Signal(libc::SIGKILL));

    let expected = park_bytes();
    for part in expected.chunks(CHUNK / 8) {
        std::thread::sleep(std::time::Duration::from_millis(5));
        expect_bytes(pair.peer, part);
    }
    expect_eof(pair.peer);
}
