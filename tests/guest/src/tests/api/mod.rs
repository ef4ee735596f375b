// SPDX-License-Identifier: MIT OR Apache-2.0

//! The safe interface of libsaio.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use saio::queue::{Mode, Options, Queue};

use crate::harness::in_pool;

pub mod batch;
pub mod connection_fails;
pub mod flow_sends;
pub mod slow_peer;
pub mod wait_last;
pub mod waits_end;

/// A queue, in the pool of all rings if there is one.
fn queue() -> Queue {
    let mut queue = Queue::new(&Options::default()).expect("the kernel has SAIO");
    if let Some(pool) = in_pool() {
        let name = pool.parse().expect("a name");
        queue.attach(&name, Mode::Pool).expect("root may attach");
    }
    queue
}

/// A connection: a non-blocking end, and the peer's.
fn connection() -> (TcpStream, TcpStream) {
    let connect = || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let peer = TcpStream::connect(listener.local_addr()?)?;
        peer.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (near, _) = listener.accept()?;
        near.set_nonblocking(true)?;
        io::Result::Ok((near, peer))
    };
    connect().expect("loopback is up")
}

/// The errno of what has to fail.
#[track_caller]
fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    let error = result.expect_err("this has to fail");
    error.raw_os_error().expect("an error of the system")
}

/// Completions until so many have come, as tag and result, which may be an errno.
#[track_caller]
fn done(queue: &mut Queue, n: usize) -> Vec<(u64, Result<usize, i32>)> {
    let mut all = Vec::new();
    for _ in 0..10 {
        for done in queue.completions() {
            let result = done.result.map_err(|error| errno::<()>(Err(error)));
            all.push((done.tag, result));
        }
        if all.len() >= n {
            break;
        }
        // What is there already ends it at once.
        let _ = queue.submit_and_wait(1, Some(Duration::from_secs(1)));
    }
    all
}
