// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a filter that does not know the system calls of SAIO, and so refuses them, refuses
//! them as others; what a ring that was made before holds for flows leaves nevertheless when the owner
//! closes a descriptor or ends, as far as the filter allows the calls in it.

use crate::harness::*;

pub fn run() {
    for by_close in [true, false] {
        let pair = tcp_pair(0, 0);
        in_child(|| {
            let mut flow = Flow::on(flow_ring(), pair);
            flow.ring.fill_arena(0, b"text");
            let refused = ret_errno(libc::EPERM);
            let rules = [SETUP, ENTER, REGISTER, POOL].map(|nr| Rule::new(nr, refused));
            install_filter(&rules);
            expect_errno!(setup(&mut zeroed()), libc::EPERM);
            flow.ring.push(flow.write(0, 4));
            flow.ring
                .push(sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755));
            flow.ring.publish();
            expect_errno!(flow.ring.enter(2, 0), libc::EPERM);
            expect_errno!(flow.ring.wake(), libc::EPERM);
            assert_eq!(flow.ring.register_errno(pair.ours), neg(libc::EPERM));
            assert_eq!(flow.ring.queued(), 2);
            if by_close {
                expect_ok!(sys!(libc::SYS_close, pair.ours));
                expect_bytes(pair.peer, b"text");
            }
        });
        if !by_close {
            expect_bytes(pair.peer, b"text");
        }
        assert!(!exists("made"));
    }
}
