// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a ring is mapped once, whole, from its start; the mapping neither grows nor
//! reaches a forked child; taking it away does not confuse the kernel.

use crate::harness::*;

const PAGE: usize = 4096;

pub fn run() {
    let mut params: Params = zeroed();
    let ring = fd(setup(&mut params));
    let size = params.map_size as usize;
    for (len, offset) in [(size, PAGE), (size + PAGE, 0), (size - PAGE, 0), (PAGE, 0)] {
        let got = map_ring(ring, len, offset);
        assert!(got < 0, "{len} bytes at {offset} were mapped");
    }
    expect_ok!(map_ring(ring, size, 0));
    assert!(map_ring(ring, size, 0) < 0, "a second mapping");
    expect_ok!(sys!(libc::SYS_close, ring));

    not_grown_not_inherited();
    taken_away();
}

fn not_grown_not_inherited() {
    let ring = RawRing::new();
    let size = ring.params.map_size as usize;
    let grown = sys!(
        libc::SYS_mremap,
        ring.base,
        size,
        size + PAGE,
        libc::MREMAP_MAYMOVE
    );
    assert!(grown < 0, "the mapping grew");

    let exit = child(|| {
        let word = ring.base.cast::<u32>();
        // SAFETY: none needed, the process is to die of it.
        let value = unsafe { word.read_volatile() };
        println!("a forked child reads {value:#x} from the ring");
    })
    .wait();
    assert_eq!(exit, Exit::Signal(libc::SIGSEGV));
}

fn taken_away() {
    let mut ring = RawRing::new();
    ring.push(sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755));
    ring.publish();
    expect_ok!(sys!(libc::SYS_munmap, ring.base, ring.params.map_size));
    // The queues are the kernel's own memory: the entry is there, mapped or not.
    assert_eq!(ring.enter(1, 0), 1);
    assert!(exists("made"));
    assert_eq!(ring.enter(1, 0), 0, "nothing more is published");
    expect_ok!(sys!(libc::SYS_close, ring.fd));
    expect_errno!(ring.enter(1, 0), libc::EBADF);
}
