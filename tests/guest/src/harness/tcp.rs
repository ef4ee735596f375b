// SPDX-License-Identifier: MIT OR Apache-2.0

//! TCP connections over loopback.

use super::{expect_ok, expect_same, fd, show, sqe, sys, zeroed, Sqe};

/// Two ends of a connection.
#[derive(Clone, Copy)]
pub struct Pair {
    /// The accepted end: close-on-exec, non-blocking.
    pub ours: i32,
    /// The connecting end: close-on-exec, blocking; reads fail after 10 s without a byte.
    pub peer: i32,
}

/// A buffer size that makes a connection fill up soon.
pub const SMALL: i32 = 16 << 10;

/// Seconds without a byte after which a peer's read fails.
const READ_SECONDS: i64 = 10;

/// A connection; `rcvbuf` is what the peer can hold, `sndbuf` what our end can; 0: the default.
pub fn tcp_pair(rcvbuf: i32, sndbuf: i32) -> Pair {
    pair_of(0, rcvbuf, sndbuf).expect("loopback is up")
}

/// A connection of this protocol number, or the errno with which `socket` refuses it.
pub fn pair_of(protocol: i32, rcvbuf: i32, sndbuf: i32) -> Result<Pair, i64> {
    let listener = Listener::of(protocol, 1)?;
    let pair = listener.pair(rcvbuf, sndbuf);
    expect_ok!(sys!(libc::SYS_close, listener.socket));
    Ok(pair)
}

/// A blocking, close-on-exec socket that listens on a port of its own.
pub struct Listener {
    pub socket: i32,
    protocol: i32,
    address: libc::sockaddr_in,
}

impl Listener {
    /// A TCP listener; `backlog` as for `listen`.
    pub fn new(backlog: i32) -> Self {
        Self::of(0, backlog).expect("loopback is up")
    }

    /// One of this protocol number, or the errno with which `socket` refuses it.
    pub fn of(protocol: i32, backlog: i32) -> Result<Self, i64> {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        let socket = sys!(libc::SYS_socket, libc::AF_INET, kind, protocol);
        if socket < 0 {
            return Err(socket);
        }
        let socket = fd(socket);
        let mut address: libc::sockaddr_in = zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let mut len = size_of::<libc::sockaddr_in>() as u32;
        expect_ok!(sys!(libc::SYS_bind, socket, &address, len));
        expect_ok!(sys!(libc::SYS_listen, socket, backlog));
        expect_ok!(sys!(libc::SYS_getsockname, socket, &mut address, &mut len));
        Ok(Self {
            socket,
            protocol,
            address,
        })
    }

    /// A close-on-exec socket to connect with; `flags` as for `socket`.
    pub fn client(&self, flags: i32) -> i32 {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags;
        fd(sys!(libc::SYS_socket, libc::AF_INET, kind, self.protocol))
    }

    /// `connect` to the listener; the result or a negated errno.
    pub fn connect(&self, client: i32) -> i64 {
        let len = size_of::<libc::sockaddr_in>();
        sys!(libc::SYS_connect, client, &self.address, len)
    }

    /// The entry of [`Self::connect`], which the listener has to outlive.
    pub fn connect_entry(&self, client: i32) -> Sqe {
        let len = size_of::<libc::sockaddr_in>();
        sqe!(libc::SYS_connect, client, &self.address, len)
    }

    /// The next connection: close-on-exec, non-blocking.
    pub fn accept(&self) -> i32 {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        fd(sys!(libc::SYS_accept4, self.socket, 0, 0, flags))
    }

    /// A connection, while no other waits to be accepted; buffers as for [`tcp_pair`].
    pub fn pair(&self, rcvbuf: i32, sndbuf: i32) -> Pair {
        let peer = self.peer(rcvbuf);
        let ours = self.accept();
        if sndbuf != 0 {
            set_option(ours, libc::SOL_SOCKET, libc::SO_SNDBUF, sndbuf);
        }
        Pair { ours, peer }
    }

    /// The connecting end of a connection that waits to be accepted.
    pub fn peer(&self, rcvbuf: i32) -> i32 {
        let peer = self.client(0);
        if rcvbuf != 0 {
            // Before the connection is made: the window follows from it.
            set_option(peer, libc::SOL_SOCKET, libc::SO_RCVBUF, rcvbuf);
        }
        set_patience(peer, READ_SECONDS);
        expect_ok!(self.connect(peer));
        peer
    }
}

