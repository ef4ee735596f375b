// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why a connection says nothing: whether the server has given it up, and could not even say so.

use std::fs;

use nix::libc;

/// A socket as `/proc/net/tcp` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    /// Number of its state, as of the kernel
    state: u8,
    /// Bytes that nobody has read
    unread: u64,
    /// 0 if no file refers to it
    inode: u64,
}

/// The state of a socket that connections come to.
const LISTENING: u8 = 10;

/// Whether the server has given up its end of a connection between these ports of 127.0.0.1, and for which reason. `tasks`
/// are the server's. An end without a descriptor is SAIO's perhaps, which then has to bring it to its end.
pub fn given_up(server: u16, client: u16, tasks: &[u32]) -> Option<&'static str> {
    let text = fs::read_to_string("/proc/net/tcp").ok()?;
    let socket = find(&text, server, client)?;
    if socket.inode == 0 {
        return (!accepts(server, tasks)).then_some("the server could not go on accepting");
    }
    let holders = holders(tasks, socket.inode);
    let is_forgotten = !holders.is_empty() && !is_watched_by(&holders) && socket.unread > 0;
    is_forgotten.then_some("the server could not ask for events")
}

/// Whether a server still waits for connections to its port: nginx asks for no more events after an `accept` for which there was no
/// memory (`ENFILE`), and never again if there is none when it wants to go on.
pub fn accepts(port: u16, tasks: &[u32]) -> bool {
    let text = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let listening = find(&text, port, 0).filter(|socket| socket.state == LISTENING);
    listening.is_some_and(|socket| is_watched_by(&holders(tasks, socket.inode)))
}

fn find(text: &str, local: u16, remote: u16) -> Option<Socket> {
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    text.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, here, there, state, queues, _, _, _, _, inode, ..] = words[..] else {
            return None;
        };
        (port(here)? == local && port(there)? == remote).then_some(())?;
        Some(Socket {
            state: u8::from_str_radix(state, 16).ok()?,
            unread: u64::from_str_radix(queues.split_once(':')?.1, 16).ok()?,
            inode: inode.parse().ok()?,
        })
    })
}

/// Tasks that have descriptors of a socket, with their numbers.
fn holders(tasks: &[u32], inode: u64) -> Vec<(u32, Vec<i32>)> {
    let all = tasks.iter().map(|task| (*task, descriptors(*task, inode)));
    all.filter(|(_, sockets)| !sockets.is_empty()).collect()
}

/// Numbers of a task's descriptors of a socket.
fn descriptors(task: u32, inode: u64) -> Vec<i32> {
    let target = format!("socket:[{inode}]");
    let files = fs::read_dir(format!("/proc/{task}/fd"));
    let files = files.into_iter().flatten().flatten();
    files
        .filter(|file| {
            fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == target.as_str())
        })
        .filter_map(|file| file.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether an epoll descriptor of one of them has the socket in its list.
fn is_watched_by(holders: &[(u32, Vec<i32>)]) -> bool {
    holders.iter().any(|(task, sockets)| {
        let infos = fs::read_dir(format!("/proc/{task}/fdinfo"));
        let infos = infos.into_iter().flatten().flatten();
        infos
            .filter_map(|info| fs::read_to_string(info.path()).ok())
            .any(|info| sockets.iter().any(|fd| is_watched(&info, *fd)))
    })
}

/// Whether the `fdinfo` of an epoll descriptor has a descriptor that waits for bytes or room, as proc(5) says.
fn is_watched(info: &str, fd: i32) -> bool {
    info.lines().any(|line| {
        let mut words = line.split_whitespace();
        let Some(("tfd:", number)) = words.next().zip(words.next()) else {
            return false;
        };
        let events = words
            .nth(1)
            .and_then(|events| u32::from_str_radix(events, 16).ok());
        let wanted = (libc::EPOLLIN | libc::EPOLLOUT) as u32;
        number.parse() == Ok(fd) && events.is_some_and(|events| events & wanted != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4EB5 00000000:0000 0A 00000000:00000000 00:00000000 00000000   103        0 1572 1 x
   1: 0100007F:4EB5 0100007F:A23A 01 0000000A:00000033 02:00004646 00000000   103        0 612 2 x
   2: 0100007F:A23A 0100007F:4EB5 04 00000000:00000000 00:00000000 00000000     0        0 0 1 x";

    #[test]
    fn sockets_are_found_by_their_ports() {
        let socket = |state, unread, inode| {
            Some(Socket {
                state,
                unread,
                inode,
            })
        };
        assert_eq!(find(TCP, 0x4eb5, 0xa23a), socket(1, 0x33, 612));
        assert_eq!(find(TCP, 0xa23a, 0x4eb5), socket(4, 0, 0));
        assert_eq!(find(TCP, 0x4eb5, 0), socket(LISTENING, 0, 1572));
        assert_eq!(find(TCP, 1, 2), None);
    }

    #[test]
    fn lists_of_epoll_are_read() {
        let info = "pos:\t0\nino:\t15\ntfd:        3 events:       19 data:  3\ntfd:  6 events: 8 data: 6\n";
        assert!(is_watched(info, 3));
        assert!(!is_watched(info, 6), "only errors");
        assert!(!is_watched(info, 9));
    }

    #[test]
    fn a_connection_that_nobody_watches_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let ports = (
            listener.local_addr().unwrap().port(),
            client.local_addr().unwrap().port(),
        );
        let port = ports.0;
        let tasks = [std::process::id()];
        assert!(!accepts(port, &tasks));
        let why = || given_up(ports.0, ports.1, &[std::process::id()]);
        assert_eq!(why(), None, "it has read all");
        client.write_all(b"x").unwrap();
        assert_eq!(why(), Some("the server could not ask for events"));
        let epoll =
            nix::sys::epoll::Epoll::new(nix::sys::epoll::EpollCreateFlags::empty()).unwrap();
        let event = nix::sys::epoll::EpollEvent::new(nix::sys::epoll::EpollFlags::EPOLLIN, 0);
        epoll.add(&server, event).unwrap();
        epoll.add(&listener, event).unwrap();
        assert!(accepts(port, &tasks));
        assert_eq!(why(), None);
    }
}
