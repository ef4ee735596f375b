// SPDX-License-Identifier: MIT OR Apache-2.0

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libc::epoll_event;
use saio::preload::rules::Calls;
use saio::sys::{SAIO_FLOW_FAILED, SAIO_FLOW_STALE};

use super::*;
use crate::early::option_made;
use crate::fds::State;
use crate::fixture::Fixture;
use crate::stats::{Flush, Why};
use crate::{hooks_fd, hooks_proc, hooks_wait};

const LEVEL: u32 = libc::EPOLLIN as u32;
const ASKED: usize = 100;
/// What a read that is answered returns.
const AGAIN: isize = -1;

/// An `epoll_ctl` that succeeds.
fn done(epfd: c_int, op: c_int, fd: c_int, events: u32) {
    assert_eq!(watch(epfd, op, fd, events, || 0), 0);
}

/// A thread with a flow that is looked at.
struct Thread {
    f: Fixture,
    flow: FlowRef,
    fd: c_int,
    /// Its epoll set.
    set: c_int,
}

impl Thread {
    /// Each test uses descriptors of its own, which are not open: they run in parallel on one table.
    fn new(base: c_int) -> Self {
        let mut f = Fixture::new(base, false);
        let flow = f.flow(0);
        f.engine.id = tls::next_turn();
        let (fd, set) = (f.fd(0), f.fd(1));
        fds::set(fd, State::flow(f.engine.id, flow));
        fds::waits(set, f.engine.id, true);
        tls::set_engine(&raw mut *f.engine);
        done(set, libc::EPOLL_CTL_ADD, fd, LEVEL);
        Self { f, flow, fd, set }
    }

    /// A read for which the kernel has `got`.
    fn read(&self, got: isize) -> isize {
        read(self.fd, ASKED, || got)
    }

    /// A request is read, and its answer queued.
    fn serve(&mut self) {
        assert_eq!(self.read(10), 10);
        self.f.send(self.flow, 10);
    }

    fn answered(&self) -> u64 {
        self.f.engine.counters.full[Call::Read as usize].load(Ordering::Relaxed)
    }

    /// Whether the flow is looked at.
    fn level(&self) -> bool {
        fds::get(self.fd).level()
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        tls::set_engine(ptr::null_mut());
    }
}

#[test]
fn one_read_behind_a_short_one_and_its_answer() {
    let mut t = Thread::new(7000);
    for turn in 1..4 {
        t.serve();
        errno::set(0);
        assert_eq!(t.read(20), AGAIN);
        assert_eq!(errno::get(), libc::EAGAIN);
        // Whoever waits for nothing gets what there is.
        assert_eq!(t.read(100), 100);
        assert_eq!(t.answered(), turn);
        t.f.engine.sync(Flush::Wait);
        tls::next_turn();
    }
    assert!(t.level());
}

#[test]
fn all_others_are_made() {
    let mut t = Thread::new(7010);
    assert_eq!(t.read(100), 100);
    t.f.send(t.flow, 10);
    assert_eq!(t.read(100), 100, "behind one that was not short");
    assert_eq!(t.read(AGAIN), AGAIN);
    assert_eq!(t.read(100), 100, "behind one that got nothing");
    assert_eq!(t.read(10), 10);
    assert_eq!(read(t.fd, 0, || 0), 0, "for nothing");
    t.f.engine.sync(Flush::Wait);
    assert_eq!(t.read(100), 100, "the answer has left");
    t.serve();
    // As before `poll`, or as the batch is long or old.
    t.f.engine.sync(Flush::Poll);
    assert_eq!(t.read(100), 100, "the answer has left");
    assert_eq!(t.read(10), 10);
    assert_eq!(t.read(100), 100, "there is no answer");
    assert_eq!(t.answered(), 0);
    assert!(t.level());
}

#[test]
fn who_waits_without_a_second_read_is_looked_at_no_more() {
    let mut t = Thread::new(7020);
    t.serve();
    t.f.engine.sync(Flush::Wait);
    tls::next_turn();
    assert!(t.level());
    t.serve();
    assert!(!t.level());
    done(t.set, libc::EPOLL_CTL_MOD, t.fd, LEVEL);
    assert!(!t.level());
}

#[test]
fn flow_that_is_over_or_barred() {
    let mut t = Thread::new(7030);
    for bits in [SAIO_FLOW_FAILED, SAIO_FLOW_STALE] {
        t.serve();
        t.f.say(0, bits);
        assert_eq!(t.read(0), 0);
        t.f.say(0, 0);
    }
    t.f.engine.barred = Calls::of(Call::Read);
    t.serve();
    assert_eq!(t.read(20), 20);
    assert_eq!(t.answered(), 0);
}

