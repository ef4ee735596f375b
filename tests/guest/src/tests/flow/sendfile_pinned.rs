// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a sendfile entry sends the file that its descriptor named when it was taken,
//! whatever becomes of the number: closed by the next entry, reused, also while the flow is
//! parked.

use crate::harness::*;

const LEN: usize = 20 << 10;

/// Makes the files, and gives what is in the right one.
fn files() -> Vec<u8> {
    let right = pattern(1, LEN);
    let _ = file("right", &right);
    let _ = file("wrong", &pattern(2, LEN));
    right
}

fn open(name: &'static std::ffi::CStr) -> Sqe {
    sqe!(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), 0)
}

pub fn in_one_batch() {
    let right = &files();
    let mut flow = Flow::roomy();
    let source = next_fd();
    let got = flow.ring.run(&[
        open(c"right"),
        flow.sendfile(source, 0, LEN),
        sqe!(libc::SYS_close, source),
        open(c"wrong"),
        sqe!(libc::SYS_close, source),
    ]);
    let number = i64::from(source);
    expect_results(&got, &[number, LEN as i64, 0, number, 0]);
    expect_bytes(flow.peer, right);
}

/// The descriptor is an argument taken from the open.
pub fn in_a_chain() {
    let right = &files();
    let mut flow = Flow::roomy();
    let number = i64::from(next_fd());
    let got = flow.ring.run(&[
        open(c"right").flag(LINK),
        flow.sendfile(-1, 0, LEN).flag(HARDLINK).result_to(1, 1),
        sqe!(libc::SYS_close, -1).result_to(0, 2),
    ]);
    expect_results(&got, &[number, LEN as i64, 0]);
    expect_bytes(flow.peer, right);
}

pub fn while_parked() {
    let right = &files();
    let (mut flow, parked) = parked();
    let source = fd(open_now(c"right"));
    assert_eq!(
        flow.ring.submit(&[flow.sendfile(source, 0, LEN).data(2)]),
        1
    );
    expect_ok!(sys!(libc::SYS_close, source));
    assert_eq!(
        open_now(c"wrong"),
        i64::from(source),
        "the number is used again"
    );

    expect_bytes(flow.peer, &parked);
    expect_bytes(flow.peer, right);
    let results = in_order(flow.ring.wait(3));
    assert_eq!(results[2], LEN as i64);
}

fn open_now(name: &'static std::ffi::CStr) -> i64 {
    sys!(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), 0)
}
