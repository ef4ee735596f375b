// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the test of libsaio in C passes, inline and with the default pool.

use std::process::Command;

use super::built;

pub fn dynamic() {
    check("programs/api");
}

pub fn with_static_library() {
    check("programs/api-static");
}

fn check(program: &str) {
    let output = Command::new(built(program)).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert_eq!(said, "default pool: Success\nall checked\n", "{complained}");
}
