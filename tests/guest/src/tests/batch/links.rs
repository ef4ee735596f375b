// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: LINK runs the next entry only on success and cancels the rest of its chain
//! otherwise; HARDLINK goes on in any case; a chain ends with its last link or with the call.

use crate::harness::*;

const CANCELED: i64 = neg(libc::ECANCELED);
const BADF: i64 = neg(libc::EBADF);

fn good() -> Sqe {
    sqe!(libc::SYS_getuid)
}

fn bad() -> Sqe {
    sqe!(libc::SYS_close, -1)
}

fn make(name: &'static std::ffi::CStr) -> Sqe {
    sqe!(libc::SYS_mkdir, name.as_ptr(), 0o755)
}

pub fn run() {
    let mut ring = RawRing::new();

    let got = ring.run(&[good().flag(LINK), make(c"a").flag(LINK), make(c"b")]);
    expect_results(&got, &[0, 0, 0]);
    assert!(exists("a") && exists("b"));

    let got = ring.run(&[
        bad().flag(LINK),
        make(c"c").flag(LINK),
        make(c"d").flag(HARDLINK),
        make(c"e"),
        // Another chain.
        good().flag(LINK),
        make(c"f"),
    ]);
    expect_results(&got, &[BADF, CANCELED, CANCELED, CANCELED, 0, 0]);
    assert!(!exists("c") && !exists("d") && !exists("e") && exists("f"));

    let got = ring.run(&[
        bad().flag(HARDLINK),
        make(c"g").flag(LINK),
        bad().flag(HARDLINK),
        make(c"h"),
    ]);
    expect_results(&got, &[BADF, 0, BADF, 0]);
    assert!(exists("g") && exists("h"));

    // What is refused by the policy fails as any call does.
    let got = ring.run(&[sqe!(libc::SYS_fork).flag(LINK), make(c"i")]);
    expect_results(&got, &[neg(libc::EOPNOTSUPP), CANCELED]);

    long_chain(&mut ring);
    chain_ends_with_the_call(&mut ring);
}

fn long_chain(ring: &mut RawRing) {
    let mut chain = vec![good().flag(LINK); 200];
    chain[100] = bad().flag(LINK);
    let got = ring.run(&chain);
    let mut want = vec![0; 100];
    want.push(BADF);
    want.resize(200, CANCELED);
    expect_results(&got, &want);
}

fn chain_ends_with_the_call(ring: &mut RawRing) {
    ring.push(bad().flag(LINK).data(0));
    ring.push(make(c"j").data(1));
    ring.publish();
    assert_eq!(ring.enter(1, 0), 1);
    assert_eq!(ring.enter(1, 0), 1);
    expect_results(&in_order(ring.reap()), &[BADF, 0]);
    assert!(exists("j"));
    // A link with nothing behind it does not reach into the next batch.
    expect_results(&ring.run(&[bad().flag(LINK)]), &[BADF]);
    expect_alive(ring);
}
