// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the examples of libsaio answer byte for byte, to peers that are slow and peers that go
//! away too, and send by their rings.

use std::process::Command;

use saio_test_programs::echo::Server;

use super::built;
use crate::harness::{in_pool, RingInfo};

/// Less than the client gets: it does not wait for all answers before it goes.
const BYTES: u64 = 6 << 20;

pub fn rust() {
    check("examples/echo", "127.0.0.1:0");
}

pub fn c() {
    check("programs/echo", "0");
}

pub fn c_with_static_library() {
    check("programs/echo-static", "0");
}

fn check(program: &str, anywhere: &str) {
    let mut command = Command::new(built(program));
    command.arg(anywhere).args(in_pool());
    let server = Server::start(&mut command);
    server.check();
    let info = RingInfo::of_process(server.pid() as i32);
    let mode = in_pool().map_or("inline", |_| "auto");
    assert_eq!(info.text("mode"), mode);
    let sent = info.number("bytes");
    assert!(sent > BYTES, "only {sent} bytes left by the ring");
    server.stop(true);
}
