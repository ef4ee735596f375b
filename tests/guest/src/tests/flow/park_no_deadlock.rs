// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a parked flow holds up neither its owner nor the connection's other direction: a
//! peer that reads only after it has written everything is served by a plain event loop.

use crate::harness::*;

pub fn run() {
    let (mut flow, parked) = parked();
    let sent = pattern(9, 2 * CHUNK);
    let (peer, text, expected) = (flow.peer, sent.clone(), parked);
    let writer = std::thread::spawn(move || {
        write_all(peer, &text);
        expect_bytes(peer, &expected);
    });

    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let interest = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 0,
    };
    let add = libc::EPOLL_CTL_ADD;
    expect_ok!(sys!(libc::SYS_epoll_ctl, epoll, add, flow.ours, &interest));
    let mut received = Vec::new();
    let mut buffer = vec![0u8; 16 << 10];
    let mut events: [libc::epoll_event; 1] = [zeroed()];
    let mut results = Vec::new();
    while received.len() < sent.len() {
        let entries = [
            sqe!(libc::SYS_epoll_wait, epoll, &mut events, 1, 10_000)
                .flag(LINK)
                .data(10),
            sqe!(libc::SYS_read, flow.ours, buffer.as_mut_ptr(), buffer.len()).data(11),
        ];
        assert_eq!(flow.ring.submit(&entries), 2);
        for cqe in flow.ring.reap() {
            match cqe.user_data {
                10 => assert_eq!(cqe.res, 1, "the peer writes, so events come"),
                11 => received.extend_from_slice(&buffer[..expect_ok!(cqe.res) as usize]),
                _ => results.push(cqe),
            }
        }
    }
    expect_same(&received, &sent);
    writer.join().expect("the peer gets all bytes");
    let missing = 2 - results.len() as u32;
    if missing != 0 {
        results.extend(flow.ring.wait(missing));
    }
    expect_results(&in_order(results), &[CHUNK as i64, CHUNK as i64]);
}
