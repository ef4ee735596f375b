// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines on stderr or in a file, without memory and without libc.

use std::ffi::c_int;
use std::fmt;

use saio::sys;

/// A line under construction; what does not fit is cut off.
pub struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    pub fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Writes the line in one call, so that those of several processes do not mix.
    pub fn send(&self, fd: c_int) {
        let args = [fd as usize, self.bytes.as_ptr() as usize, self.len, 0, 0, 0];
        // SAFETY: the bytes are ours. There is nobody to tell if it fails.
        unsafe { sys::syscall(libc::SYS_write, args) };
    }
}

impl<const N: usize> fmt::Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - self.len;
        let n = text.len().min(room);
        self.bytes[self.len..self.len + n].copy_from_slice(&text.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

/// Says a line on stderr.
pub fn stderr(text: fmt::Arguments<'_>) {
    let mut line = Line::<512>::new();
    let _ = fmt::write(&mut line, format_args!("saio: {text}\n"));
    line.send(libc::STDERR_FILENO);
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn long_text_is_cut() {
        let mut line = Line::<2048>::new();
        for _ in 0..300 {
            line.write_str("0123456789").unwrap();
        }
        assert_eq!(line.len, line.bytes.len());
        assert_eq!(&line.bytes[2040..], b"01234567");
    }
}