#[test]
fn flow_of_another_thread_is_left_to_it() {
    let mut t = Thread::new(7040);
    t.serve();
    let other = State::flow(t.f.engine.id + 1, t.flow).with_level();
    fds::set(t.fd, other);
    assert_eq!(t.read(20), 20);
}

/// What was in the slot before does not count, nor does what the number was.
#[test]
fn nothing_is_inherited() {
    let mut t = Thread::new(7050);
    t.serve();
    let (fd, next) = (t.fd, t.f.flow(0));
    assert!(t.level(), "the same connection");
    t.f.send(next, 10);
    assert_eq!(t.read(20), 20);
    // SAFETY: takes any number.
    unsafe { hooks_fd::close(fd) };
    t.f.engine.sync(Flush::Wait);
    assert_eq!(fds::get(fd), State::UNTRACKED);
    fds::set(fd, State::candidate(true, 0));
    assert!(!t.level());
}

#[test]
fn what_speaks_against_it() {
    let mut t = Thread::new(7060);
    let id = t.f.engine.id;
    let (fd, set) = (t.fd, t.set);
    let strange = t.f.fd(2);
    fds::set(strange, State::epoll(id + 1).with_level());
    let awake = t.f.fd(3);
    fds::waits(awake, id, false);
    let fresh = |t: &mut Thread| {
        fds::set(fd, State::candidate(true, 0));
        done(set, libc::EPOLL_CTL_ADD, fd, LEVEL);
        assert!(t.level());
    };
    // Not put where its thread sleeps.
    for other in [strange, awake, t.f.fd(4)] {
        fds::set(fd, State::candidate(true, 0));
        done(other, libc::EPOLL_CTL_ADD, fd, LEVEL);
        assert!(!t.level());
    }
    let against: [(&str, &dyn Fn()); 10] = [
        ("edge", &|| {
            done(set, libc::EPOLL_CTL_MOD, fd, LEVEL | libc::EPOLLET as u32)
        }),
        ("elsewhere", &|| {
            done(
                strange,
                libc::EPOLL_CTL_ADD,
                fd,
                LEVEL | libc::EPOLLET as u32,
            )
        }),
        ("once", &|| {
            done(
                set,
                libc::EPOLL_CTL_MOD,
                fd,
                LEVEL | libc::EPOLLONESHOT as u32,
            )
        }),
        ("one", &|| {
            done(
                set,
                libc::EPOLL_CTL_ADD,
                fd,
                LEVEL | libc::EPOLLEXCLUSIVE as u32,
            )
        }),
        ("none", &|| done(set, libc::EPOLL_CTL_DEL, fd, 0)),
        ("mark", &|| {
            option_made(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT)
        }),
        ("inline", &|| {
            option_made(fd, libc::SOL_SOCKET, libc::SO_OOBINLINE)
        }),
        ("tls", &|| option_made(fd, libc::IPPROTO_TCP, libc::TCP_ULP)),
        ("size", &|| {
            // SAFETY: nothing is open by this number.
            assert_eq!(unsafe { hooks_fd::ioctl(fd, libc::FIONREAD, 0) }, -1);
        }),
        ("unseen", &|| {
            let (nr, op) = (libc::SYS_epoll_ctl, libc::EPOLL_CTL_MOD as usize);
            // SAFETY: nothing is open by these numbers.
            let ret = unsafe { hooks_proc::syscall(nr, set as usize, op, fd as usize, 0, 0, 0) };
            assert_eq!(ret, -1);
        }),
    ];
    for (what, something) in against {
        fresh(&mut t);
        something();
        assert!(!t.level(), "{what}");
        done(set, libc::EPOLL_CTL_MOD, fd, LEVEL);
        assert!(!t.level(), "{what}");
    }
    fresh(&mut t);
    option_made(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE);
    assert!(t.level());
    // Becomes a flow, is made blocking, is duplicated.
    t.f.flow(0);
    assert!(t.level());
    t.f.engine.leave(fd, t.flow, Flush::Pass, Why::Shared);
    assert!(!t.level());
}

/// What peers may do behind a short read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behind {
    Bytes,
    End,
    Reset,
    /// A read stops before it, as if there were nothing behind.
    Urgent,
}

