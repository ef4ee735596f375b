// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a ring that was restricted runs the calls that it was left with; others are EACCES,
//! and fail the connection if they were to send on a flow. It can be restricted further, but nothing
//! is given back. What is queued already is judged when it is taken. Without pool it stays
//! inline. Bad arguments change nothing.

use crate::harness::*;

pub fn run() {
    calls();
    queued();
    flows();
    no_pool();
    bad();
}

fn restriction(calls: &[i64], flags: u32) -> RawRestriction {
    let mut raw: RawRestriction = zeroed();
    for nr in calls {
        raw.calls[*nr as usize / 64] |= 1 << (nr % 64);
    }
    raw.flags = flags;
    raw
}

fn restrict(ring: &RawRing, raw: &RawRestriction) -> i64 {
    sys!(
        REGISTER,
        ring.fd,
        REGISTER_RESTRICT,
        raw,
        size_of::<RawRestriction>()
    )
}

fn calls() {
    let mut ring = RawRing::new();
    let entries = [
        sqe!(libc::SYS_getpid),
        sqe!(libc::SYS_getppid),
        sqe!(libc::SYS_getuid),
        // Not in the policy table: that is said first.
        sqe!(libc::SYS_fork),
        sqe!(9999),
    ];
    let (pid, parent) = (sys!(libc::SYS_getpid), sys!(libc::SYS_getppid));
    let (denied, not_here, unknown) = (neg(libc::EACCES), neg(libc::EOPNOTSUPP), neg(libc::ENOSYS));
    expect_results(&ring.run(&entries), &[pid, parent, 0, not_here, unknown]);
    let both = restriction(&[libc::SYS_getpid, libc::SYS_getppid], 0);
    expect_ok!(restrict(&ring, &both));
    let results = ring.run(&entries);
    expect_results(&results, &[pid, parent, denied, not_here, unknown]);
    let other = restriction(&[libc::SYS_getppid, libc::SYS_getuid], 0);
    expect_ok!(restrict(&ring, &other));
    let results = ring.run(&entries);
    expect_results(&results, &[denied, parent, denied, not_here, unknown]);
    // In a chain it is a failure like others.
    let chain = [
        Sqe {
            flags: LINK,
            ..sqe!(libc::SYS_getpid)
        },
        sqe!(libc::SYS_getppid),
        sqe!(libc::SYS_getppid),
    ];
    let canceled = neg(libc::ECANCELED);
    expect_results(&ring.run(&chain), &[denied, canceled, parent]);
    let mut another = RawRing::new();
    assert_eq!(another.run_one(sqe!(libc::SYS_getpid)), pid);
}

fn queued() {
    let mut ring = RawRing::new();
    ring.push(sqe!(libc::SYS_getpid));
    ring.publish();
    expect_ok!(restrict(&ring, &restriction(&[], 0)));
    assert_eq!(ring.enter(1, 1), 1);
    expect_results(&in_order(ring.reap()), &[neg(libc::EACCES)]);
}

fn flows() {
    let mut flow = Flow::roomy();
    flow.ring.fill_arena(0, b"hello");
    expect_ok!(restrict(&flow.ring, &restriction(&[libc::SYS_write], 0)));
    let write = flow.write(0, 5);
    // Quiet and alone, which is the quickest way, and with a completion.
    let quiet = Sqe {
        flags: FLOW | SKIP_SUCCESS,
        ..write
    };
    for entry in [quiet, write] {
        assert_eq!(flow.ring.submit(&[entry]), 1);
        expect_bytes(flow.peer, b"hello");
    }
    flow.ring.reap();
    expect_ok!(restrict(&flow.ring, &restriction(&[libc::SYS_sendto], 0)));
    assert_eq!(flow.ring.submit(&[write]), 1);
    let results: Vec<i64> = flow.ring.wait(1).iter().map(|cqe| cqe.res).collect();
    expect_results(&results, &[neg(libc::EACCES)]);
    assert!(flow.has(FLOW_FAILED));
    assert_eq!(expect_reset(flow.peer), b"");
}

fn no_pool() {
    let pool = Pool::new("restrict", |attr| attr);
    let ring = RawRing::new();
    let mut none = restriction(&[], NO_POOL);
    none.calls.fill(u64::MAX);
    expect_ok!(ring.attach(&pool.name, POOLED));
    expect_errno!(restrict(&ring, &none), libc::EBUSY);
    expect_ok!(ring.attach("", INLINE));
    expect_ok!(restrict(&ring, &none));
    for mode in [AUTO, POOLED] {
        expect_errno!(ring.attach(&pool.name, mode), libc::EACCES);
    }
    expect_ok!(ring.attach("", INLINE));
    assert_eq!(ring.info().text("restricted"), "yes, no pool");
    assert_eq!(RawRing::new().info().text("restricted"), "no");
}

fn bad() {
    let mut ring = RawRing::new();
    let good = restriction(&[], 0);
    let size = size_of::<RawRestriction>();
    let register = |raw: *const RawRestriction, size: usize| {
        sys!(REGISTER, ring.fd, REGISTER_RESTRICT, raw, size)
    };
    expect_errno!(register(&good, size - 1), libc::EINVAL);
    expect_errno!(register(&good, 0), libc::EINVAL);
    expect_errno!(register(std::ptr::null(), size), libc::EFAULT);
    expect_errno!(register(&restriction(&[], 2), size), libc::EINVAL);
    let mut reserved = good;
    reserved.resv = 1;
    expect_errno!(register(&reserved, size), libc::EINVAL);
    in_child(|| expect_errno!(restrict(&ring, &good), libc::EPERM));
    assert_eq!(ring.run_one(sqe!(libc::SYS_getpid)), sys!(libc::SYS_getpid));
}
