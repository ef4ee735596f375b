// SPDX-License-Identifier: MIT OR Apache-2.0

use std::ptr;
use std::sync::atomic::Ordering;

use saio::flow::FlowRef;

use super::*;

use crate::fixture::{what, Fixture};
use crate::stats::Flush;
use crate::tls;

/// A thread with a flow, and its counters of one kind of call.
struct Thread {
    f: Fixture,
    fd: c_int,
    call: Call,
}

impl Thread {
    /// Each test uses descriptors of its own, which are not open: they run in parallel on one table.
    fn new(base: c_int, call: Call) -> (Self, FlowRef) {
        let mut f = Fixture::new(base, false);
        let flow = f.flow(0);
        let fd = f.fd(0);
        tls::set_engine(&raw mut *f.engine);
        (Self { f, fd, call }, flow)
    }

    fn deferred(&self) -> u64 {
        self.f.engine.counters.deferred[self.call as usize].load(Ordering::Relaxed)
    }

    fn passed(&self, why: Why) -> u64 {
        self.f.engine.counters.passed[self.call as usize][why as usize].load(Ordering::Relaxed)
    }

    /// What has run since the last time.
    fn ran(&self) -> Vec<&'static str> {
        self.f.kernel.ran().iter().map(what).collect()
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        tls::set_engine(ptr::null_mut());
    }
}

