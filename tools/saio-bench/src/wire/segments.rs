// SPDX-License-Identifier: MIT OR Apache-2.0

//! How many segments a connection has received.

use std::io;

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};

use super::{Conn, Failure};

/// The first part of the kernel's `struct tcp_info`, up to what is wanted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TcpInfo {
    before: [u64; 19],
    data_segs_in: u32,
    data_segs_out: u32,
}

sockopt_impl!(
    /// What the kernel knows of a connection.
    TcpInformation,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    TcpInfo
);

impl Conn {
    /// Segments with data that have come so far.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn segments(&self) -> Result<u32, Failure> {
        let info = getsockopt(&self.stream, TcpInformation).map_err(io::Error::from)?;
        Ok(info.data_segs_in)
    }
}

#[cfg(test)]
mod tests {
    use crate::verify::fake::said_by_server;

    #[test]
    fn segments_are_counted() {
        let mut conn = said_by_server(b"some bytes");
        conn.peek().unwrap();
        assert_eq!(conn.segments().unwrap(), 1);
    }
}
