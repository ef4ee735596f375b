// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a filter that another thread installs for all (SECCOMP_FILTER_FLAG_TSYNC) binds the
//! entries of a ring at once: those that were published and not taken, those of its owner, and those
//! that threads of a pool would have run, although these look at the ring.

use crate::harness::*;
use std::thread;

const ODD: i32 = libc::EUCLEAN;

pub fn run() {
    in_child(owner);
    let pool = Pool::new("tsync", |p| p.idle_us(MAX_IDLE_NS / 1000));
    in_child(|| in_pool_of(&pool));
}

/// Another thread installs the rule for all of the process.
fn install_for_all(rule: Rule) {
    let installer = thread::spawn(move || {
        install_filter_with(libc::SECCOMP_FILTER_FLAG_TSYNC, &[rule]);
    });
    installer.join().expect("the filter is installed");
}

fn owner() {
    let mut ring = RawRing::new();
    let make = |name: &'static std::ffi::CStr| sqe!(libc::SYS_mkdir, name.as_ptr(), 0o755);
    assert_eq!(ring.run_one(make(c"first")), 0);
    ring.push(make(c"second"));
    ring.publish();
    install_for_all(Rule::new(libc::SYS_mkdir, ret_errno(ODD)));
    assert_eq!(ring.enter(1, 0), 1);
    expect_results(&in_order(ring.reap()), &[neg(ODD)]);
    assert_eq!(ring.run_one(make(c"third")), neg(ODD));
    assert!(exists("first") && !exists("second") && !exists("third"));
}

fn in_pool_of(pool: &Pool) {
    let mut flow = Flow::on(RawRing::pooled(&pool.name), tcp_pair(0, 0));
    flow.ring.fill_arena(0, b"text");
    let send = |flow: &Flow| sqe!(libc::SYS_sendto, flow.target(), 0, 4, 0).on_flow();
    flow.ring.push(send(&flow));
    flow.ring.publish();
    assert_eq!(flow.ring.wake(), 0);
    expect_bytes(flow.peer, b"text");
    eventually("it completes", || flow.ring.unread() == 1);
    flow.ring.reap();
    assert_eq!(pool.stat().entries, 1);

    install_for_all(Rule::new(libc::SYS_sendto, ret_errno(ODD)));
    flow.ring.push(send(&flow));
    flow.ring.publish();
    assert_eq!(flow.ring.wake(), 0);
    let came = poll(flow.peer, libc::POLLIN, 300);
    assert_eq!((came, flow.ring.queued()), (0, 1), "a thread ran the entry");
    assert_eq!(flow.ring.enter(1, 0), 1);
    expect_results(&in_order(flow.ring.reap()), &[neg(ODD)]);
    assert!(expect_reset(flow.peer).is_empty());
    assert_eq!(pool.stat().entries, 1);
}