fn buffer(bytes: &[u8]) -> iovec {
    iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

fn message(buffers: &[iovec]) -> msghdr {
    // SAFETY: all zeros are a message of nothing.
    let mut message: msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = buffers.as_ptr().cast_mut();
    message.msg_iovlen = buffers.len();
    message
}

/// What the hook returns for good memory.
fn send_message(fd: c_int, message: &msghdr, flags: c_int) -> isize {
    // SAFETY: a message whose buffers are there.
    unsafe { sendmsg(fd, message, flags) }
}

#[test]
fn buffers_of_a_message_are_copied() {
    let (mut t, flow) = Thread::new(6100, Call::Sendmsg);
    let mut head = *b"VALUE k 0 3\r\n";
    let buffers = [buffer(&head), buffer(b""), buffer(b"abc\r\nEND\r\n")];
    assert_eq!(send_message(t.fd, &message(&buffers), 0), 23);
    // Servers use their buffers again before the next wait.
    head.fill(b'x');
    assert_eq!(
        send_message(t.fd, &message(&buffers[2..]), libc::MSG_MORE),
        10
    );
    assert_eq!(t.ran(), [""; 0]);
    t.f.engine.sync(Flush::Pass);
    assert_eq!(t.ran(), ["send", "send more"]);
    assert_eq!(
        t.f.kernel.sent(flow.index()),
        b"VALUE k 0 3\r\nabc\r\nEND\r\nabc\r\nEND\r\n"
    );
    assert_eq!(t.deferred(), 2);
}

#[test]
fn address_or_control_data_without_a_length_is_none() {
    let (t, _) = Thread::new(6110, Call::Sendmsg);
    let buffers = [buffer(b"abc")];
    let mut place = [0u64; 4];
    let mut message = message(&buffers);
    message.msg_name = place.as_mut_ptr().cast();
    message.msg_control = place.as_mut_ptr().cast();
    // The kernel does not read it.
    message.msg_flags = libc::MSG_OOB;
    assert_eq!(send_message(t.fd, &message, libc::MSG_NOSIGNAL), 3);
    message.msg_name = ptr::null_mut();
    message.msg_namelen = 16;
    assert_eq!(send_message(t.fd, &message, libc::MSG_DONTWAIT), 3);
    assert_eq!(t.deferred(), 2);
}

#[test]
fn other_messages_come_behind_what_is_queued() {
    let (t, _) = Thread::new(6120, Call::Sendmsg);
    let buffers = [buffer(b"abc")];
    let big = vec![0; MAX_SEND + 1];
    let many = [buffer(b"a"); MAX_BUFFERS + 1];
    let mut place = [0u64; 4];
    let plain = message(&buffers);
    let mut addressed = plain;
    addressed.msg_name = place.as_mut_ptr().cast();
    addressed.msg_namelen = 16;
    let mut controlled = plain;
    controlled.msg_control = place.as_mut_ptr().cast();
    controlled.msg_controllen = 16;
    let mut bad_control = plain;
    bad_control.msg_controllen = 16;
    for (message, flags, why) in [
        (addressed, 0, Why::Address),
        (controlled, 0, Why::Control),
        (bad_control, 0, Why::Control),
        (plain, libc::MSG_OOB, Why::Flags),
        (message(&[]), 0, Why::Size),
        (message(&[buffer(b""); 2]), 0, Why::Size),
        (message(&[buffer(&big)]), 0, Why::Size),
        (message(&many), 0, Why::Buffers),
    ] {
        let before = t.passed(why);
        assert_eq!(send_message(t.fd, &plain, 0), 3);
        errno::set(0);
        // The kernel is asked, which knows no such descriptor.
        assert_eq!(send_message(t.fd, &message, flags), -1);
        assert_eq!(errno::get(), libc::EBADF);
        assert_eq!(t.passed(why), before + 1, "{why:?}");
        assert_eq!(t.ran(), ["send"], "{why:?}");
    }
    // Its own way, as there is nothing to look at.
    assert_eq!(send_message(t.fd, &plain, 0), 3);
    // SAFETY: null is what the kernel refuses.
    assert_eq!(unsafe { sendmsg(t.fd, ptr::null(), 0) }, -1);
    assert_eq!(t.ran(), ["send"]);
}

/// What a message points to is not looked at for descriptors that are no connections.
#[test]
fn bad_messages_elsewhere_are_for_the_kernel() {
    let mut bad = message(&[]);
    bad.msg_iov = ptr::without_provenance_mut(8);
    bad.msg_iovlen = 1;
    let mut pair = [0; 2];
    // SAFETY: room for two descriptors.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) };
    assert_eq!(made, 0);
    // SAFETY: for the kernel a bad pointer is an error.
    assert_eq!(unsafe { sendmsg(pair[0], &bad, 0) }, -1);
    assert_eq!(errno::get(), libc::EFAULT);
    for fd in pair {
        // SAFETY: ours.
        unsafe { libc::close(fd) };
    }
}

#[test]
fn arrays_of_messages_are_never_queued() {
    let (t, _) = Thread::new(6130, Call::Sendmsg);
    let buffers = [buffer(b"abc")];
    let plain = message(&buffers);
    assert_eq!(send_message(t.fd, &plain, 0), 3);
    let mut messages = [mmsghdr {
        msg_hdr: plain,
        msg_len: 0,
    }];
    // SAFETY: one message, whose buffers are there.
    let sent = unsafe { sendmmsg(t.fd, messages.as_mut_ptr(), 1, 0) };
    assert_eq!((sent, errno::get()), (-1, libc::EBADF));
    assert_eq!(t.ran(), ["send"]);
    assert_eq!(t.deferred(), 1);
}

#[test]
fn buffers_of_an_array_are_copied() {
    let (mut t, flow) = Thread::new(6140, Call::Writev);
    let buffers = [buffer(b"ab"), buffer(b"c")];
    // SAFETY: two buffers, then as many as there surely are not.
    let answers = unsafe {
        [
            writev(t.fd, buffers.as_ptr(), 2),
            writev(t.fd, buffers.as_ptr(), -1),
        ]
    };
    assert_eq!(answers, [3, -1]);
    assert_eq!((t.deferred(), t.passed(Why::Buffers)), (1, 1));
    t.f.engine.sync(Flush::Pass);
    assert_eq!(t.f.kernel.sent(flow.index()), b"abc");
}

/// Nobody else has it, so that its close can be queued.
#[test]
fn connection_that_the_program_makes_goes_straight_through() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(std::net::Ipv4Addr::LOCALHOST).to_be(),
        },
        sin_zero: [0; 8],
    };
    for (flags, state) in [
        (libc::SOCK_NONBLOCK, State::through(Why::Other)),
        (0, State::UNTRACKED),
    ] {
        // SAFETY: an address of that length.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | flags, 0);
            fds::forget(fd);
            connect(
                fd,
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            );
            fd
        };
        assert_eq!(fds::get(fd), state);
        fds::forget(fd);
        // SAFETY: ours.
        unsafe { libc::close(fd) };
    }
}
