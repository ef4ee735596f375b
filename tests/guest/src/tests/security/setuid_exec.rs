// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: what a user has published before it starts a set-user-ID program is done as that user,
//! not with the power of the program: an option that takes a capability is not set; data leaves.

use crate::harness::*;
use std::os::unix::fs::PermissionsExt;

const NOBODY: u32 = 65534;
/// A priority that takes CAP_NET_ADMIN.
const HIGH: i32 = 7;

pub fn run() {
    std::fs::copy("/bin/cat", "cat").expect("the test's directory can be written");
    std::fs::write("secret", "").expect("so can this");
    for (name, mode) in [("cat", 0o4755), ("secret", 0o600)] {
        std::fs::set_permissions(name, PermissionsExt::from_mode(mode)).expect("root may");
    }
    let pair = tcp_pair(0, 0);
    let child = child(|| {
        let mut flow = Flow::on(flow_ring(), pair);
        flow.ring.fill_arena(0, b"text");
        flow.ring.fill_arena(8, &HIGH.to_ne_bytes());
        become_user(NOBODY, NOBODY, &[]);
        flow.ring
            .push(flow.set_option(libc::SOL_SOCKET, libc::SO_PRIORITY, 8));
        flow.ring.push(flow.write(0, 4));
        flow.ring.publish();
        let program = c"./cat".as_ptr();
        let arguments = [program, c"secret".as_ptr(), std::ptr::null()];
        sys!(libc::SYS_execve, program, &arguments, &arguments[2]);
        panic!("execve failed");
    });
    let exit = child.wait();
    if exit == Exit::Status(1) {
        skip("set-user-ID programs have no power in /tmp (nosuid)");
    }
    assert_eq!(exit, Exit::Status(0), "the program can read what is root's");
    expect_bytes(pair.peer, b"text");
    let now = get_option(pair.ours, libc::SOL_SOCKET, libc::SO_PRIORITY);
    assert_eq!(now, 0, "set with the power of the program");
}
