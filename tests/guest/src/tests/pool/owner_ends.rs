// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: an owner that exits, calls execve or is killed while a thread looks at its ring:
//! the peer gets all that was published, then the end, and the ring has left the pool. A forked child
//! can do nothing with its parent's ring, nor harm it by its end.

use crate::{harness::*, tests::flow};

const NAME: &str = "ends";
const ENTRIES: usize = 60;
const LEN: usize = 500;

pub fn run() {
    let pool = Pool::new(NAME, |p| p.idle_us(MAX_IDLE_NS / 1000));
    let ends: [(fn(), Exit); 3] = [
        (|| (), Exit::Status(0)),
        (flow::exec_publishes::become_another, Exit::Status(0)),
        (
            flow::kill9_publishes::kill_myself,
            Exit::Signal(libc::SIGKILL),
        ),
    ];
    for _ in 0..5 {
        for (end, exit) in ends {
            ends_with(&pool, end, exit);
        }
    }
    forked_child(&pool);
}

fn ends_with(pool: &Pool, end: fn(), exit: Exit) {
    let bytes = pattern(4, ENTRIES * LEN);
    let source = file("source", &bytes);
    let pair = tcp_pair(0, 0);
    let owner = child(|| {
        let mut flow = Flow::on(RawRing::pooled(NAME), pair);
        flow.ring.fill_arena(0, &bytes);
        assert_eq!(flow.ring.wake(), 0);
        for i in 0..ENTRIES {
            let entry = match i % 3 {
                0 => flow.sendfile(source, i * LEN, LEN),
                _ => flow.write(i * LEN, LEN),
            };
            flow.ring.push(entry);
            flow.ring.publish();
        }
        end();
    });
    expect_ok!(sys!(libc::SYS_close, pair.ours));
    expect_bytes(pair.peer, &bytes);
    expect_eof(pair.peer);
    assert_eq!(owner.wait(), exit);
    assert_eq!(pool.rings(), 0, "it ended by {exit:?}");
    expect_ok!(sys!(libc::SYS_close, source));
}

fn forked_child(pool: &Pool) {
    let mut flow = Flow::on(RawRing::pooled(NAME), tcp_pair(0, 0));
    flow.ring.fill_arena(0, b"text");
    assert_eq!(flow.ring.wake(), 0);
    in_child(|| {
        expect_errno!(flow.ring.wake(), libc::EPERM);
        expect_errno!(flow.ring.enter(1, 0), libc::EPERM);
        expect_errno!(flow.ring.attach(NAME, AUTO), libc::EPERM);
        expect_errno!(flow.ring.attach("", INLINE), libc::EPERM);
    });
    let writer = child(|| flow.ring.set_tail_raw(1));
    assert_eq!(writer.wait(), Exit::Signal(libc::SIGSEGV), "it is mapped");
    assert_eq!((pool.rings(), flow.ring.attachment().0), (1, POOLED));
    flow.ring.push(flow.write(0, 4));
    flow.ring.publish();
    flow.ring.wake_if_needed();
    expect_bytes(flow.peer, b"text");
}
