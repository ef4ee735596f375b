// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a server that calls execve with published entries: the peer gets all bytes and,
//! as the socket is close-on-exec, the end of the stream.

use super::exit_publishes::owner_ends;
use crate::harness::*;

pub fn run() {
    owner_ends(become_another, Exit::Status(0));
}

pub fn become_another() {
    let program = c"/bin/true".as_ptr();
    let arguments = [program, std::ptr::null()];
    let environment = [std::ptr::null::<u8>()];
    let got = sys!(libc::SYS_execve, program, &arguments, &environment);
    panic!("execve: {}", show(got));
}
