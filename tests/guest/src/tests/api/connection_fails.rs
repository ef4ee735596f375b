// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: sends on a connection that the peer has reset complete with errors; the flow says so, and
//! takes no more.

use std::io::Write;

use saio::flow::Health;

use super::{connection, done, errno, queue};

pub fn run() {
    let mut queue = queue();
    let (near, peer) = connection();
    let flow = queue.register(&near).expect("a flow");
    (&near).write_all(b"unread").expect("an empty connection");
    // Unread bytes make a reset of the close.
    drop(peer);
    queue.send(flow, b"lost", 1).expect("room");
    queue.send(flow, b"lost too", 2).expect("room");
    queue.submit().expect("no signal comes");
    let seen = done(&mut queue, 2);
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|(_, result)| result.is_err()), "{seen:?}");
    assert_eq!(queue.health(flow), Health::Failed);
    assert_eq!(errno(queue.send(flow, b"x", 3)), libc::ECONNABORTED);
}
