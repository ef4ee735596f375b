// SPDX-License-Identifier: MIT OR Apache-2.0

//! Servers for unit tests: one that says what it is told to, and an echo server that lies.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::thread;

use super::exchange::{same, Dials, Style};
use super::streams::echo::Echo;
use super::streams::Stream;
use crate::docs::Random;
use crate::wire::{Conn, Dial};

/// A connection on which a server says this, whatever it is asked, and then ends it.
pub fn said_by_server(bytes: &[u8]) -> Conn {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bytes = bytes.to_vec();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&bytes).unwrap();
    });
    Dial::plain(address).connect().unwrap()
}

/// What is done to everything that a server has said on a connection, in one piece.
type Lie = fn(&mut Vec<u8>);

/// An echo server that has one client at a time, waits for `bytes` bytes, and gives them back after the lie.
fn echo(bytes: usize, lie: Lie) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = vec![0; bytes];
        stream.read_exact(&mut said).unwrap();
        lie(&mut said);
        stream.write_all(&said).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Until the client goes.
        let _ = stream.read(&mut [0]);
    });
    address
}

const ANSWERS: usize = 20;
const HONEST: Lie = |_| {};

/// Compares an honest server with one that does this to its answers.
fn compared_with(lie: Lie) -> Result<(), String> {
    let requests = Echo.requests(&mut Random::new(1), 0, ANSWERS);
    let bytes = requests.iter().map(|request| request.bytes.len()).sum();
    let dials = Dials {
        plain: Dial::plain(echo(bytes, HONEST)),
        saio: Dial::plain(echo(bytes, lie)),
    };
    same(&dials, &requests, Style::Pipelined(ANSWERS))
        .map(drop)
        .map_err(|error| format!("{error:#}"))
}

/// Lengths of the first two answers.
fn first_two() -> (usize, usize) {
    let requests = Echo.requests(&mut Random::new(1), 0, ANSWERS);
    (requests[0].bytes.len(), requests[1].bytes.len())
}

#[test]
fn no_lie_is_no_difference() {
    compared_with(HONEST).unwrap();
}

#[test]
fn one_other_byte_is_found() {
    let problem = compared_with(|said| said[first_two().0] ^= 1).unwrap_err();
    assert!(problem.contains("answer 2"), "{problem}");
    assert!(problem.contains("differ from byte 0 on"), "{problem}");
    let problem = compared_with(|said| *said.last_mut().unwrap() ^= 0x80).unwrap_err();
    assert!(problem.contains("answer 20"), "{problem}");
}

#[test]
fn a_missing_byte_is_found() {
    let problem = compared_with(|said| {
        said.remove(3);
    })
    .unwrap_err();
    assert!(problem.contains("answer 1"), "{problem}");
    let problem = compared_with(|said| {
        said.pop();
    })
    .unwrap_err();
    assert!(problem.contains("answer 20"), "{problem}");
    assert!(problem.contains("1 bytes before its end"), "{problem}");
}

#[test]
fn a_byte_too_many_is_found() {
    let problem = compared_with(|said| said.insert(5, b'x')).unwrap_err();
    assert!(problem.contains("from byte 5 on"), "{problem}");
    let problem = compared_with(|said| said.push(b'x')).unwrap_err();
    assert!(
        problem.contains("0 bytes were expected and 1 came"),
        "{problem}"
    );
}

#[test]
fn swapped_answers_are_found() {
    let swap: Lie = |said| said[..first_two().0 + first_two().1].rotate_left(first_two().0);
    let problem = compared_with(swap).unwrap_err();
    assert!(problem.contains("answer 1"), "{problem}");
}
