// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: flow entries that make no sense. What names no flow, or is no call for one, is
//! refused and the flow goes on; a data entry that cannot be sent fails the flow: status,
//! the socket's error, a reset for the peer, and cancellation of what is behind it.

use crate::harness::*;

pub fn run() {
    // Children, as a task cannot have rings for all of these.
    in_child(refused_and_harmless);
    in_child(fails_the_flow);
    in_child(other_rings_flow);
}

fn refused_and_harmless() {
    let mut flow = Flow::roomy();
    flow.ring.fill_arena(0, b"good");
    let number = u64::from(flow.ours as u32);
    let with_reference = |reference: u32| {
        let target = u64::from(reference) << 32 | number;
        sqe!(libc::SYS_write, target, 0, 4).on_flow()
    };
    let not_a_flow = neg(libc::EBADF);
    for reference in [flow.id ^ 1 << 16, flow.id + 1, flow.id | 0xffff, u32::MAX] {
        let got = flow.ring.run_one(with_reference(reference));
        assert_eq!(got, not_a_flow, "reference {reference:#x}");
    }

    let target = flow.target();
    for nr in [
        libc::SYS_read,
        libc::SYS_sendmmsg,
        libc::SYS_recvfrom,
        libc::SYS_close,
        libc::SYS_getpid,
        libc::SYS_fork,
        ENTER,
    ] {
        let got = flow.ring.run_one(sqe!(nr, target, 0, 4).on_flow());
        assert_eq!(got, neg(libc::EOPNOTSUPP), "call {nr}");
    }
    let got = flow.ring.run(&[
        sqe!(libc::SYS_getuid).flag(LINK),
        flow.write(0, 4).result_to(0, 1),
        flow.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, 0),
    ]);
    expect_results(&got, &[0, neg(libc::EINVAL), neg(libc::EOPNOTSUPP)]);

    assert!(!flow.has(FLOW_FAILED));
    assert_eq!(flow.ring.run_one(flow.write(0, 4)), 4);
    expect_bytes(flow.peer, b"good");
}

fn fails_the_flow() {
    let arena = flow_ring().params.arena_size as usize;
    let fault = Some(neg(libc::EFAULT));
    expect_failure("behind the arena", fault, |f| f.write(arena, 1));
    expect_failure("over its end", fault, |f| f.write(arena - 8, 9));
    expect_failure("far away", fault, |f| f.write(1 << 40, 1));
    expect_failure("around the end", fault, |f| f.write(usize::MAX - 3, 8));
    expect_failure("too long", fault, |f| f.write(0, usize::MAX));
    expect_failure("vector array outside", fault, |f| {
        sqe!(libc::SYS_writev, f.target(), arena - 8, 1).on_flow()
    });
    expect_failure("vector outside", fault, |f| {
        let vector = [(arena as u64).to_ne_bytes(), 1u64.to_ne_bytes()].concat();
        f.ring.fill_arena(0, &vector);
        sqe!(libc::SYS_writev, f.target(), 0, 1).on_flow()
    });
    expect_failure("nine vectors", None, |f| {
        let vector = [64u64.to_ne_bytes(), 1u64.to_ne_bytes()].concat();
        f.ring.fill_arena(0, &vector.repeat(9));
        sqe!(libc::SYS_writev, f.target(), 0, 9).on_flow()
    });
    expect_failure("no such file", Some(neg(libc::EBADF)), |f| {
        f.sendfile(9999, 0, 10)
    });
    expect_failure("no regular file", None, |f| f.sendfile(pipe()[0], 0, 10));
}

/// The entry that `make` makes must fail, with this result if one is given.
fn expect_failure(what: &str, result: Option<i64>, make: impl Fn(&Flow) -> Sqe) {
    let mut flow = Flow::roomy();
    let bad = make(&flow);
    let got = flow.ring.run(&[bad, flow.write(0, 4)]);
    assert!(got[0] < 0, "{what}: {}", show(got[0]));
    if let Some(result) = result {
        assert_eq!(got[0], result, "{what}: {}", show(got[0]));
    }
    assert_eq!(got[1], neg(libc::ECANCELED), "{what}: {}", show(got[1]));
    assert!(flow.has(FLOW_FAILED), "{what}: {:#x}", flow.status());
    let error = get_option(flow.ours, libc::SOL_SOCKET, libc::SO_ERROR);
    assert_ne!(error, 0, "{what}: the socket has no error");
    assert!(expect_reset(flow.peer).is_empty(), "{what}: bytes came");
}

fn other_rings_flow() {
    let first = Flow::roomy();
    let mut second = Flow::roomy();
    // The index exists in both rings, but not this flow.
    let filler = second.ring.register(tcp_pair(0, 0).ours);
    expect_ok!(second.ring.unregister(second.id));
    let foreign = sqe!(libc::SYS_write, first.target(), 0, 4).on_flow();
    let dead = second.write(0, 4);
    let got = second.ring.run(&[foreign, dead]);
    let not_a_flow = neg(libc::EBADF);
    // If both rings count generations alike the reference is that of the one given up.
    expect_results(&got, &[not_a_flow, not_a_flow]);
    assert!(second.ring.status(filler) & FLOW_USED != 0);
}
