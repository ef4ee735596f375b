// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a process that dies with a core dump while its rings are in use, one of them waited for
//! by another thread, leaves a core, and what its flows hold and what it has published for them leaves as
//! with every other end. Entries behind the one that was deadly do not run.

use crate::harness::*;
use std::{fs, sync::Arc, thread};

pub fn run() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let (tight, waited_for, roomy) = (
        tcp_pair(SMALL, SMALL),
        tcp_pair(SMALL, SMALL),
        tcp_pair(0, 0),
    );
    let waits = Arc::new(Gate::new());
    let thread_waits = waits.clone();
    let child = child(|| {
        // Rust has a handler for this one.
        // SAFETY: no handler is involved.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        set_limit(libc::RLIMIT_CORE, libc::RLIM_INFINITY);
        thread::spawn(move || {
            let mut flow = Flow::on(flow_ring(), waited_for);
            flow.park();
            thread_waits.open();
            flow.ring.enter(0, 2);
        });
        waits.pass();
        let mut flow = Flow::on(flow_ring(), tight);
        let other = target(flow.ring.register(roomy.ours), roomy.ours);
        flow.park();
        flow.ring.fill_arena(SPARE, b"text");
        let write = sqe!(libc::SYS_write, other, SPARE, 4).on_flow();
        let pid = std::process::id();
        flow.ring.submit(&[
            write,
            sqe!(libc::SYS_kill, pid, libc::SIGSEGV),
            sqe!(libc::SYS_mkdir, c"behind".as_ptr(), 0o755),
            write,
        ]);
    });
    assert_eq!(child.wait(), Exit::Signal(libc::SIGSEGV));
    for pair in [tight, waited_for] {
        expect_bytes(pair.peer, &park_bytes());
    }
    expect_bytes(roomy.peer, b"texttext");
    assert!(!exists("behind"));
    if pattern.trim() != "core" {
        // Somebody else collects cores.
        return;
    }
    let files = fs::read_dir(".").expect("it is there");
    let mut names = files.flatten().map(|file| file.file_name());
    let core = names.find(|name| name.to_string_lossy().starts_with("core"));
    let core = fs::read(core.expect("there is a core")).expect("it can be read");
    assert_eq!(&core[..4], b"\x7fELF");
}
