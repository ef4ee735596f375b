// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: an entry runs with the credentials that its owner has when it is taken, not with those
//! it had when the entry was published: effective user, supplementary groups, capabilities. That goes
//! for entries of flows as well, run by the owner, by the pool, or handed over by a hook. One that was
//! taken and waits behind others keeps the credentials with which it was taken.

use crate::harness::*;
use std::os::unix::fs::{chown, PermissionsExt};

const NOBODY: u32 = 65534;
const GROUP: u32 = 4321;
/// A priority that takes CAP_NET_ADMIN.
const HIGH: i32 = 7;

/// Something that is taken from the owner and given back, and a file that it cannot read meanwhile.
struct Change {
    file: &'static std::ffi::CStr,
    take: fn(),
    give_back: fn(),
}

const CHANGES: [Change; 3] = [
    Change {
        file: c"of-root",
        take: || set_euid(NOBODY),
        give_back: || set_euid(0),
    },
    Change {
        file: c"of-the-group",
        take: || as_root(|| set_groups(&[])),
        give_back: || as_root(|| set_groups(&[GROUP])),
    },
    Change {
        file: c"of-nobody",
        take: || set_override(false),
        give_back: || set_override(true),
    },
];

pub fn run() {
    for (name, uid, gid, mode) in [
        ("of-root", 0, 0, 0o600),
        ("of-the-group", 0, GROUP, 0o640),
        ("of-nobody", NOBODY, NOBODY, 0o600),
    ] {
        std::fs::write(name, "text").expect("the test's directory can be written");
        chown(name, Some(uid), Some(gid)).expect("root may give files away");
        std::fs::set_permissions(name, PermissionsExt::from_mode(mode)).expect("root may");
    }
    let [user, group, capability] = &CHANGES;
    in_child(|| files(user));
    in_child(|| {
        set_groups(&[GROUP]);
        set_euid(NOBODY);
        files(group);
    });
    in_child(|| files(capability));

    let pool = Pool::new("creds", |p| p.idle_us(1));
    in_child(|| flows(flow_ring(), false));
    in_child(|| flows(flow_ring(), true));
    in_child(|| flows(RawRing::pooled(&pool.name), false));
    in_child(|| flows(RawRing::pooled(&pool.name), true));
    in_child(keeps_them);
}

fn as_root(change: fn()) {
    set_euid(0);
    change();
    set_euid(NOBODY);
}

fn set_groups(groups: &[u32]) {
    expect_ok!(sys!(libc::SYS_setgroups, groups.len(), groups.as_ptr()));
}

/// Whether the process may override the permissions of files: only its effective capabilities change.
fn set_override(on: bool) {
    /// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    const OVERRIDE: u32 = 1 << 1 | 1 << 2;
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    // Effective, permitted and inheritable: the low halves first, then the high ones.
    let mut sets = [[0u32; 3]; 2];
    expect_ok!(sys!(libc::SYS_capget, &header, &mut sets));
    if on {
        sets[0][0] |= OVERRIDE;
    } else {
        sets[0][0] &= !OVERRIDE;
    }
    expect_ok!(sys!(libc::SYS_capset, &header, &sets));
}

fn files(change: &Change) {
    let mut ring = RawRing::new();
    let open = sqe!(
        libc::SYS_openat,
        libc::AT_FDCWD,
        change.file.as_ptr(),
        libc::O_RDONLY
    );
    let opened = |result: i64| {
        expect_ok!(sys!(libc::SYS_close, fd(result)));
    };
    opened(ring.run_one(open));
    for _ in 0..2 {
        ring.push(open);
        ring.publish();
        (change.take)();
        assert_eq!(ring.enter(1, 0), 1);
        expect_results(&in_order(ring.reap()), &[neg(libc::EACCES)]);
        expect_errno!(ring.run_one(open), libc::EACCES);

        ring.push(open);
        ring.publish();
        (change.give_back)();
        assert_eq!(ring.enter(1, 0), 1);
        opened(in_order(ring.reap())[0]);
        opened(ring.run_one(open));
    }
}

/// Options that take a capability, published as one user and taken as another. In a pool the user
/// changes while nobody looks at the ring.
fn flows(ring: RawRing, by_hook: bool) {
    let mut flow = Flow::on(ring, tcp_pair(0, 0));
    flow.ring.fill_arena(0, &HIGH.to_ne_bytes());
    let priority = flow.set_option(libc::SOL_SOCKET, libc::SO_PRIORITY, 0);
    for (then, result) in [
        (NOBODY, neg(libc::EPERM)),
        (0, 0),
        (NOBODY, neg(libc::EPERM)),
    ] {
        let spare = fd(sys!(libc::SYS_dup, 2));
        eventually("nobody looks at the ring", || flow.ring.needs_wakeup());
        flow.ring.push(priority);
        flow.ring.publish();
        set_euid(then);
        if by_hook {
            expect_ok!(sys!(libc::SYS_close, spare));
            assert_eq!(flow.ring.queued(), 0, "it was handed over");
        } else {
            assert_eq!(flow.ring.enter(1, 0), 1);
        }
        expect_results(&in_order(flow.ring.wait(1)), &[result]);
    }
}

fn keeps_them() {
    let (mut flow, parked) = parked();
    flow.ring.fill_arena(SPARE, &HIGH.to_ne_bytes());
    let priority = flow.set_option(libc::SOL_SOCKET, libc::SO_PRIORITY, SPARE);
    assert_eq!(flow.ring.submit(&[priority.data(2)]), 1);
    set_euid(NOBODY);
    expect_bytes(flow.peer, &parked);
    assert_eq!(in_order(flow.ring.wait(3))[2], 0);
    let now = get_option(flow.ours, libc::SOL_SOCKET, libc::SO_PRIORITY);
    assert_eq!(now, HIGH);
}
