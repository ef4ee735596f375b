// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a flow of a peer that does not read accepts so much and then says EAGAIN; once the peer
//! reads, it can be used again. All that was accepted arrives, also what was not submitted when the
//! socket was closed and the queue ended.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use saio::flow::Health;
use saio::queue::{Entry, Flow, Queue};

use super::{connection, done, queue};
use crate::harness::*;

/// Bytes of a send.
const LEN: usize = 20_000;

pub fn run() {
    let mut queue = queue();
    let (near, mut peer) = connection();
    let flow = queue.register(&near).expect("a flow");
    let mut accepted = fill(&mut queue, flow);
    assert_eq!(queue.health(flow), Health::Full);
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).expect("the end comes");
        got
    });
    assert_eq!(poll(near.as_raw_fd(), libc::POLLOUT, 10_000), libc::POLLOUT);
    assert_eq!(queue.health(flow), Health::Usable);
    // What has left gives its room back.
    assert_eq!(done(&mut queue, 0), []);
    let end = queue.send(flow, b"the end", Entry::new(2).quiet());
    assert_eq!(end.expect("room"), 7);
    accepted.extend_from_slice(b"the end");
    drop(near);
    drop(queue);
    expect_same(&reader.join().expect("it reads"), &accepted);
}

/// Sends until the flow is full; returns what was accepted.
fn fill(queue: &mut Queue, flow: Flow) -> Vec<u8> {
    let mut accepted = Vec::new();
    for i in 0..10_000 {
        let bytes = pattern(i, LEN);
        match queue.send(flow, &bytes, Entry::new(1).quiet()) {
            Ok(n) => accepted.extend_from_slice(&bytes[..n]),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                queue.submit().expect("no signal comes");
                assert_eq!(done(queue, 0), []);
                // The pool may not have got so far.
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EAGAIN), "{error}");
                return accepted;
            }
        }
    }
    panic!("the peer takes everything");
}