/// `setsockopt` of an int; the result or a negated errno.
pub fn try_option(socket: i32, level: i32, name: i32, value: i32) -> i64 {
    sys!(
        libc::SYS_setsockopt,
        socket,
        level,
        name,
        &value,
        size_of::<i32>()
    )
}

/// How many seconds a read waits before it is `EAGAIN`.
pub fn set_patience(socket: i32, seconds: i64) {
    let patience = libc::timeval {
        tv_sec: seconds,
        tv_usec: 0,
    };
    expect_ok!(sys!(
        libc::SYS_setsockopt,
        socket,
        libc::SOL_SOCKET,
        libc::SO_RCVTIMEO,
        &patience,
        size_of::<libc::timeval>()
    ));
}

pub fn set_option(socket: i32, level: i32, name: i32, value: i32) {
    expect_ok!(try_option(socket, level, name, value));
}

pub fn get_option(socket: i32, level: i32, name: i32) -> i32 {
    let (mut value, mut len) = (0i32, size_of::<i32>() as u32);
    expect_ok!(sys!(
        libc::SYS_getsockopt,
        socket,
        level,
        name,
        &mut value,
        &mut len
    ));
    value
}

/// Segments with data that the socket has sent.
pub fn data_segments(socket: i32) -> u32 {
    tcp_info(socket).tcpi_data_segs_out
}

/// What the kernel tells of a TCP socket.
pub fn tcp_info(socket: i32) -> libc::tcp_info {
    let mut info: libc::tcp_info = zeroed();
    let mut len = size_of::<libc::tcp_info>() as u32;
    expect_ok!(sys!(
        libc::SYS_getsockopt,
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        &mut info,
        &mut len
    ));
    info
}

pub fn set_nonblocking(file: i32, on: bool) {
    let flags = expect_ok!(sys!(libc::SYS_fcntl, file, libc::F_GETFL));
    let bit = i64::from(libc::O_NONBLOCK);
    let flags = if on { flags | bit } else { flags & !bit };
    expect_ok!(sys!(libc::SYS_fcntl, file, libc::F_SETFL, flags));
}

/// What `poll` reports of these events within `ms` milliseconds.
pub fn poll(file: i32, events: i16, ms: i32) -> i16 {
    let mut item = libc::pollfd {
        fd: file,
        events,
        revents: 0,
    };
    expect_ok!(sys!(libc::SYS_poll, &mut item, 1, ms));
    item.revents
}

/// Lets the connection be reset when the socket is closed.
pub fn set_linger0(socket: i32) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    expect_ok!(sys!(
        libc::SYS_setsockopt,
        socket,
        libc::SOL_SOCKET,
        libc::SO_LINGER,
        &linger,
        size_of::<libc::linger>()
    ));
}

pub fn write_all(file: i32, bytes: &[u8]) {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        done += expect_ok!(sys!(libc::SYS_write, file, rest.as_ptr(), rest.len())) as usize;
    }
}

/// Reads at most `limit` bytes: what came, and how it ended: 1 for the limit, 0 for the end of
/// the stream, or a negated errno.
pub fn read_up_to(file: i32, limit: usize) -> (Vec<u8>, i64) {
    let mut all = vec![0; limit];
    let mut got = 0;
    let end = loop {
        let rest = &mut all[got..];
        if rest.is_empty() {
            break 1;
        }
        match sys!(libc::SYS_read, file, rest.as_mut_ptr(), rest.len()) {
            n if n > 0 => got += n as usize,
            end => break end,
        }
    };
    all.truncate(got);
    (all, end)
}

/// Reads as many bytes as are expected, which must be these.
#[track_caller]
pub fn expect_bytes(file: i32, want: &[u8]) {
    let (got, end) = read_up_to(file, want.len());
    assert!(
        end == 1 || want.is_empty(),
        "{} of {} bytes came, then {}",
        got.len(),
        want.len(),
        show(end)
    );
    expect_same(&got, want);
}

/// Reads the end of the stream.
#[track_caller]
pub fn expect_eof(file: i32) {
    let (got, end) = read_up_to(file, 1);
    assert!(
        end == 0,
        "expected the end of the stream, got {} bytes, then {}",
        got.len(),
        show(end)
    );
}

/// Reads until the connection is reset, and gives what came before.
#[track_caller]
pub fn expect_reset(file: i32) -> Vec<u8> {
    let (got, end) = read_up_to(file, 64 << 20);
    assert!(
        end == -i64::from(libc::ECONNRESET),
        "expected a reset, got {} bytes, then {}",
        got.len(),
        show(end)
    );
    got
}
