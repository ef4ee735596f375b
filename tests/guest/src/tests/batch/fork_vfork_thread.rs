// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a vfork child, which shares the memory, cannot use its parent's ring; the end of
//! a thread ends its rings without harm to the process and drops what it published; a forked
//! child has rings of its own.

use crate::harness::*;
use std::{ffi::c_void, sync::mpsc};

pub fn run() {
    forked_child_has_its_own();
    vfork_child_is_refused();
    thread_takes_its_ring_along();
}

fn forked_child_has_its_own() {
    let mut parents = RawRing::new();
    in_child(|| expect_alive(&mut RawRing::new()));
    expect_alive(&mut parents);
}

extern "C" fn enter_from_child(ring: *mut c_void) -> i32 {
    // SAFETY: the parent passes the number of its ring and waits meanwhile.
    let number = unsafe { ring.cast::<i32>().read() };
    -sys!(ENTER, number, 1, 0) as i32
}

fn vfork_child_is_refused() {
    let mut ring = RawRing::new();
    ring.push(sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755));
    ring.publish();
    let mut stack = vec![0u128; 16 << 10];
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let number = (&raw mut ring.fd).cast();
    // SAFETY: what vfork does, on a stack of its own; the parent stands still until it ends.
    let pid = unsafe { libc::clone(enter_from_child, top.cast(), flags, number) };
    assert!(pid > 0, "clone: {}", std::io::Error::last_os_error());
    assert_eq!(Child { pid }.wait(), Exit::Status(libc::EPERM));
    assert!(!exists("made"));
    assert_eq!(ring.enter(1, 0), 1);
    assert!(exists("made"));
}

fn thread_takes_its_ring_along() {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut ring = RawRing::new();
        expect_alive(&mut ring);
        ring.push(sqe!(libc::SYS_mkdir, c"dropped".as_ptr(), 0o755));
        ring.publish();
        sender.send((ring.fd, ring.base as usize)).expect("sent");
    });
    let (ring, base) = receiver.recv().expect("received");
    thread.join().expect("the thread succeeds");

    let got = sys!(ENTER, ring, 1, 0);
    let dead = [neg(libc::EPERM), neg(libc::EBADFD)];
    assert!(dead.contains(&got), "{}", show(got));
    assert!(!exists("dropped"), "a plain entry ran at the thread's end");
    // The mapping belongs to the process and stays until that lets go of it.
    // SAFETY: it was mapped by the thread and not unmapped.
    let word = unsafe { (base as *const u32).read_volatile() };
    assert!(word == 2 || word == 3, "sq_head is {word}");
    expect_ok!(sys!(libc::SYS_close, ring));
    expect_alive(&mut RawRing::new());
}
