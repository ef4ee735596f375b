// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the answer to what is sent ends the `epoll_wait` at the end of the same batch, and its
//! events come back with the completion.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use saio::queue::{Call, Entry, Output};

use super::{connection, queue};
use crate::harness::*;

pub fn run() {
    let mut queue = queue();
    let (near, mut peer) = connection();
    let flow = queue.register(&near).expect("a flow");
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 5,
    };
    let (add, socket) = (libc::EPOLL_CTL_ADD, near.as_raw_fd());
    expect_ok!(sys!(libc::SYS_epoll_ctl, epoll, add, socket, &mut event));
    // SAFETY: just made, and nobody else's.
    let epoll = Rc::new(unsafe { OwnedFd::from_raw_fd(epoll) });

    let echo = thread::spawn(move || {
        let mut got = [0; 4];
        peer.read_exact(&mut got).expect("the request comes");
        peer.write_all(&got).expect("an empty connection");
        peer
    });
    let ping = queue.send(flow, b"ping", Entry::new(1).quiet());
    assert_eq!(ping.expect("room"), 4);
    let wait = Call::epoll_wait(&epoll, Vec::with_capacity(8), Some(Duration::from_secs(10)));
    queue.push(wait, 2).expect("room");
    assert_eq!(queue.submit().expect("no signal comes"), 2);
    let done = queue.next_completion().expect("that of the wait");
    assert_eq!((done.tag, done.result.expect("an event")), (2, 1));
    assert!(matches!(done.output, Output::Events(events) if { events[0].u64 } == 5));
    drop(echo.join());
}
