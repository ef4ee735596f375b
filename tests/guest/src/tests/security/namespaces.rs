// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: entries are resolved in the namespaces that their owner has when they are taken, those
//! of mounts, of the network, of users and what threads share of it (CLONE_FS); a flow stays with its
//! socket, in the network that this was made in.

use crate::harness::*;
use std::{sync::mpsc, thread};

const NOBODY: u32 = 65534;
/// A priority that takes CAP_NET_ADMIN over the network of the socket.
const HIGH: i32 = 7;

pub fn mounts() {
    std::fs::create_dir("mounted").expect("the test's directory can be written");
    let mut ring = RawRing::new();
    let (at, name) = (libc::AT_FDCWD, c"mounted/file".as_ptr());
    let open = sqe!(libc::SYS_openat, at, name, libc::O_RDONLY);
    expect_errno!(ring.run_one(open), libc::ENOENT);
    ring.push(open);
    ring.publish();
    private_mounts();
    mount_tmpfs(c"mounted");
    std::fs::write("mounted/file", "text").expect("a fresh tmpfs can be written");
    assert_eq!(ring.enter(1, 0), 1);
    expect_ok!(in_order(ring.reap())[0]);
    expect_ok!(ring.run_one(open));
}

/// The working directory is that of all threads, until one of them goes its own way.
pub fn shared_directory() {
    for name in ["one", "two"] {
        std::fs::create_dir(name).expect("the test's directory can be written");
        std::fs::write(format!("{name}/{name}"), "text").expect("so can this");
    }
    let (ask, asked) = mpsc::channel::<&std::ffi::CStr>();
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        for name in asked {
            expect_ok!(sys!(libc::SYS_chdir, name.as_ptr()));
            done.send(()).expect("the test waits");
        }
    });
    let elsewhere = |name| {
        ask.send(name).expect("the thread waits");
        wait.recv().expect("the thread answers");
    };
    let mut ring = RawRing::new();
    let open = |name: &'static std::ffi::CStr| {
        sqe!(
            libc::SYS_openat,
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::O_RDONLY
        )
    };
    let entries = [open(c"one"), open(c"two")];
    let publish = |ring: &mut RawRing| {
        for (place, entry) in entries.into_iter().enumerate() {
            ring.push(entry.data(place as u64));
        }
        ring.publish();
    };
    let found = |ring: &mut RawRing| {
        assert_eq!(ring.enter(2, 0), 2);
        let results = in_order(ring.reap());
        results
            .iter()
            .map(|result| *result >= 0)
            .collect::<Vec<_>>()
    };

    publish(&mut ring);
    elsewhere(c"one");
    assert_eq!(found(&mut ring), [true, false]);
    publish(&mut ring);
    expect_ok!(sys!(libc::SYS_unshare, libc::CLONE_FS));
    elsewhere(c"../two");
    assert_eq!(found(&mut ring), [true, false]);
    publish(&mut ring);
    expect_ok!(sys!(libc::SYS_chdir, c"../two".as_ptr()));
    assert_eq!(found(&mut ring), [false, true]);
}

pub fn network() {
    let listener = Listener::new(8);
    let clients = [0; 2].map(|_| listener.client(0));
    let mut flow = Flow::on(flow_ring(), listener.pair(0, 0));
    let late = listener.pair(0, 0);
    flow.ring.fill_arena(0, b"text");
    flow.ring.fill_arena(8, &HIGH.to_ne_bytes());
    let priority = flow.set_option(libc::SOL_SOCKET, libc::SO_PRIORITY, 8);
    let entries = [
        flow.write(0, 4).data(0),
        priority.data(1),
        sqe!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0).data(2),
    ];
    flow.ring.push(entries[0]);
    flow.ring.publish();
    expect_ok!(sys!(libc::SYS_unshare, libc::CLONE_NEWNET));
    assert_eq!(flow.ring.enter(1, 1), 1);
    assert_eq!(in_order(flow.ring.reap()), [4]);
    let results = flow.ring.run(&entries);
    expect_results(&results[..2], &[4, 0]);
    expect_bytes(flow.peer, b"texttext");

    // A new socket is of the new network, which is down; one from before is not.
    let results = flow.ring.run(&[
        listener.connect_entry(fd(results[2])),
        listener.connect_entry(clients[0]),
    ]);
    expect_results(&results, &[neg(libc::ENETUNREACH), 0]);
    let mut second = Flow::on(flow_ring(), late);
    second.ring.fill_arena(0, b"late");
    assert_eq!(second.ring.run_one(second.write(0, 4)), 4);
    expect_bytes(second.peer, b"late");
}

/// Root of a user namespace has no power over a network outside, also not for what was published.
pub fn users() {
    let mut flow = Flow::roomy();
    flow.ring.fill_arena(0, &HIGH.to_ne_bytes());
    let priority = flow.set_option(libc::SOL_SOCKET, libc::SO_PRIORITY, 0);
    assert_eq!(flow.ring.run_one(priority), 0);
    if in_pool().is_some() {
        eventually("nobody looks at the ring", || flow.ring.needs_wakeup());
    }
    flow.ring.push(priority);
    flow.ring.publish();
    let who = sqe!(libc::SYS_getuid);
    assert_eq!(flow.ring.queued(), 1);
    expect_ok!(sys!(libc::SYS_unshare, libc::CLONE_NEWUSER));
    expect_ok!(flow.ring.enter(1, 1));
    expect_results(&in_order(flow.ring.reap()), &[neg(libc::EPERM)]);
    expect_results(
        &flow.ring.run(&[who, priority]),
        &[NOBODY.into(), neg(libc::EPERM)],
    );
}
