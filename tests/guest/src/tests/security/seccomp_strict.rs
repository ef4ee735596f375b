// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: in strict mode `saio_enter` kills, and no ordinary entry runs. Entries of flows that
//! are published then are taken when the owner ends, as ever, and strict mode allows `write` alone: what
//! another call would send fails its flow. No thread of a pool takes any, although it looks at the ring.

use crate::harness::*;

pub fn run() {
    killed();
    ends_by_itself();
}

fn strict() {
    let mode = libc::SECCOMP_MODE_STRICT;
    expect_ok!(sys!(libc::SYS_prctl, libc::PR_SET_SECCOMP, mode));
}

fn killed() {
    let child = child(|| {
        let mut ring = RawRing::new();
        ring.push(sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755));
        ring.push(sqe!(libc::SYS_write, 1, c"x".as_ptr(), 0));
        ring.publish();
        strict();
        ring.enter(2, 0);
    });
    assert_eq!(child.wait(), Exit::Signal(libc::SIGKILL));
    assert!(!exists("made"));
}

fn ends_by_itself() {
    let pool = Pool::new("strict", |p| p.idle_us(MAX_IDLE_NS / 1000));
    let (writes, sends) = (tcp_pair(0, 0), tcp_pair(0, 0));
    let (published, seen) = (Gate::new(), Gate::new());
    let child = child(|| {
        let mut flow = Flow::on(RawRing::pooled("strict"), writes);
        flow.ring.fill_arena(0, b"text");
        let other = target(flow.ring.register(sends.ours), sends.ours);
        flow.ring.push(flow.write(0, 4));
        flow.ring.publish();
        flow.ring.wake_if_needed();
        eventually("a thread runs it", || flow.ring.unread() == 1);
        flow.ring.wake_if_needed();
        strict();
        // Nothing but read, write and exit from here on.
        flow.ring.push(flow.write(0, 4));
        flow.ring
            .push(sqe!(libc::SYS_sendto, other, 0, 4, 0).on_flow());
        flow.ring
            .push(sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755));
        flow.ring.publish();
        published.open();
        seen.pass();
        sys!(libc::SYS_exit, 0);
    });
    published.pass();
    expect_bytes(writes.peer, b"text");
    let came = [writes, sends].map(|pair| poll(pair.peer, libc::POLLIN, 300));
    assert_eq!(came, [0, 0], "a thread ran an entry");
    assert_eq!(pool.stat().entries, 1);
    seen.open();
    assert_eq!(child.wait(), Exit::Status(0));
    expect_bytes(writes.peer, b"text");
    assert!(expect_reset(sends.peer).is_empty());
    assert!(!exists("made"));
}
