// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: names in entries are looked up from the root that the owner has when they are taken:
//! after chroot, and after pivot_root in a mount namespace of its own, also in entries that were
//! published before.

use crate::harness::*;

pub fn run() {
    std::fs::create_dir("jail").expect("the test's directory can be written");
    std::fs::write("jail/inside", "text").expect("so can this");
    std::fs::write("outside", "text").expect("so can this");
    in_child(|| {
        bound_to(|| {
            expect_ok!(sys!(libc::SYS_chroot, c"jail".as_ptr()));
        });
    });
    in_child(|| bound_to(pivot));
}

/// Names before and after `confine`, which makes what is in the jail the root, and has an empty file
/// called `inside` there.
fn bound_to(confine: fn()) {
    let here = std::env::current_dir().expect("there is one");
    let outside = format!("{}/outside\0", here.display());
    let open = |name: *const i8| sqe!(libc::SYS_openat, libc::AT_FDCWD, name, libc::O_RDONLY);
    let entries = [
        open(c"/inside".as_ptr()).data(0),
        open(outside.as_ptr().cast()).data(1),
        open(c"/../../inside".as_ptr()).data(2),
    ];
    let mut ring = RawRing::new();
    let results = ring.run(&entries);
    let none = neg(libc::ENOENT);
    assert!(results[1] >= 0);
    assert_eq!([results[0], results[2]], [none; 2]);

    for entry in entries {
        ring.push(entry);
    }
    ring.publish();
    confine();
    assert_eq!(ring.enter(3, 0), 3);
    for results in [in_order(ring.reap()), ring.run(&entries)] {
        assert!(results[0] >= 0 && results[2] >= 0, "{results:?}");
        assert_eq!(results[1], none);
    }
}

fn pivot() {
    private_mounts();
    mount_tmpfs(c"jail");
    expect_ok!(sys!(libc::SYS_chdir, c"jail".as_ptr()));
    std::fs::write("inside", "").expect("a fresh tmpfs can be written");
    let here = c".".as_ptr();
    expect_ok!(sys!(libc::SYS_pivot_root, here, here));
    expect_ok!(sys!(libc::SYS_umount2, here, libc::MNT_DETACH));
}
