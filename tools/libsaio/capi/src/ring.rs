// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rings: making, running, waiting.

use std::ffi::{c_char, c_int, c_long, c_uint, CStr};
use std::io;
use std::ptr;
use std::slice;
use std::time::Duration;

use rust_saio::pool::Name;
use rust_saio::queue::{Mode, Options, Queue};
use rust_saio::restriction::Restriction;
use rust_saio::sys;

use crate::header::{self, saio, saio_completion, saio_options};
use crate::{answer, done, invalid, queue, status};

/// See `saio.h`.
#[no_mangle]
pub extern "C" fn saio_probe() -> c_int {
    match sys::probe() {
        // A kernel with SAIO refuses the question.
        libc::EINVAL => 0,
        errno => -errno,
    }
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a place for a pointer, `options` null or good.
#[no_mangle]
pub unsafe extern "C" fn saio_ring_open(
    ring: *mut *mut saio,
    options: *const saio_options,
) -> c_int {
    // SAFETY: the caller's contract.
    let (place, options) = unsafe { (ring.as_mut(), options.as_ref()) };
    let Some(place) = place else {
        return done(Err(invalid()));
    };
    *place = ptr::null_mut();
    done(
        open(options.unwrap_or(&saio_options::default())).map(|queue| {
            *place = Box::into_raw(Box::new(queue)).cast();
        }),
    )
}

fn open(options: &saio_options) -> io::Result<Queue> {
    if options.resv != [0; 3] {
        return Err(invalid());
    }
    Queue::new(&Options {
        sq_entries: options.sq_entries,
        cq_entries: options.cq_entries,
        flows: options.flows,
        arena_size: options.arena_size,
        flow_limit: options.flow_limit,
    })
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, which is none any more afterwards.
#[no_mangle]
pub unsafe extern "C" fn saio_ring_close(ring: *mut saio) {
    if !ring.is_null() {
        // SAFETY: the caller's contract: it was made by `saio_ring_open`.
        drop(unsafe { Box::from_raw(ring.cast::<Queue>()) });
    }
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `pool` null or a string.
#[no_mangle]
pub unsafe extern "C" fn saio_pool_attach(
    ring: *mut saio,
    pool: *const c_char,
    mode: c_uint,
) -> c_int {
    // SAFETY: the caller's contract.
    done(unsafe { queue(ring) }.and_then(|queue| {
        let name = if pool.is_null() {
            Name::default_pool()
        } else {
            // SAFETY: the caller's contract.
            let text = unsafe { CStr::from_ptr(pool) };
            let text = text.to_str().map_err(|_| invalid())?;
            text.parse().map_err(|_| invalid())?
        };
        let mode = match mode {
            header::SAIO_MODE_AUTO => Mode::Auto,
            header::SAIO_MODE_POOL => Mode::Pool,
            _ => return Err(invalid()),
        };
        queue.attach(&name, mode)
    }))
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `calls` null or `n` numbers.
#[no_mangle]
pub unsafe extern "C" fn saio_restrict(
    ring: *mut saio,
    calls: *const c_long,
    n: usize,
    flags: c_uint,
) -> c_int {
    // SAFETY: the caller's contract.
    done(unsafe { queue(ring) }.and_then(|queue| {
        let restriction = if calls.is_null() {
            Restriction::all_calls()
        } else {
            // SAFETY: the caller's contract.
            let calls = unsafe { slice::from_raw_parts(calls, n) };
            Restriction::to_calls(calls.iter().copied())
        };
        queue.restrict(match flags {
            0 => restriction,
            header::SAIO_RESTRICT_NO_POOL => restriction.without_pool(),
            _ => return Err(invalid()),
        })
    }))
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle.
#[no_mangle]
pub unsafe extern "C" fn saio_room(ring: *mut saio) -> c_int {
    // SAFETY: the caller's contract.
    status(unsafe { queue(ring) }.map(|queue| queue.room() as isize))
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle; what queued calls point to must be good for them.
#[no_mangle]
pub unsafe extern "C" fn saio_submit(ring: *mut saio) -> c_int {
    // SAFETY: the caller's contract.
    status(unsafe { queue(ring) }.and_then(|queue| queue.submit().map(taken)))
}

/// See `saio.h`.
///
/// # Safety
///
/// As for [`saio_submit`].
#[no_mangle]
pub unsafe extern "C" fn saio_wait(ring: *mut saio, n: c_uint, timeout_ns: i64) -> c_int {
    let timeout = u64::try_from(timeout_ns).ok().map(Duration::from_nanos);
    // SAFETY: the caller's contract.
    status(unsafe { queue(ring) }.and_then(|queue| queue.submit_and_wait(n, timeout).map(taken)))
}

fn taken(entries: u32) -> isize {
    entries as isize
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `completion` null or a place for one.
#[no_mangle]
pub unsafe extern "C" fn saio_next_completion(
    ring: *mut saio,
    completion: *mut saio_completion,
) -> c_int {
    // SAFETY: the caller's contract.
    status(unsafe { queue(ring) }.and_then(|queue| {
        // SAFETY: the caller's contract.
        let place = unsafe { completion.as_mut() }.ok_or_else(invalid)?;
        let Some(done) = queue.next_completion() else {
            return Ok(0);
        };
        place.tag = done.tag;
        place.result = answer(done.result.map(|n| n as isize)) as i64;
        Ok(1)
    }))
}
