// SPDX-License-Identifier: MIT OR Apache-2.0

//! The queue on a kernel with SAIO. On another one nothing is tested but that it says so.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use saio::flow::Health;
use saio::pool::Name;
use saio::queue::{Call, Entry, Fd, Flow, FlowOption, Mode, Options, Output, Queue};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// A queue, unless this kernel has no SAIO.
fn queue() -> Option<Queue> {
    match Queue::new(&Options::default()) {
        Ok(queue) => Some(queue),
        Err(error) => {
            assert_eq!(error.raw_os_error(), Some(libc::ENOSYS), "{error}");
            println!("skipped: no SAIO in this kernel");
            None
        }
    }
}

/// The same, attached to the default pool.
fn pooled() -> Option<Queue> {
    let mut queue = queue()?;
    match queue.attach(&Name::default_pool(), Mode::Pool) {
        Ok(()) => Some(queue),
        Err(error) => {
            println!("skipped: no pool: {error}");
            None
        }
    }
}

/// A connection: a non-blocking end, and the peer's.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let (near, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    (near, peer)
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

/// Completions until so many have come, as tag and result.
fn done(queue: &mut Queue, n: usize) -> Vec<(u64, Result<usize, i32>)> {
    let mut all = Vec::new();
    for _ in 0..100 {
        for done in queue.completions() {
            let result = done.result.map_err(|error| error.raw_os_error().unwrap());
            all.push((done.tag, result));
        }
        if all.len() >= n {
            break;
        }
        // What is there already ends it at once.
        let _ = queue.submit_and_wait(1, SECOND);
    }
    all
}

#[test]
fn file_is_read_in_one_crossing() {
    let Some(mut queue) = queue() else { return };
    let path = CString::new("/proc/self/comm").unwrap();
    let open = Call::open(Fd::current_dir(), path, libc::O_RDONLY, 0);
    queue.push(open, Entry::new(1).link()).unwrap();
    let read = Call::read(Fd::result(1), Vec::with_capacity(64));
    queue.push(read, Entry::new(2).hard_link()).unwrap();
    queue.push(Call::close_result(2), 3).unwrap();
    assert_eq!(queue.submit().unwrap(), 3);
    let done: Vec<_> = queue.completions().collect();
    assert_eq!(done.len(), 3);
    assert!(matches!(&done[1].output, Output::Bytes(bytes) if bytes.ends_with(b"\n")));
    assert!(done[2].result.is_ok());
}

#[test]
fn waits_end() {
    let Some(mut queue) = queue() else { return };
    let ended = errno(queue.submit_and_wait(1, Some(Duration::from_millis(1))));
    assert!([libc::EDEADLK, libc::ETIME].contains(&ended), "{ended}");
    // SAFETY: no memory is involved. (A sleep of a millisecond, by poll.)
    let sleep = unsafe { Call::raw(libc::SYS_poll as u16, [0, 0, 1, 0, 0, 0]) };
    queue.push(sleep, 7).unwrap();
    queue.submit().unwrap();
    assert_eq!(done(&mut queue, 1), [(7, Ok(0))]);
    // Not allowed in a batch.
    // SAFETY: it is refused.
    let fork = unsafe { Call::raw(libc::SYS_fork as u16, [0; 6]) };
    queue.push(fork, 8).unwrap();
    queue.submit().unwrap();
    assert_eq!(done(&mut queue, 1), [(8, Err(libc::EOPNOTSUPP))]);
}

#[test]
fn flow_sends_inline() {
    if let Some(queue) = queue() {
        flow_sends(queue);
    }
}

#[test]
fn flow_sends_by_the_pool() {
    if let Some(queue) = pooled() {
        flow_sends(queue);
    }
}

fn flow_sends(mut queue: Queue) {
    let (near, mut peer) = connection();
    let flow = queue.register(&near).unwrap();
    assert_eq!(errno(queue.register(&near)), libc::EEXIST);
    let path =
        std::env::temp_dir().join(format!("saio-live-{}-{}", std::process::id(), flow.raw()));
    File::create(&path).unwrap().write_all(b"-file-").unwrap();
    let file = Rc::new(File::open(&path).unwrap());
    std::fs::remove_file(&path).unwrap();

    let cork = |on| FlowOption::Cork(on);
    queue
        .set_option(flow, cork(true), Entry::new(1).quiet())
        .unwrap();
    assert_eq!(queue.send(flow, b"one ", 2).unwrap(), 4);
    let two = [IoSlice::new(b"t"), IoSlice::new(b"wo ")];
    queue
        .send_vectored(flow, &two, Entry::new(3).quiet())
        .unwrap();
    queue.send_file(flow, &file, 1, 4, 4).unwrap();
    queue.set_option(flow, cork(false), 5).unwrap();
    queue.shutdown(flow, Shutdown::Write, 6).unwrap();
    queue.submit().unwrap();
    let seen = done(&mut queue, 4);
    assert_eq!(seen, [(2, Ok(4)), (4, Ok(4)), (5, Ok(0)), (6, Ok(0))]);
    let mut got = String::new();
    peer.read_to_string(&mut got).unwrap();
    assert_eq!(got, "one two file");

    drop(near);
    assert_eq!(queue.health(flow), Health::Gone);
    assert_eq!(errno(queue.send(flow, b"x", 7)), libc::EBADF);
}

