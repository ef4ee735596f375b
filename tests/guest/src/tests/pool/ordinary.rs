// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: ordinary entries are run by the owner only, in `saio_enter`, wherever they stand:
//! behind a flow entry they stay in the queue, before one the kernel keeps them for the next call,
//! which does not count them. A chain with an ordinary entry is left to the owner as a whole.

use crate::harness::*;
use std::{thread, time::Duration};

const NAME: &str = "plain";
const LEN: usize = 20 << 10;

/// A flow whose ring a thread looks at for a second, and the pool.
fn watched() -> (Flow, Pool) {
    let pool = Pool::new(NAME, |p| p.idle_us(MAX_IDLE_NS / 1000));
    let flow = Flow::on(RawRing::pooled(NAME), tcp_pair(0, 0));
    (flow, pool)
}

/// Publishes the entries, with their place as user data, and has the pool look at them.
fn publish(flow: &mut Flow, entries: &[Sqe]) {
    for (place, entry) in entries.iter().enumerate() {
        flow.ring.push(entry.data(place as u64));
    }
    flow.ring.publish();
    assert_eq!(flow.ring.wake(), 0);
}

/// A moment in which a thread could do what it must not.
fn a_moment() {
    thread::sleep(Duration::from_millis(300));
}

fn is_open(number: i32) -> bool {
    sys!(libc::SYS_fcntl, number, libc::F_GETFD) >= 0
}

pub fn close_behind_a_file() {
    let (mut flow, _pool) = watched();
    let bytes = pattern(1, LEN);
    let source = file("source", &bytes);
    let entries = [flow.sendfile(source, 0, LEN), sqe!(libc::SYS_close, source)];
    publish(&mut flow, &entries);
    expect_bytes(flow.peer, &bytes);
    a_moment();
    assert!(is_open(source), "a thread ran the close");
    assert_eq!(flow.ring.queued(), 1, "it is still in the queue");

    assert_eq!(flow.ring.enter(1, 0), 1);
    assert!(!is_open(source));
    eventually("both complete", || flow.ring.unread() == 2);
    expect_results(&in_order(flow.ring.reap()), &[LEN as i64, 0]);
}

pub fn close_between_files() {
    let (mut flow, _pool) = watched();
    let bytes = pattern(2, LEN);
    let source = file("source", &bytes);
    flow.ring.fill_arena(0, b"behind");
    let entries = [
        flow.sendfile(source, 0, LEN),
        sqe!(libc::SYS_close, source),
        flow.write(0, 6),
    ];
    publish(&mut flow, &entries);
    // The last one overtakes the close.
    expect_bytes(flow.peer, &bytes);
    expect_bytes(flow.peer, b"behind");
    a_moment();
    assert!(is_open(source), "a thread ran the close");
    assert_eq!(flow.ring.queued(), 0, "the kernel has taken it");

    assert_eq!(flow.ring.enter(0, 0), 0, "not counted");
    assert!(!is_open(source));
    eventually("all complete", || flow.ring.unread() == 3);
    expect_results(&in_order(flow.ring.reap()), &[LEN as i64, 0, 6]);
}

pub fn before_a_flow() {
    let (mut flow, _pool) = watched();
    flow.ring.fill_arena(0, b"overtakes");
    let entries = [
        sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755),
        flow.write(0, 9),
        sqe!(libc::SYS_rmdir, c"made".as_ptr()),
        sqe!(libc::SYS_getuid),
    ];
    publish(&mut flow, &entries);
    expect_bytes(flow.peer, b"overtakes");
    a_moment();
    assert!(!exists("made"), "a thread ran an ordinary entry");

    // First what was put off, alone.
    assert_eq!(flow.ring.enter(0, 0), 0);
    assert!(exists("made"));
    assert_eq!(flow.ring.enter(4, 0), 2, "what was left in the queue");
    assert!(!exists("made"));
    eventually("all complete", || flow.ring.unread() == 4);
    expect_results(&in_order(flow.ring.reap()), &[0, 9, 0, 0]);
    let info = flow.ring.info();
    assert_eq!((info.number("pooled"), info.number("calls")), (1, 3));
}

pub fn chain() {
    let (mut flow, _pool) = watched();
    let bytes = pattern(3, LEN);
    let _ = file("source", &bytes);
    let number = next_fd();
    let open = sqe!(libc::SYS_openat, libc::AT_FDCWD, c"source".as_ptr(), 0);
    flow.ring.fill_arena(0, b"behind");
    let chain = [
        open.flag(LINK),
        flow.sendfile(-1, 0, LEN).flag(HARDLINK).result_to(1, 1),
        sqe!(libc::SYS_close, -1).result_to(0, 2),
        // Behind a flow entry that waits for the owner: it may not overtake that.
        flow.write(0, 6),
    ];
    publish(&mut flow, &chain);
    a_moment();
    assert!(!is_open(number), "a thread opened a file");
    assert_eq!(
        poll(flow.peer, libc::POLLIN, 0),
        0,
        "a part of the chain ran"
    );

    let taken = expect_ok!(flow.ring.enter(4, 0));
    assert!(taken <= 4);
    assert!(!is_open(number), "closed again");
    expect_bytes(flow.peer, &bytes);
    expect_bytes(flow.peer, b"behind");
    eventually("all complete", || flow.ring.unread() == 4);
    let results = in_order(flow.ring.reap());
    expect_results(&results, &[number.into(), LEN as i64, 0, 6]);
    let info = flow.ring.info();
    assert_eq!(info.why("chain"), info.number("inline"));
    assert!(info.number("inline") >= 1);
    assert_eq!(info.number("inline") + info.number("pooled"), 2);
}
