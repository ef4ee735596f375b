// SPDX-License-Identifier: MIT OR Apache-2.0

//! Endless streams of bytes, a different one for each connection, of which both ends know every byte
//! by its place.

use crate::harness::*;

/// After so many bytes a stream repeats itself: a prime, so that no buffer size hides a shift.
const PERIOD: usize = 65_521;
/// Longest piece that can be asked for.
const LONGEST: usize = PERIOD;

/// The bytes of all streams.
pub struct Streams {
    /// A period, twice.
    bytes: Vec<u8>,
    /// A file of them.
    pub file: i32,
}

/// One direction of one connection.
#[derive(Clone, Copy)]
pub struct Stream {
    start: usize,
    /// Bytes up to now.
    pub done: usize,
}

impl Stream {
    pub fn new(number: usize) -> Self {
        let start = number * 7919 % PERIOD;
        Self { start, done: 0 }
    }

    /// Place of the next byte in [`Streams::file`].
    pub fn position(&self) -> usize {
        (self.start + self.done) % PERIOD
    }
}

impl Streams {
    pub fn new() -> Self {
        let period = pattern(99, PERIOD);
        let bytes = [period.as_slice(), &period].concat();
        let file = file("streams", &bytes);
        Self { bytes, file }
    }

    /// The next bytes of a stream.
    pub fn next(&self, stream: &Stream, len: usize) -> &[u8] {
        assert!(len <= LONGEST);
        &self.bytes[stream.position()..][..len]
    }

    /// Reads up to `limit` bytes that are there, which must be the next of the stream: how many, or
    /// a negated errno. `flags` as for `recv`.
    #[track_caller]
    pub fn receive(&self, socket: i32, stream: &mut Stream, limit: usize, flags: i32) -> i64 {
        let mut buffer = vec![0; limit.min(LONGEST)];
        let (at, len) = (buffer.as_mut_ptr(), buffer.len());
        let got = sys!(libc::SYS_recvfrom, socket, at, len, flags, 0, 0);
        if got > 0 {
            let got = got as usize;
            let equal = self.next(stream, got) == &buffer[..got];
            assert!(equal, "other bytes than those sent, from {}", stream.done);
            stream.done += got;
        }
        got
    }

    /// Reads the rest of a stream to its end; fails if none comes for a while.
    #[track_caller]
    pub fn receive_all(&self, socket: i32, stream: &mut Stream) {
        loop {
            match self.receive(socket, stream, LONGEST, 0) {
                0 => return,
                1.. => {}
                errno => panic!("after {} bytes: {}", stream.done, show(errno)),
            }
        }
    }
}
