// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::verify::streams::http;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that serves all connections in one thread each, and thinks for so long about every answer that follows the
/// first ones.
fn server(answer: &'static [u8], first: usize, think: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                let mut number = 0;
                while stream.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {
                    number += 1;
                    if number > first {
                        thread::sleep(think);
                    }
                    let said = if number > first { answer } else { ANSWER };
                    if stream.write_all(said).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn run(address: SocketAddr, connections: u32, arrivals: &[Duration]) -> Result<Run> {
    let client = OpenLoop {
        dial: &Dial::plain(address),
        request: &http::get("/", &[]),
        connections,
    };
    client.run(arrivals)
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[test]
fn each_request_is_asked_at_its_moment() {
    let address = server(ANSWER, 0, Duration::ZERO);
    let arrivals: Vec<Duration> = (1..=20).map(|number| millis(5 * number)).collect();
    let run = run(address, 3, &arrivals).unwrap();
    assert_eq!(run.latencies.len(), 20);
    assert!(run.took >= millis(100), "{:?}", run.took);
    assert!(run.latencies.windows(2).all(|two| two[0] <= two[1]));
}

#[test]
fn latency_counts_from_the_moment_also_if_no_connection_is_free() {
    // Ten requests at once on one connection, 10 ms each: the last has waited for all.
    let address = server(ANSWER, OPENING as usize, millis(10));
    let run = run(address, 1, &[Duration::ZERO; 10]).unwrap();
    assert!(run.latencies[0] >= millis(10));
    assert!(run.latencies[9] >= millis(100), "{:?}", run.latencies);
    assert!(run.took >= run.latencies[9]);
}

#[test]
fn capacity_is_what_all_connections_get() {
    let address = server(ANSWER, OPENING as usize, millis(10));
    let client = OpenLoop {
        dial: &Dial::plain(address),
        request: &http::get("/", &[]),
        connections: 4,
    };
    let capacity = client.capacity(40).unwrap();
    assert!((20.0..=400.0).contains(&capacity), "{capacity}");
}

#[test]
fn another_answer_is_an_error() {
    let first = OPENING as usize;
    let said = |answer| {
        let address = server(answer, first, Duration::ZERO);
        run(address, 1, &[Duration::ZERO; 2])
            .unwrap_err()
            .to_string()
    };
    let text = said(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
    assert!(text.contains("another status"), "{text}");
    let text = said(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok and all");
    assert!(text.contains("more bytes"), "{text}");
}
