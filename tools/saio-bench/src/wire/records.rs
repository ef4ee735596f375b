// SPDX-License-Identifier: MIT OR Apache-2.0

//! A TLS client that looks at every record as it comes off the socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::{tls_failure, Failure, PATIENCE};

/// Type, version and length before each record.
const HEAD: usize = 5;
/// How long a client lets the server fill every buffer before it reads.
const PAUSE: Duration = Duration::from_millis(300);

/// A record of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its type, as anybody can see it
    pub kind: u8,
    /// Bytes behind its head
    pub length: usize,
    /// Bytes that it brought, decrypted
    pub plain: usize,
    /// It is the alert that ends the session
    pub closes: bool,
}

/// A connection, taken apart.
struct Session {
    stream: TcpStream,
    tls: ClientConnection,
    /// The beginning of a record
    raw: Vec<u8>,
    records: Vec<Record>,
    plain: Vec<u8>,
}

/// Sends a request and reads until the server ends the connection, if asked to with a pause first. Returns all records, and
/// what they brought.
///
/// # Errors
///
/// [`Failure::Truncated`] if the connection ends within a record; or it is reset, or not TLS.
pub fn exchange(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
    request: &[u8],
    pause: bool,
) -> Result<(Vec<Record>, Vec<u8>), Failure> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let name =
        ServerName::try_from("localhost").map_err(|error| Failure::Malformed(error.to_string()))?;
    let mut session = Session {
        stream,
        tls: ClientConnection::new(config.clone(), name).map_err(tls_failure)?,
        raw: Vec::new(),
        records: Vec::new(),
        plain: Vec::new(),
    };
    session.tls.set_buffer_limit(None);
    while session.tls.is_handshaking() {
        session.write()?;
        if session.tls.is_handshaking() && session.read()? == 0 {
            return Err(Failure::Closed);
        }
    }
    session.tls.writer().write_all(request)?;
    session.write()?;
    if pause {
        sleep(PAUSE);
    }
    while session.read()? > 0 {}
    match session.raw.len() {
        0 => Ok((session.records, session.plain)),
        _ => Err(Failure::Truncated { missing: 0 }),
    }
}

impl Session {
    fn write(&mut self) -> Result<(), Failure> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Reads once and looks at the records that are whole. 0: the server has ended the connection.
    fn read(&mut self) -> Result<usize, Failure> {
        let mut buffer = [0; 16 * 1024];
        let bytes = match self.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Failure::TimedOut),
            result => result?,
        };
        self.raw.extend_from_slice(&buffer[..bytes]);
        while let Some(length) = whole(&self.raw) {
            let record: Vec<u8> = self.raw.drain(..HEAD + length).collect();
            let mut rest = record.as_slice();
            let before = self.plain.len();
            let mut closes = false;
            while !rest.is_empty() {
                self.tls.read_tls(&mut rest)?;
                let state = self.tls.process_new_packets().map_err(tls_failure)?;
                closes |= state.peer_has_closed();
                let start = self.plain.len();
                self.plain
                    .resize(start + state.plaintext_bytes_to_read(), 0);
                self.tls.reader().read_exact(&mut self.plain[start..])?;
            }
            // Once it is closed the session says so of all that follows: those with data are told by their bytes.
            self.records.push(Record {
                kind: record[0],
                length,
                plain: self.plain.len() - before,
                closes,
            });
        }
        Ok(bytes)
    }
}

/// Length of the record that these bytes begin with, without its head, if it is there whole.
fn whole(raw: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([*raw.get(3)?, *raw.get(4)?]));
    (raw.len() >= HEAD + length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart() {
        assert_eq!(whole(&[]), None);
        assert_eq!(whole(&[23, 3, 3, 0]), None);
        assert_eq!(whole(&[23, 3, 3, 0, 2, 1]), None);
        assert_eq!(whole(&[23, 3, 3, 0, 2, 1, 2]), Some(2));
        assert_eq!(whole(&[23, 3, 3, 1, 0]), None);
        assert_eq!(whole(&[23, 3, 3, 0, 0, 9]), Some(0));
    }
}