/// With real sockets and a real set: what the answer has hidden is reported by the next wait.
#[test]
fn what_lies_behind_is_reported_again() {
    for (i, behind) in [Behind::Bytes, Behind::End, Behind::Reset, Behind::Urgent]
        .into_iter()
        .enumerate()
    {
        // SAFETY: makes a descriptor.
        let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let mut t = Thread::new(7070 + i as c_int);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let fd = server.as_raw_fd();
        fds::set(fd, State::flow(t.f.engine.id, t.flow));
        t.fd = fd;

        let mut event = epoll_event {
            events: LEVEL,
            u64: 0,
        };
        let mut wait = |timeout| {
            // SAFETY: room for one event.
            let n = unsafe { hooks_wait::epoll_wait(set, &mut event, 1, timeout) };
            (n == 1).then_some(event.events as c_int)
        };
        assert_eq!(wait(1), None);
        // SAFETY: an event.
        unsafe {
            let mut event = epoll_event {
                events: LEVEL,
                u64: 0,
            };
            hooks_wait::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, &mut event);
        }
        assert!(t.level());

        peer.write_all(b"request").unwrap();
        if behind == Behind::Urgent {
            // SAFETY: a byte.
            unsafe { libc::send(peer.as_raw_fd(), b"!x".as_ptr().cast(), 1, libc::MSG_OOB) };
            peer.write_all(b"next").unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
        assert!(wait(5000).is_some());
        let mut buffer = [0u8; ASKED];
        // SAFETY: a buffer of that length.
        let mut next = || unsafe { hooks_fd::read(fd, buffer.as_mut_ptr().cast(), ASKED) };
        assert_eq!(next(), 7);
        t.f.engine.send(fd, t.flow, 10, false, |_| ());
        let mut peer = Some(peer);
        match behind {
            Behind::Bytes => peer.as_mut().unwrap().write_all(b"next").unwrap(),
            Behind::End => peer
                .as_ref()
                .unwrap()
                .shutdown(std::net::Shutdown::Write)
                .unwrap(),
            Behind::Reset => {
                // Closed with bytes that it has not read.
                (&server).write_all(b"x").unwrap();
                std::thread::sleep(Duration::from_millis(20));
                drop(peer.take());
            }
            Behind::Urgent => {}
        }
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(next(), AGAIN, "{behind:?}");
        assert_eq!(t.answered(), 1, "{behind:?}");
        t.f.engine.sync(Flush::Wait);
        let events = wait(5000).expect("an event");
        assert_ne!(events & libc::EPOLLIN, 0, "{behind:?}");
        let read = next();
        match behind {
            Behind::Bytes | Behind::Urgent => assert_eq!(read, 4, "{behind:?}"),
            Behind::End => assert_eq!(read, 0),
            Behind::Reset => {
                assert_eq!((read, errno::get()), (-1, libc::ECONNRESET));
            }
        }
        fds::forget(fd);
        fds::forget(set);
        // SAFETY: ours.
        unsafe { libc::close(set) };
    }
}

/// Whoever has got the descriptor while the call was made keeps what he has noted of it.
#[test]
fn notes_of_others_stay() {
    let t = Thread::new(7090);
    let (fd, set) = (t.fd, t.set);
    let others = [
        State::flow(t.f.engine.id + 1, t.flow),
        State::candidate(true, 3),
        State::FILE,
        State::UNTRACKED,
    ];
    for other in others {
        for events in [LEVEL, LEVEL | libc::EPOLLONESHOT as u32] {
            fds::set(fd, State::candidate(true, 0));
            let ctl = || {
                fds::set(fd, other);
                0
            };
            assert_eq!(watch(set, libc::EPOLL_CTL_MOD, fd, events, ctl), 0);
            assert_eq!(fds::get(fd), other);
        }
    }
    fds::set(fd, State::candidate(true, 0));
    assert_eq!(watch(set, libc::EPOLL_CTL_MOD, fd, LEVEL, || -1), -1);
    assert!(!t.level(), "it was not done");
}

#[test]
fn event_of_a_removal_is_not_looked_at() {
    let t = Thread::new(7100);
    // SAFETY: nothing is open by these numbers, and the kernel does not look at the event.
    let ret = unsafe {
        hooks_wait::epoll_ctl(
            t.set,
            libc::EPOLL_CTL_DEL,
            t.fd,
            ptr::without_provenance_mut(8),
        )
    };
    assert_eq!((ret, errno::get()), (-1, libc::EBADF));
}
