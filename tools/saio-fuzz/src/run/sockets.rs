// SPDX-License-Identifier: MIT OR Apache-2.0

//! Steps on connections and other descriptors.

use std::sync::atomic::Ordering::Relaxed;

use super::raw::{address, call, zeroed};
use super::world::World;
use crate::plan::op::{Connection, FileKind, Peer, SocketKind};
use crate::plan::slots;
use crate::yard;

const CLOEXEC: usize = libc::SOCK_CLOEXEC as usize;
const NONBLOCK: usize = libc::SOCK_NONBLOCK as usize;

/// What a peer reads into.
const READ_SIZE: usize = 16 << 10;

/// Files of the root, which comes over 9p and has to be waited for: every Debian has them.
const ROOT_FILES: [&std::ffi::CStr; 8] = [
    c"/etc/services",
    c"/etc/passwd",
    c"/bin/bash",
    c"/bin/ls",
    c"/bin/tar",
    c"/usr/bin/perl",
    c"/usr/bin/dpkg",
    c"/usr/bin/find",
];

fn option(fd: isize, level: i32, name: i32, value: &[i32]) {
    let args = [
        fd as usize,
        level as usize,
        name as usize,
        address(value),
        size_of_val(value),
    ];
    call(libc::SYS_setsockopt, &args);
}

fn socket(domain: i32, kind: i32, protocol: i32, flags: usize) -> isize {
    let kind = kind as usize | CLOEXEC | flags;
    call(
        libc::SYS_socket,
        &[domain as usize, kind, protocol as usize],
    )
}

fn close(fd: isize) {
    call(libc::SYS_close, &[fd as usize]);
}

/// A listening socket on loopback, with its address and the length of that.
fn listener(domain: i32, protocol: i32) -> Option<(isize, [u8; 28], usize)> {
    let fd = socket(domain, libc::SOCK_STREAM, protocol, 0);
    if fd < 0 {
        return None;
    }
    let mut place = [0u8; 28];
    place[0] = domain as u8;
    let length = if domain == libc::AF_INET {
        place[4..8].copy_from_slice(&[127, 0, 0, 1]);
        16
    } else {
        place[23] = 1;
        28
    };
    let mut len = length as u32;
    call(libc::SYS_bind, &[fd as usize, address(&place), length]);
    call(libc::SYS_listen, &[fd as usize, 4]);
    let (pointer, len) = (place.as_mut_ptr() as usize, &raw mut len as usize);
    if call(libc::SYS_getsockname, &[fd as usize, pointer, len]) < 0 {
        close(fd);
        return None;
    }
    Some((fd, place, length))
}

impl World {
    pub(super) fn connect(&self, connection: &Connection) {
        let (domain, protocol) = match connection.kind {
            SocketKind::Tcp4 => (libc::AF_INET, 0),
            SocketKind::Tcp6 => (libc::AF_INET6, 0),
            SocketKind::Mptcp => (libc::AF_INET, libc::IPPROTO_MPTCP),
            SocketKind::Unix => {
                self.unix_pair(
                    slots::SOCKETS + connection.pair,
                    slots::PEERS + connection.pair,
                );
                return;
            }
            SocketKind::Udp => {
                let fd = socket(libc::AF_INET, libc::SOCK_DGRAM, 0, NONBLOCK);
                self.set_fd(slots::SOCKETS + connection.pair, fd);
                return;
            }
            SocketKind::Unconnected => {
                let fd = socket(libc::AF_INET, libc::SOCK_STREAM, 0, NONBLOCK);
                self.set_fd(slots::SOCKETS + connection.pair, fd);
                return;
            }
        };
        let Some((listening, place, length)) = listener(domain, protocol) else {
            return;
        };
        let peer = socket(domain, libc::SOCK_STREAM, protocol, 0);
        if connection.rcvbuf != 0 {
            option(
                peer,
                libc::SOL_SOCKET,
                libc::SO_RCVBUF,
                &[connection.rcvbuf as i32],
            );
        }
        let connected = call(libc::SYS_connect, &[peer as usize, address(&place), length]);
        if connected == 0 {
            let flags = CLOEXEC | if connection.nonblocking { NONBLOCK } else { 0 };
            let ours = call(libc::SYS_accept4, &[listening as usize, 0, 0, flags]);
            if connection.sndbuf != 0 {
                option(
                    ours,
                    libc::SOL_SOCKET,
                    libc::SO_SNDBUF,
                    &[connection.sndbuf as i32],
                );
            }
            let nonblock = libc::O_NONBLOCK as usize;
            call(
                libc::SYS_fcntl,
                &[peer as usize, libc::F_SETFL as usize, nonblock],
            );
            self.replace(slots::SOCKETS + connection.pair, ours);
            self.replace(slots::PEERS + connection.pair, peer);
        } else {
            close(peer);
        }
        close(listening);
    }

