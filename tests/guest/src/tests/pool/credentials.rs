// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a thread runs an entry with the credentials that its owner has when the entry is
//! taken, not with its own and not with those the owner once had. An option that takes a capability
//! shows whose they are; data leaves whoever the owner is.

use crate::harness::*;

/// A priority that takes CAP_NET_ADMIN, and one that anybody may set.
const HIGH: i32 = 7;
const LOW: i32 = 1;
const NOBODY: u32 = 65534;

pub fn run() {
    let pool = Pool::new("creds", |p| p.idle_us(MAX_IDLE_NS / 1000));
    let mut flow = Flow::on(RawRing::pooled("creds"), tcp_pair(0, 0));
    flow.ring.fill_arena(0, &HIGH.to_ne_bytes());
    flow.ring.fill_arena(8, &LOW.to_ne_bytes());
    flow.ring.fill_arena(16, b"text");
    let mut entries = 0;
    for _ in 0..3 {
        // By itself, and handed over by the owner as it enters.
        for how in [published, entered] {
            for (euid, result, priority) in [(0, 0, HIGH), (NOBODY, neg(libc::EPERM), LOW)] {
                set_euid(euid);
                expect_results(&how(&mut flow), &[0, result, 4]);
                let now = get_option(flow.ours, libc::SOL_SOCKET, libc::SO_PRIORITY);
                assert_eq!(now, priority, "as user {euid}");
                expect_bytes(flow.peer, b"text");
                set_euid(0);
                entries += 3;
            }
        }
    }
    let info = flow.ring.info();
    assert_eq!(info.number("pooled"), entries, "threads ran all of them");
    assert_eq!(pool.stat().entries, entries);
}

fn entries(flow: &Flow) -> [Sqe; 3] {
    let priority = |place| flow.set_option(libc::SOL_SOCKET, libc::SO_PRIORITY, place);
    [
        priority(8).data(0),
        priority(0).data(1),
        flow.write(16, 4).data(2),
    ]
}

fn published(flow: &mut Flow) -> Vec<i64> {
    for entry in entries(flow) {
        flow.ring.push(entry);
    }
    flow.ring.publish();
    flow.ring.wake_if_needed();
    eventually("all complete", || flow.ring.unread() == 3);
    in_order(flow.ring.reap())
}

fn entered(flow: &mut Flow) -> Vec<i64> {
    let all = entries(flow);
    expect_ok!(flow.ring.submit(&all));
    in_order(flow.ring.wait(3))
}
