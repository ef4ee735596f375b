// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a server that is killed with published entries, its request fully read: the peer
//! gets all bytes and the end of the stream.

use super::exit_publishes::owner_ends;
use crate::harness::*;

pub fn run() {
    owner_ends(kill_myself, Exit::Signal(libc::SIGKILL));
}

pub fn kill_myself() {
    let me = sys!(libc::SYS_getpid);
    sys!(libc::SYS_kill, me, libc::SIGKILL);
}
