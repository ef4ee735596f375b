// SPDX-License-Identifier: GPL-2.0

//! Tracepoints. What nobody listens to costs a load and a test.

use crate::{mem::Sqe, ring::Ring};
use kernel::bindings;

/// Who runs an entry.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Where {
    Inline = bindings::saio_where_SAIO_WHERE_INLINE,
    Pool = bindings::saio_where_SAIO_WHERE_POOL,
    Queue = bindings::saio_where_SAIO_WHERE_QUEUE,
}

/// Whether anybody listens.
#[inline]
pub(crate) fn listened() -> bool {
    // SAFETY: A plain word, which C changes by whole stores.
    unsafe { (&raw const bindings::saio_tracing).read_volatile() != 0 }
}

/// The owner enters.
#[inline]
pub(crate) fn submit(ring: &Ring, to_submit: u32, published: u32) {
    if !listened() {
        return;
    }
    // SAFETY: The task is valid.
    unsafe { bindings::saio_trace_submit(ring.id, ring.owner.as_ptr(), to_submit, published) };
}

/// An entry is taken, or about to be run by its owner.
#[inline]
pub(crate) fn dispatch(ring: &Ring, sqe: &Sqe, place: Where) {
    if !listened() {
        return;
    }
    // SAFETY: Task and entry are valid.
    unsafe { bindings::saio_trace_dispatch(ring.id, ring.owner.as_ptr(), sqe, place as u32) };
}

/// An entry is done; `flow` is 0 for an ordinary one.
#[inline]
pub(crate) fn complete(ring: &Ring, nr: u16, user_data: u64, flow: u32, result: i64, place: Where) {
    if !listened() {
        return;
    }
    // SAFETY: The task is valid.
    unsafe {
        bindings::saio_trace_complete(
            ring.id,
            ring.owner.as_ptr(),
            nr.into(),
            user_data,
            flow,
            result,
            place as u32,
        )
    };
}

/// A flow waits for its peer with `left` bytes.
#[inline]
pub(crate) fn park(ring: &Ring, flow: u32, left: u64) {
    if !listened() {
        return;
    }
    // SAFETY: The task is valid.
    unsafe { bindings::saio_trace_park(ring.id, ring.owner.as_ptr(), flow, left) };
}

/// A flow goes on with thread `to` of `pool`, not `from`.
#[inline]
pub(crate) fn steal(ring: &Ring, flow: u32, pool: &[u8], from: u32, to: u32) {
    if !listened() {
        return;
    }
    // SAFETY: The task is valid, and the name ends with a zero.
    unsafe {
        bindings::saio_trace_steal(ring.id, ring.owner.as_ptr(), flow, pool.as_ptr(), from, to)
    };
}

/// What happens to threads.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Event {
    Start = bindings::saio_thread_event_SAIO_THREAD_START,
    Sleep = bindings::saio_thread_event_SAIO_THREAD_SLEEP,
    Wake = bindings::saio_thread_event_SAIO_THREAD_WAKE,
}

/// Something happens to a thread of the pool called `pool`.
pub(crate) fn thread(event: Event, pool: &crate::pool::Name, number: u32) {
    // SAFETY: The name ends with a zero.
    unsafe { bindings::saio_trace_thread(event as u32, pool.as_ptr(), number) };
}
