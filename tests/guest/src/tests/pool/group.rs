// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a process attaches rings to a pool if it is in the pool's group, by its effective or
//! a supplementary one, or if the pool is anybody's; otherwise EACCES. What is attached stays when
//! the group changes.

use crate::harness::*;

const NAME: &str = "group";
const STAYS: &str = "stays";
const MEMBERS: u32 = 4242;
const USER: u32 = 1000;

pub fn run() {
    let pool = Pool::new(NAME, |p| p.group(MEMBERS));
    let try_as = |gid: u32, groups: &[u32], errno: i32| {
        in_child(|| {
            become_user(USER, gid, groups);
            assert_eq!(attach(), neg(errno), "gid {gid}, groups {groups:?}");
        });
    };
    try_as(USER, &[], libc::EACCES);
    // The number of the group as a user's, or another group.
    try_as(MEMBERS - 1, &[0, 1, USER], libc::EACCES);
    try_as(MEMBERS, &[], 0);
    try_as(USER, &[7, MEMBERS], 0);
    assert_eq!(attach(), 0, "root needs no group");
    // Group 0 is a group like any other.
    pool.set(|p| p.group(0));
    try_as(USER, &[MEMBERS], libc::EACCES);
    try_as(USER, &[0], 0);
    pool.set(|p| p.group(ANYBODY));
    try_as(USER, &[], 0);
    stays();
}

fn attach() -> i64 {
    RawRing::new().attach(NAME, POOLED)
}

fn stays() {
    let pool = Pool::new(STAYS, |p| p.group(ANYBODY));
    let (attached, changed) = (Gate::new(), Gate::new());
    let member = child(|| {
        become_user(USER, USER, &[]);
        let mut flow = Flow::on(RawRing::pooled(STAYS), tcp_pair(0, 0));
        attached.open();
        changed.pass();
        flow.ring.fill_arena(0, b"still");
        assert_eq!(flow.ring.submit(&[flow.write(0, 5)]), 1);
        expect_bytes(flow.peer, b"still");
        let another = RawRing::new().attach(STAYS, POOLED);
        expect_errno!(another, libc::EACCES);
    });
    attached.pass();
    pool.set(|p| p.group(MEMBERS));
    changed.open();
    assert_eq!(member.wait(), Exit::Status(0));
    assert_eq!(pool.stat().entries, 1);
}
