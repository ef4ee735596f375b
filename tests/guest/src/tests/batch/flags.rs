// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: unknown flags, flags that contradict each other and a control word without
//! RESULT_TO_ARG give EINVAL; the entry does not run and its neighbours do.

use crate::harness::*;

pub fn run() {
    let mut ring = RawRing::new();
    let make = || sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755);
    let mut bad: Vec<Sqe> = (5..16).map(|bit| make().flag(1 << bit)).collect();
    for ctl in [1, 1 << 8, 1 << 31] {
        let mut entry = make();
        entry.ctl = ctl;
        bad.push(entry);
    }
    for entry in bad {
        let (flags, ctl) = (entry.flags, entry.ctl);
        let got = ring.run(&[sqe!(libc::SYS_getpid), entry, sqe!(libc::SYS_getpid)]);
        let pid = sys!(libc::SYS_getpid);
        assert!(
            got == [pid, neg(libc::EINVAL), pid],
            "flags {flags:#x}, ctl {ctl:#x}: {got:?}"
        );
    }

    // Both links: the entry is invalid, and as a link that failed it cancels the next.
    let both = make().flag(LINK | HARDLINK);
    let got = ring.run(&[both, make(), sqe!(libc::SYS_getuid)]);
    expect_results(&got, &[neg(libc::EINVAL), neg(libc::ECANCELED), 0]);
    assert!(!exists("made"), "an invalid or cancelled entry ran");
}