    /// Puts a descriptor into a slot and closes what was there.
    fn replace(&self, slot: u8, fd: isize) {
        let old = self.fds[usize::from(slot)].swap(fd as i32, Relaxed);
        if old >= 0 {
            close(old as isize);
        }
    }

    fn unix_pair(&self, first: u8, second: u8) {
        let mut ends = [-1i32; 2];
        let kind = libc::SOCK_STREAM as usize | CLOEXEC | NONBLOCK;
        let pointer = ends.as_mut_ptr() as usize;
        call(
            libc::SYS_socketpair,
            &[libc::AF_UNIX as usize, kind, 0, pointer],
        );
        self.set_fd(first, ends[0] as isize);
        self.set_fd(second, ends[1] as isize);
    }

    pub(super) fn peer(&self, pair: u8, what: Peer) {
        let slot = slots::PEERS + pair;
        let fd = self.fd(slot) as usize;
        let buffer = [0u8; READ_SIZE];
        let pointer = address(&buffer);
        match what {
            Peer::Read(limit) => {
                let mut left = limit as usize;
                while left > 0 {
                    let got = call(libc::SYS_read, &[fd, pointer, left.min(READ_SIZE)]);
                    if got <= 0 {
                        break;
                    }
                    left -= got as usize;
                }
            }
            Peer::Drain => {
                // As long as the flow has something; but not for ever.
                for _ in 0..64 {
                    if call(libc::SYS_read, &[fd, pointer, READ_SIZE]) <= 0 {
                        break;
                    }
                }
            }
            Peer::Write(bytes) => {
                call(
                    libc::SYS_write,
                    &[fd, pointer, (bytes as usize).min(READ_SIZE)],
                );
            }
            Peer::Close => self.close(slot),
            Peer::Reset => {
                option(fd as isize, libc::SOL_SOCKET, libc::SO_LINGER, &[1, 0]);
                self.close(slot);
            }
            Peer::Shutdown(how) => {
                call(libc::SYS_shutdown, &[fd, how.into()]);
            }
        }
    }

    pub(super) fn blocking(&self, pair: u8, on: bool) {
        let fd = self.fd(slots::SOCKETS + pair) as usize;
        let flags = if on { 0 } else { libc::O_NONBLOCK as usize };
        call(libc::SYS_fcntl, &[fd, libc::F_SETFL as usize, flags]);
    }

    /// Makes what the names in the yard mean.
    pub(super) fn populate() {
        let at = libc::AT_FDCWD as usize;
        for path in [c"d0", c"d1"] {
            call(libc::SYS_mkdirat, &[at, path.as_ptr() as usize, 0o700]);
        }
        let flags = (libc::O_CREAT | libc::O_WRONLY) as usize;
        for path in [c"f0", c"f1", c"d0/f"] {
            let fd = call(
                libc::SYS_openat,
                &[at, path.as_ptr() as usize, flags, 0o666],
            );
            call(libc::SYS_write, &[fd as usize, address(c"some text"), 9]);
            close(fd);
        }
        call(
            libc::SYS_symlinkat,
            &[c"f0".as_ptr() as usize, at, c"link".as_ptr() as usize],
        );
    }

