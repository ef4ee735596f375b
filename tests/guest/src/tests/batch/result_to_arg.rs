// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: RESULT_TO_ARG puts an earlier result of the chain into an argument: open, fstat,
//! read and close in one batch. Sources that failed cancel; control words without sense are
//! EINVAL.

use crate::harness::*;

const CANCELED: i64 = neg(libc::ECANCELED);
const INVALID: i64 = neg(libc::EINVAL);

pub fn run() {
    let mut ring = RawRing::new();
    std::fs::write("f", "some text").expect("the directory can be written");
    open_fstat_read_close(&mut ring);
    failed_source(&mut ring);
    other_arguments(&mut ring);
    senseless(&mut ring);
}

fn open(name: &'static std::ffi::CStr) -> Sqe {
    sqe!(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), 0)
}

/// The batch, of a file that is there or not, with these flags on the open.
fn chain(
    name: &'static std::ffi::CStr,
    flags: u16,
    stat: &mut libc::stat,
    text: &mut [u8],
) -> [Sqe; 4] {
    [
        open(name).flag(flags),
        sqe!(libc::SYS_fstat, -1, stat)
            .flag(HARDLINK)
            .result_to(0, 1),
        sqe!(libc::SYS_read, -1, text.as_mut_ptr(), text.len())
            .flag(HARDLINK)
            .result_to(0, 2),
        sqe!(libc::SYS_close, -1).result_to(0, 3),
    ]
}

fn open_fstat_read_close(ring: &mut RawRing) {
    let free = next_fd();
    for flags in [LINK, LINK | SKIP_SUCCESS] {
        let mut stat: libc::stat = zeroed();
        let mut text = [0; 16];
        let got = ring.run_sparse(&chain(c"f", flags, &mut stat, &mut text));
        let opened = (flags == LINK).then_some(i64::from(free));
        assert_eq!(got, [opened, Some(0), Some(9), Some(0)]);
        assert_eq!(stat.st_size, 9);
        assert_eq!(&text[..9], b"some text");
        assert_eq!(next_fd(), free, "the file was closed");
    }
}

fn failed_source(ring: &mut RawRing) {
    let mut stat: libc::stat = zeroed();
    let mut text = [0; 16];
    let absent = neg(libc::ENOENT);
    for flags in [LINK, HARDLINK] {
        let got = ring.run(&chain(c"none", flags, &mut stat, &mut text));
        expect_results(&got, &[absent, CANCELED, CANCELED, CANCELED]);
    }
    // Only what takes the failed result is cancelled.
    let got = ring.run(&[
        open(c"none").flag(HARDLINK),
        sqe!(libc::SYS_close, -1).flag(HARDLINK).result_to(0, 1),
        sqe!(libc::SYS_getuid),
    ]);
    expect_results(&got, &[absent, CANCELED, 0]);
}

fn other_arguments(ring: &mut RawRing) {
    // As many bytes are written as were read.
    let from = file("from", b"twelve bytes");
    let to = file("to", b"");
    let mut buffer = [0u8; 64];
    let buffer = buffer.as_mut_ptr();
    let got = ring.run(&[
        sqe!(libc::SYS_read, from, buffer, 64).flag(LINK),
        sqe!(libc::SYS_write, to, buffer, 0).result_to(2, 1),
    ]);
    expect_results(&got, &[12, 12]);
    let written = std::fs::read("to").expect("it was made above");
    expect_same(&written, b"twelve bytes");

    // From eight places back, as far as it goes.
    let mut entries = vec![sqe!(libc::SYS_getuid).flag(LINK); 9];
    entries[0] = sqe!(libc::SYS_lseek, from, 5, libc::SEEK_SET).flag(LINK);
    entries[8] = sqe!(libc::SYS_lseek, from, 0, libc::SEEK_SET).result_to(1, 8);
    let got = ring.run(&entries);
    assert_eq!(got[8], 5);
}

fn senseless(ring: &mut RawRing) {
    let entry = || sqe!(libc::SYS_getuid);
    let with = |ctl: u32| {
        let mut entry = entry().flag(RESULT_TO_ARG);
        entry.ctl = ctl;
        entry
    };
    // As the only entry there is nothing behind it.
    expect_results(&ring.run(&[with(1 << 8)]), &[INVALID]);
    // Ten good entries of the chain stand before.
    let nine_back = 9 << 8;
    let upper_bits = 1 << 16 | 1 << 8;
    for ctl in [
        6 | 1 << 8,
        255 | 1 << 8,
        0,
        nine_back,
        255 << 8,
        upper_bits,
        1 << 31 | 1 << 8,
    ] {
        let mut entries = vec![entry().flag(LINK); 10];
        entries.push(with(ctl));
        let got = ring.run(&entries);
        assert_eq!(got[10], INVALID, "ctl {ctl:#x}");
    }
    // Two back, but the chain has begun one entry before.
    let got = ring.run(&[entry(), entry().flag(LINK), with(2 << 8)]);
    expect_results(&got, &[0, 0, INVALID]);
    // Not the argument that names a flow.
    let got = ring.run(&[
        entry().flag(LINK),
        sqe!(libc::SYS_write, 0, 0, 0).on_flow().result_to(0, 1),
    ]);
    expect_results(&got, &[0, INVALID]);
}
