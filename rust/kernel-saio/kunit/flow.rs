// SPDX-License-Identifier: GPL-2.0

//! Flows: registering sockets, the limits of that, and that nothing is left.

use super::{
    mem,
    ring::{assert_last, ring},
    user,
};
use crate::{
    errno,
    kunit::{assert, assert_eq},
    ring::Ring,
};
use core::sync::atomic::Ordering;
use kernel::{
    bindings::{self, saio_params},
    prelude::*,
    sync::Arc,
};

suite!("saio_flow", self::{
    only_a_connection_becomes_a_flow,
    a_socket_has_one_flow,
    a_full_table_refuses,
    references_grow_old,
    a_closed_descriptor_frees_the_slot,
    the_end_of_a_ring_frees_its_flows,
});

const STREAM: u32 = bindings::sock_type_SOCK_STREAM;
const NONBLOCK: u32 = bindings::SOCK_NONBLOCK;

/// A socket; see `saio_test_socket()`.
fn socket(kind: u32, connected: bool) -> u32 {
    // SAFETY: This is a test.
    let fd = unsafe { bindings::saio_test_socket(kind as _, connected) };
    assert!(fd >= 0, "error {fd}");
    fd as u32
}

/// What can become a flow.
fn connection() -> u32 {
    socket(STREAM | NONBLOCK, true)
}

fn ring_for(flows: u32) -> Arc<Ring> {
    ring(saio_params {
        flows,
        ..mem::smallest()
    })
}

fn register(ring: &Arc<Ring>, fd: u32) -> Result<u32> {
    Ring::register(ring.as_arc_borrow(), fd)
}

/// Whether the socket has a flow, once what is closed later has been closed.
fn has_flow(fd: u32) -> bool {
    user::settle();
    // SAFETY: `fd` is a socket.
    unsafe { bindings::saio_test_has_flow(fd) }
}

fn only_a_connection_becomes_a_flow() {
    let ring = ring_for(1);
    let blocking = socket(STREAM, true);
    let unconnected = socket(STREAM | NONBLOCK, false);
    let datagram = socket(bindings::sock_type_SOCK_DGRAM | NONBLOCK, false);
    let event = user::call(bindings::__NR_eventfd2, &[]) as u32;
    for (fd, err) in [
        (u32::MAX, EBADF),
        (event, errno_of(bindings::ENOTSOCK)),
        (datagram, errno::eopnotsupp()),
        (unconnected, errno_of(bindings::ENOTCONN)),
        (blocking, EAGAIN),
    ] {
        assert_eq!(register(&ring, fd), Err(err), "descriptor {fd}");
    }
    assert!(!has_flow(blocking) && !has_flow(unconnected));
    // None of them has kept the only slot.
    let fd = connection();
    assert_eq!(register(&ring, fd), Ok(1 << 16));
    assert!(has_flow(fd));
    for fd in [fd, blocking, unconnected, datagram, event] {
        user::close(fd);
    }
    assert_last(ring);
}

fn errno_of(code: u32) -> Error {
    Error::from_errno(-(code as i32))
}

fn a_socket_has_one_flow() {
    let (ring, other) = (ring_for(2), ring_for(1));
    let fd = connection();
    assert!(register(&ring, fd).is_ok());
    assert_eq!(register(&ring, fd), Err(EEXIST));
    assert_eq!(register(&other, fd), Err(EEXIST));
    user::close(fd);
    assert_last(ring);
    assert_last(other);
}

fn a_full_table_refuses() {
    let ring = ring_for(2);
    let fds = [connection(), connection(), connection()];
    let first = must!(register(&ring, fds[0]));
    assert!(register(&ring, fds[1]).is_ok());
    assert_eq!(register(&ring, fds[2]), Err(ENOSPC));
    assert!(!has_flow(fds[2]));
    assert_eq!(ring.info().flows, 2);
    assert_eq!(ring.unregister(first), Ok(()));
    assert!(!has_flow(fds[0]));
    assert_eq!(ring.info().flows, 1);
    assert!(register(&ring, fds[2]).is_ok());
    assert_eq!(register(&ring, fds[0]), Err(ENOSPC));
    for fd in fds {
        user::close(fd);
    }
    assert_eq!(ring.info().flows, 0);
    assert_last(ring);
}

fn references_grow_old() {
    let ring = ring_for(1);
    let fd = connection();
    let status = || ring.mem.status(0).load(Ordering::Relaxed);
    for generation in 1..4 {
        let flow = must!(register(&ring, fd));
        assert_eq!(flow, generation << 16);
        assert_eq!(status(), generation << 16 | bindings::SAIO_FLOW_USED);
        assert!(ring.flow(flow).is_some());
        // Another slot, another generation.
        for wrong in [flow + 1, flow + (1 << 16), flow - (1 << 16), 0, u32::MAX] {
            assert!(ring.flow(wrong).is_none(), "{wrong:#x}");
            assert!(ring.begin(wrong).is_none(), "{wrong:#x}");
        }
        assert_eq!(ring.unregister(flow), Ok(()));
        assert_eq!(status(), (generation + 1) << 16);
        assert!(ring.flow(flow).is_none());
        assert_eq!(ring.unregister(flow), Err(EBADF));
        assert!(!has_flow(fd));
    }
    user::close(fd);
    assert_last(ring);
}

fn a_closed_descriptor_frees_the_slot() {
    let ring = ring_for(1);
    let fd = connection();
    let flow = must!(register(&ring, fd));
    // It runs, and stays idle, for its owner.
    drop(ring.begin(flow));
    user::close(fd);
    assert!(ring.flow(flow).is_none());
    assert_eq!(ring.mem.status(0).load(Ordering::Relaxed), 2 << 16);
    assert_last(ring);
}

fn the_end_of_a_ring_frees_its_flows() {
    let ring = ring_for(3);
    let fds = [connection(), connection()];
    for fd in fds {
        assert!(register(&ring, fd).is_ok());
    }
    ring.end();
    assert_eq!(ring.info().flows, 0);
    for fd in fds {
        assert!(!has_flow(fd));
        user::close(fd);
    }
    assert_last(ring);
}
