// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: with a rule for them, each entry has a record in the audit log with its number, arguments
//! and result, as if it had been called; of an entry for a flow the record says that it was taken, and
//! threads of a pool leave such entries to the owner. The record of saio_enter is there as well.

use crate::harness::audit::Audit;
use crate::harness::*;

const POOL: &str = "audit";

pub fn run() {
    let mut audit = Audit::on();
    let pool = Pool::new(POOL, |attr| attr);
    let watched = Gate::new();
    let child = child(|| {
        watched.pass();
        let mut ring = RawRing::new();
        let path = c"/no/such/file";
        let entries = [
            sqe!(libc::SYS_getppid),
            sqe!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), 0, 0),
            // There is no rule for it.
            sqe!(libc::SYS_getpid),
        ];
        let results = ring.run(&entries);
        expect_results(
            &results,
            &[
                sys!(libc::SYS_getppid),
                neg(libc::ENOENT),
                sys!(libc::SYS_getpid),
            ],
        );
        for mode in [INLINE, POOLED] {
            let pooled = mode == POOLED;
            let mut flow = Flow::on(
                if pooled {
                    RawRing::pooled(POOL)
                } else {
                    flow_ring()
                },
                tcp_pair(0, 0),
            );
            flow.ring.fill_arena(0, b"hello");
            let quiet = Sqe {
                flags: FLOW | SKIP_SUCCESS,
                ..flow.write(0, 5)
            };
            assert_eq!(flow.ring.submit(&[quiet]), 1);
            expect_bytes(flow.peer, b"hello");
            assert_eq!(flow.ring.info().number("inline"), 1);
        }
    });
    audit.watch(
        child.pid,
        &[
            libc::SYS_getppid,
            libc::SYS_openat,
            libc::SYS_sendto,
            libc::SYS_write,
            ENTER,
        ],
    );
    watched.open();
    assert_eq!(child.wait(), Exit::Status(0));
    drop(pool);

    let records = audit.calls_until(libc::SYS_write, 2);
    let exits = |nr: i64| -> Vec<&str> {
        let records = records.iter().filter(|r| r.is(nr));
        records.map(|r| r.field("exit")).collect()
    };
    // As an entry, and by itself.
    let parent = std::process::id().to_string();
    assert_eq!(exits(libc::SYS_getppid), [&*parent, &*parent]);
    assert!(exits(libc::SYS_openat).contains(&"-2"));
    assert_eq!(exits(libc::SYS_write)[..2], ["0", "0"]);
    assert!(!exits(ENTER).is_empty());
    assert!(exits(libc::SYS_getpid).is_empty());
}