    pub(super) fn open(&self, slot: u8, kind: FileKind) {
        let open = |path: &std::ffi::CStr, flags: i32| {
            call(
                libc::SYS_openat,
                &[
                    libc::AT_FDCWD as usize,
                    path.as_ptr() as usize,
                    flags as usize,
                    0o600,
                ],
            )
        };
        let sized = |fd: isize, size: u32| {
            call(libc::SYS_ftruncate, &[fd as usize, size as usize]);
            let text = [b'x'; 4096];
            call(
                libc::SYS_pwrite64,
                &[
                    fd as usize,
                    address(&text),
                    text.len().min(size as usize),
                    0,
                ],
            );
            self.set_fd(slot, fd);
        };
        match kind {
            FileKind::Tmp(size) => sized(open(c"file", libc::O_RDWR | libc::O_CREAT), size),
            FileKind::Memory(size) => sized(
                call(libc::SYS_memfd_create, &[c"m".as_ptr() as usize, 0]),
                size,
            ),
            FileKind::Root(which) => {
                let path = ROOT_FILES[usize::from(which) % ROOT_FILES.len()];
                self.set_fd(slot, open(path, libc::O_RDONLY));
            }
            FileKind::Zero => self.set_fd(slot, open(c"/dev/zero", libc::O_RDWR)),
            FileKind::Epoll => self.set_fd(slot, call(libc::SYS_epoll_create1, &[0])),
            FileKind::Event => self.set_fd(slot, call(libc::SYS_eventfd2, &[1, 0])),
            FileKind::Timer => self.set_fd(slot, call(libc::SYS_timerfd_create, &[1, 0])),
            FileKind::UnixPair => self.unix_pair(slot, slot + 1),
            FileKind::Pipe => {
                let mut ends = [-1i32; 2];
                let pointer = ends.as_mut_ptr() as usize;
                call(libc::SYS_pipe2, &[pointer, libc::O_NONBLOCK as usize]);
                self.set_fd(slot, ends[0] as isize);
                self.set_fd(slot + 1, ends[1] as isize);
            }
        }
    }

    pub(super) fn close(&self, slot: u8) {
        close(self.fd(slot) as isize);
    }

    pub(super) fn dup(&self, from: u8, onto: u8) {
        let (from, number) = (self.fd(from) as usize, self.fd(onto));
        let new = if number < 0 {
            call(libc::SYS_dup, &[from])
        } else {
            call(libc::SYS_dup2, &[from, number as usize])
        };
        self.set_fd(onto, new);
    }

    pub(super) fn pass(&self, slot: u8, take: bool) {
        let mut ends = [-1i32; 2];
        let kind = libc::SOCK_STREAM as usize | NONBLOCK;
        let pointer = ends.as_mut_ptr() as usize;
        if call(
            libc::SYS_socketpair,
            &[libc::AF_UNIX as usize, kind, 0, pointer],
        ) < 0
        {
            return;
        }
        let byte = [0u8; 1];
        let iov = [address(&byte), 1usize];
        // A control message: length, level and type, one descriptor.
        let mut control = [
            20u64,
            libc::SOL_SOCKET as u64 | (libc::SCM_RIGHTS as u64) << 32,
            0,
        ];
        control[2] = u64::from(self.fd(slot) as u32);
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = address(&iov) as *mut libc::iovec;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = 24;
        call(libc::SYS_sendmsg, &[ends[0] as usize, address(&message), 0]);
        if take && call(libc::SYS_recvmsg, &[ends[1] as usize, address(&message), 0]) >= 0 {
            self.set_fd(
                slots::OTHERS + slots::OTHER_COUNT - 1,
                control[2] as u32 as i32 as isize,
            );
        }
        close(ends[0] as isize);
        close(ends[1] as isize);
    }

    pub(super) fn fdinfo(&self, slot: u8) {
        let mut path = [0u8; 64];
        let text = format!("/proc/thread-self/fdinfo/{}", self.fd(slot));
        path[..text.len()].copy_from_slice(text.as_bytes());
        let fd = call(
            libc::SYS_openat,
            &[libc::AT_FDCWD as usize, address(&path), 0],
        );
        if fd >= 0 {
            let buffer = self.yard + yard::BUFFERS as usize;
            call(libc::SYS_read, &[fd as usize, buffer, 4096]);
            close(fd);
        }
    }
}
