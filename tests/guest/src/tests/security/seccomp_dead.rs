// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: an owner that is killed by its filter for a system call of its own has published its
//! entries of flows before: they leave, as with every other end, since the filter allows them.

use crate::harness::*;

pub fn run() {
    for (name, action) in [
        ("TRAP", libc::SECCOMP_RET_TRAP),
        ("KILL_THREAD", libc::SECCOMP_RET_KILL_THREAD),
        ("KILL_PROCESS", libc::SECCOMP_RET_KILL_PROCESS),
    ] {
        let pair = tcp_pair(0, 0);
        let child = child(|| {
            set_limit(libc::RLIMIT_CORE, 0);
            let mut flow = Flow::on(flow_ring(), pair);
            flow.ring.fill_arena(0, b"text");
            install_filter(&[Rule::new(libc::SYS_getppid, action)]);
            flow.ring.push(flow.write(0, 4));
            flow.ring.publish();
            sys!(libc::SYS_getppid);
        });
        assert_eq!(child.wait(), Exit::Signal(libc::SIGSYS));
        let (got, end) = read_up_to(pair.peer, 4);
        assert_eq!(got, b"text", "{name}: {}", show(end));
    }
}