#[test]
fn slow_peer_gets_all_inline() {
    if let Some(queue) = queue() {
        slow_peer(queue);
    }
}

#[test]
fn slow_peer_gets_all_by_the_pool() {
    if let Some(queue) = pooled() {
        slow_peer(queue);
    }
}

/// Sends until the flow is full; returns what was accepted.
fn fill(queue: &mut Queue, flow: Flow) -> Vec<u8> {
    let mut accepted = Vec::new();
    for i in 0..10_000usize {
        let bytes: Vec<u8> = (0..20_000).map(|j| (i * 31 + j) as u8).collect();
        match queue.send(flow, &bytes, Entry::new(1).quiet()) {
            Ok(n) => accepted.extend_from_slice(&bytes[..n]),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                queue.submit().unwrap();
                assert_eq!(done(queue, 0), []);
                // The pool may not have got so far.
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
                return accepted;
            }
        }
    }
    panic!("the peer takes everything");
}

fn slow_peer(mut queue: Queue) {
    let (near, mut peer) = connection();
    let flow = queue.register(&near).unwrap();
    let mut accepted = fill(&mut queue, flow);
    assert_eq!(queue.health(flow), Health::Full);
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        got
    });
    // Until it is said to be writable again.
    let mut poll = libc::pollfd {
        fd: std::os::fd::AsRawFd::as_raw_fd(&near),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one structure of ours.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, 60_000) }, 1);
    assert_eq!(queue.health(flow), Health::Usable);
    // What has left gives its room back.
    assert_eq!(done(&mut queue, 0), []);
    queue.send(flow, b"the end", Entry::new(2).quiet()).unwrap();
    accepted.extend_from_slice(b"the end");
    // Neither the close nor the end of the queue loses anything, submitted or not.
    drop(near);
    drop(queue);
    assert!(reader.join().unwrap() == accepted);
}

#[test]
fn connection_that_fails_says_so() {
    let Some(mut queue) = queue() else { return };
    let (near, peer) = connection();
    let flow = queue.register(&near).unwrap();
    (&near).write_all(b"unread").unwrap();
    // Unread bytes make a reset of the close.
    drop(peer);
    queue.send(flow, b"lost", 1).unwrap();
    queue.send(flow, b"lost too", 2).unwrap();
    queue.submit().unwrap();
    let seen = done(&mut queue, 2);
    assert!(seen.iter().all(|(_, result)| result.is_err()), "{seen:?}");
    assert_eq!(queue.health(flow), Health::Failed);
    assert_eq!(errno(queue.send(flow, b"x", 3)), libc::ECONNABORTED);
}

#[test]
fn wait_is_the_last_entry() {
    let Some(mut queue) = queue() else { return };
    let (near, mut peer) = connection();
    let flow = queue.register(&near).unwrap();
    // SAFETY: a new descriptor.
    let epoll = Rc::new(unsafe {
        let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        assert!(fd >= 0);
        <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd)
    });
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 5,
    };
    let fds = [
        std::os::fd::AsRawFd::as_raw_fd(&*epoll),
        std::os::fd::AsRawFd::as_raw_fd(&near),
    ];
    // SAFETY: an event of ours.
    let added = unsafe { libc::epoll_ctl(fds[0], libc::EPOLL_CTL_ADD, fds[1], &mut event) };
    assert_eq!(added, 0);
    let echo = thread::spawn(move || {
        let mut got = [0; 4];
        peer.read_exact(&mut got).unwrap();
        peer.write_all(&got).unwrap();
        peer
    });
    // The answer to what is sent ends the wait of the same batch.
    queue.send(flow, b"ping", Entry::new(1).quiet()).unwrap();
    let wait = Call::epoll_wait(&epoll, Vec::with_capacity(8), Some(Duration::from_secs(60)));
    queue.push(wait, 2).unwrap();
    assert_eq!(queue.submit().unwrap(), 2);
    let done = queue.next_completion().unwrap();
    assert_eq!((done.tag, done.result.unwrap()), (2, 1));
    assert!(matches!(done.output, Output::Events(events) if { events[0].u64 } == 5));
    drop(echo.join());
}
