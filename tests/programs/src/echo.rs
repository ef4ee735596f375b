// SPDX-License-Identifier: MIT OR Apache-2.0

//! A client that checks an echo server: the examples of libsaio.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Longest time that a server may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are in no buffer as a whole.
const LARGE: usize = 6 << 20;

/// A server that is killed at the end.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If it does not say where it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("it says {line:?}"));
        Self {
            address: address.parse().unwrap(),
            child,
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Talks to it.
    ///
    /// # Panics
    ///
    /// If it gives wrong answers, or none for a minute.
    pub fn check(&self) {
        talks(self);
        many(self);
        slow_reader(self);
        reset(self);
        talks(self);
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Ends it; `saio` says whether the kernel has SAIO.
    ///
    /// # Panics
    ///
    /// If it has ended by itself, or said something else than it should have.
    pub fn stop(mut self, saio: bool) {
        assert!(self.child.try_wait().unwrap().is_none(), "it has ended");
        self.child.kill().unwrap();
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        let lines = said.lines().filter(|line| line.contains("without SAIO"));
        assert_eq!(lines.count(), usize::from(!saio), "{said}");
        assert!(!said.contains("sending"), "{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already dead unless a check failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn talks(server: &Server) {
    let mut stream = server.connect();
    for len in [1, 2, 100, 5000, 70000] {
        exchange(&mut stream, len);
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

fn many(server: &Server) {
    let mut streams: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for round in 1..20 {
        for (i, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&pattern(round * 50 + i)).unwrap();
        }
        for (i, stream) in streams.iter_mut().enumerate() {
            expect(stream, &pattern(round * 50 + i));
        }
    }
}

/// The answers wait for a peer that does not read, and then for its end.
fn slow_reader(server: &Server) {
    let mut stream = server.connect();
    let bytes = pattern(LARGE);
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.clone();
    let writer = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    thread::sleep(Duration::from_millis(300));
    // Others are served meanwhile.
    talks(server);
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    writer.join().unwrap();
    assert!(got == bytes, "{} of {} bytes", got.len(), bytes.len());
}

/// A peer that goes away with unread answers.
fn reset(server: &Server) {
    let mut stream = server.connect();
    stream.write_all(&pattern(1000)).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(stream);
}

fn exchange(stream: &mut TcpStream, len: usize) {
    let bytes = pattern(len);
    stream.write_all(&bytes).unwrap();
    expect(stream, &bytes);
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert!(got == bytes);
}

/// Bytes that differ by place and by length.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251 + len) as u8).collect()
}
