// SPDX-License-Identifier: MIT OR Apache-2.0

//! What calls work on.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;

use anyhow::{ensure, Context, Result};
use nix::sys::socket::{send, MsgFlags};

use super::super::figure::Call;

/// Bytes of each `write`.
const WRITTEN: usize = 64;
/// Bytes of each `read`.
const READ: usize = 4096;
/// Bytes of each `send`.
const SENT: usize = 256;

/// Files and sockets, and memory for them.
pub struct Target {
    null: File,
    file: File,
    socket: UnixStream,
    other_end: UnixStream,
    bytes: Box<[u8; READ]>,
}

/// Arguments of a call on a descriptor.
pub struct Arguments {
    /// The descriptor
    pub fd: RawFd,
    /// Memory that the call may read and write
    pub address: *mut u8,
    /// Its length
    pub length: usize,
}

impl Target {
    /// Opens everything.
    ///
    /// # Errors
    ///
    /// No file can be made, or there is no /dev/null.
    pub fn new() -> Result<Self> {
        let null = OpenOptions::new().write(true).open("/dev/null");
        let mut file = tempfile::tempfile().context("cannot make a file; set TMPDIR")?;
        file.write_all(&[7; READ])?;
        let (socket, other_end) = UnixStream::pair()?;
        Ok(Self {
            null: null.context("cannot open /dev/null")?,
            file,
            socket,
            other_end,
            bytes: Box::new([0; READ]),
        })
    }

    /// Makes one call.
    ///
    /// # Errors
    ///
    /// It failed.
    pub fn make(&mut self, call: Call) -> Result<()> {
        let done = match call {
            Call::Getppid => {
                black_box(parent_id());
                0
            }
            Call::Write => (&self.null).write(&self.bytes[..WRITTEN])?,
            Call::Read => self.file.read_at(&mut self.bytes[..], 0)?,
            Call::Send => {
                let bytes = &self.bytes[..SENT];
                send(self.socket.as_raw_fd(), bytes, MsgFlags::empty())?
            }
        };
        check(call, done as i64)
    }

    /// What a call on a descriptor is given; none for one that has no descriptor.
    pub fn arguments(&mut self, call: Call) -> Option<Arguments> {
        let fd = match call {
            Call::Getppid => return None,
            Call::Write => self.null.as_raw_fd(),
            Call::Read => self.file.as_raw_fd(),
            Call::Send => self.socket.as_raw_fd(),
        };
        Some(Arguments {
            fd,
            address: self.bytes.as_mut_ptr(),
            length: length(call),
        })
    }

    /// Reads what so many calls have sent.
    ///
    /// # Errors
    ///
    /// They have sent less.
    pub fn take_back(&mut self, call: Call, number: u32) -> Result<()> {
        if call == Call::Send {
            let mut sent = vec![0; number as usize * SENT];
            self.other_end.read_exact(&mut sent)?;
        }
        Ok(())
    }
}

/// Bytes of a call.
fn length(call: Call) -> usize {
    match call {
        Call::Getppid => 0,
        Call::Write => WRITTEN,
        Call::Read => READ,
        Call::Send => SENT,
    }
}

/// Checks what a call has returned. Without bytes everything but an error is right.
///
/// # Errors
///
/// It failed, or moved another number of bytes.
pub fn check(call: Call, result: i64) -> Result<()> {
    ensure!(result >= 0, "{}: errno {}", call.name(), -result);
    let wanted = length(call) as i64;
    ensure!(
        wanted == 0 || result == wanted,
        "{} has moved {result} bytes instead of {wanted}",
        call.name()
    );
    Ok(())
}
