// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: bytes, parts of files, options and a shutdown leave in order; a flow whose socket was
//! closed is gone.

use std::fs::{self, File};
use std::io::{IoSlice, Read};
use std::net::Shutdown;
use std::rc::Rc;

use saio::flow::Health;
use saio::pool::{self, Name};
use saio::queue::{Entry, FlowOption, Mode, Queue};

use super::{connection, done, errno, queue};

pub fn run() {
    sends(queue());
}

/// The pool that rings use which name none. Every entry of the flow is run by it.
pub fn default_pool() {
    let name = Name::default_pool();
    let entries = || pool::stat(&name).expect("the pool is always there").entries;
    let before = entries();
    let mut queue = queue();
    queue.attach(&name, Mode::Pool).expect("root may attach");
    sends(queue);
    assert_eq!(entries() - before, 6);
}

fn sends(mut queue: Queue) {
    let (near, mut peer) = connection();
    let flow = queue.register(&near).expect("a flow");
    assert_eq!(errno(queue.register(&near)), libc::EEXIST);
    fs::write("file", b"-file-").expect("the test's directory can be written");
    let file = Rc::new(File::open("file").expect("just made"));
    fs::remove_file("file").expect("just made");

    let mut push = || {
        let quiet = |tag| Entry::new(tag).quiet();
        queue.set_option(flow, FlowOption::Cork(true), quiet(1))?;
        assert_eq!(queue.send(flow, b"one ", 2)?, 4);
        let two = [IoSlice::new(b"t"), IoSlice::new(b"wo ")];
        queue.send_vectored(flow, &two, quiet(3))?;
        queue.send_file(flow, &file, 1, 4, 4)?;
        queue.set_option(flow, FlowOption::Cork(false), 5)?;
        queue.shutdown(flow, Shutdown::Write, 6)?;
        queue.submit()
    };
    push().expect("room");
    let seen = done(&mut queue, 4);
    assert_eq!(seen, [(2, Ok(4)), (4, Ok(4)), (5, Ok(0)), (6, Ok(0))]);
    let mut got = String::new();
    peer.read_to_string(&mut got).expect("the end comes");
    assert_eq!(got, "one two file");

    drop(near);
    assert_eq!(queue.health(flow), Health::Gone);
    assert_eq!(errno(queue.send(flow, b"x", 7)), libc::EBADF);
}
