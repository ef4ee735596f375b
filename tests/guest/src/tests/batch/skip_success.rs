// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: SKIP_SUCCESS leaves out the completion of an entry that succeeded, never that of
//! one that failed or was cancelled; the entry counts as taken.

use crate::harness::*;

pub fn run() {
    let mut ring = RawRing::new();
    let quiet = |entry: Sqe| entry.flag(SKIP_SUCCESS);
    let got = ring.run_sparse(&[
        quiet(sqe!(libc::SYS_getuid)),
        quiet(sqe!(libc::SYS_getpid)),
        sqe!(libc::SYS_getuid),
        quiet(sqe!(libc::SYS_close, -1)),
        quiet(sqe!(libc::SYS_fork)),
        quiet(sqe!(libc::SYS_close, -1)).flag(LINK),
        quiet(sqe!(libc::SYS_getuid)),
    ]);
    let failed = Some(neg(libc::EBADF));
    let refused = Some(neg(libc::EOPNOTSUPP));
    let cancelled = Some(neg(libc::ECANCELED));
    assert_eq!(
        got,
        [None, None, Some(0), failed, refused, failed, cancelled]
    );

    // Far more of them than the completion queue has slots.
    let mut ring = RawRing::with(|p| {
        p.sq_entries = 8;
        p.cq_entries = 8;
    });
    for _ in 0..100 {
        let batch = [quiet(sqe!(libc::SYS_getuid)); 8];
        assert_eq!(ring.run_sparse(&batch), [None::<i64>; 8]);
    }
}
