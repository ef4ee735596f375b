// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: waiting for a parked entry ends with ETIME, with EINTR, or when the entry
//! completes; entries taken in the same call are reported instead of the end of the wait.

use crate::harness::*;

const MILLISECOND: u64 = 1_000_000;

pub fn run() {
    let (mut flow, parked) = parked();
    let ring = &mut flow.ring;
    expect_errno!(ring.enter_timeout(0, 1, MILLISECOND), libc::ETIME);

    for flags in [0, libc::SA_RESTART] {
        count_signal(libc::SIGALRM, flags);
        let seen = signals_seen();
        alarm_every(20);
        expect_errno!(ring.enter(0, 1), libc::EINTR);
        alarm_every(0);
        assert!(signals_seen() > seen);
    }

    ring.push(sqe!(libc::SYS_getuid).data(2));
    ring.publish();
    assert_eq!(
        ring.enter_timeout(1, 2, MILLISECOND),
        1,
        "the entry, not ETIME"
    );
    let cqes = ring.reap();
    assert_eq!((cqes.len(), cqes[0].user_data, cqes[0].res), (1, 2, 0));

    let (peer, expected) = (flow.peer, parked);
    let reader = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        expect_bytes(peer, &expected);
    });
    let results = in_order(flow.ring.wait(2));
    expect_results(&results, &[CHUNK as i64, CHUNK as i64]);
    reader.join().expect("the bytes are right");
}
