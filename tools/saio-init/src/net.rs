// SPDX-License-Identifier: MIT OR Apache-2.0

//! The loopback interface, the only one the guest has.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};

/// Brings `lo` up, with 127.0.0.1 and ::1.
pub fn loopback_up() -> Result<()> {
    set_up().context("cannot bring the loopback interface up")
}

fn set_up() -> io::Result<()> {
    // Any socket will do: it only selects the network stack.
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;

    // SAFETY: `ifreq` is plain data, for which all zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }

    // SAFETY: the request is a valid `ifreq` that outlives both calls, and the
    // flags are the member of its union that both calls use.
    let result = unsafe {
        let mut result = libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request);
        if result == 0 {
            request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
            result = libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &mut request);
        }
        result
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
