// SPDX-License-Identifier: MIT OR Apache-2.0

//! Flows and their entries.

use std::ffi::{c_int, c_uint, c_void};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::slice;

use libc::iovec;
use rust_saio::flow::Health;
use rust_saio::queue::{Fd, Queue};

use crate::header::{self, saio};
use crate::{answer, done, entry, error, invalid, queue};

/// Most buffers of one call, as `writev` has it (`UIO_MAXIOV`).
const MAX_BUFFERS: c_int = 1024;

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `flow` null or a place for a number.
#[no_mangle]
pub unsafe extern "C" fn saio_flow_register(ring: *mut saio, fd: c_int, flow: *mut u32) -> c_int {
    // SAFETY: the caller's contract.
    done(unsafe { queue(ring) }.and_then(|queue| {
        // SAFETY: the caller's contract.
        let place = unsafe { flow.as_mut() }.ok_or_else(invalid)?;
        if fd < 0 {
            return Err(error(libc::EBADF));
        }
        // SAFETY: not negative; whether it is open is for the kernel to say.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        *place = queue.register(&socket)?.raw();
        Ok(())
    }))
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle.
#[no_mangle]
pub unsafe extern "C" fn saio_flow_unregister(ring: *mut saio, flow: u32) -> c_int {
    // SAFETY: the caller's contract.
    done(unsafe { queue(ring) }.and_then(|queue| queue.unregister(queue.flow(flow))))
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle.
#[no_mangle]
pub unsafe extern "C" fn saio_flow_health(ring: *const saio, flow: u32) -> c_int {
    // SAFETY: the caller's contract.
    let Some(queue) = (unsafe { ring.cast::<Queue>().as_ref() }) else {
        return done(Err(invalid()));
    };
    let health = match queue.health(queue.flow(flow)) {
        Health::Usable => header::SAIO_HEALTH_USABLE,
        Health::Full => header::SAIO_HEALTH_FULL,
        Health::Failed => header::SAIO_HEALTH_FAILED,
        Health::Gone => header::SAIO_HEALTH_GONE,
    };
    health as c_int
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `buf` null or `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn saio_send(
    ring: *mut saio,
    flow: u32,
    buf: *const c_void,
    len: usize,
    flags: c_uint,
    tag: u64,
) -> isize {
    let buffer = iovec {
        iov_base: buf.cast_mut(),
        iov_len: len,
    };
    // SAFETY: the caller's contract.
    answer(unsafe { send(ring, flow, &[buffer], flags, tag) })
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `iov` null or `n` buffers.
#[no_mangle]
pub unsafe extern "C" fn saio_sendv(
    ring: *mut saio,
    flow: u32,
    iov: *const iovec,
    n: c_int,
    flags: c_uint,
    tag: u64,
) -> isize {
    if iov.is_null() || !(0..=MAX_BUFFERS).contains(&n) {
        return answer(Err::<usize, _>(invalid()));
    }
    // SAFETY: the caller's contract.
    let buffers = unsafe { slice::from_raw_parts(iov, n as usize) };
    // SAFETY: the caller's contract.
    answer(unsafe { send(ring, flow, buffers, flags, tag) })
}

/// # Safety
///
/// `ring` must be null or a handle, the buffers null or as long as they say.
unsafe fn send(
    ring: *mut saio,
    flow: u32,
    buffers: &[iovec],
    flags: u32,
    tag: u64,
) -> io::Result<usize> {
    // SAFETY: the caller's contract.
    let queue = unsafe { queue(ring) }?;
    let entry = entry(flags, tag)?;
    let flow = queue.flow(flow);
    if let [one] = buffers {
        // No memory is taken for one.
        // SAFETY: the caller's contract.
        return queue.send_vectored(flow, &[unsafe { slice_of(one) }?], entry);
    }
    let slices = buffers
        .iter()
        // SAFETY: the caller's contract.
        .map(|buffer| unsafe { slice_of(buffer) })
        .collect::<io::Result<Vec<_>>>()?;
    queue.send_vectored(flow, &slices, entry)
}

/// # Safety
///
/// The buffer must be null or as long as it says, for as long as the result is used.
unsafe fn slice_of<'a>(buffer: &iovec) -> io::Result<IoSlice<'a>> {
    if buffer.iov_len == 0 {
        return Ok(IoSlice::new(&[]));
    }
    if buffer.iov_base.is_null() || buffer.iov_len > isize::MAX as usize {
        return Err(invalid());
    }
    // SAFETY: the caller's contract, and as just seen.
    let bytes = unsafe { slice::from_raw_parts(buffer.iov_base.cast::<u8>(), buffer.iov_len) };
    Ok(IoSlice::new(bytes))
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `fd` what is meant until the entry has run.
#[no_mangle]
pub unsafe extern "C" fn saio_sendfile(
    ring: *mut saio,
    flow: u32,
    fd: c_int,
    offset: u64,
    len: u64,
    flags: c_uint,
    tag: u64,
) -> c_int {
    // SAFETY: the caller's contract.
    done(unsafe { queue(ring) }.and_then(|queue| {
        let entry = entry(flags, tag)?;
        // SAFETY: the caller's contract.
        let file = unsafe { Fd::number(fd) };
        queue.send_file(queue.flow(flow), file, offset, len, entry)
    }))
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `value` null or `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn saio_setsockopt(
    ring: *mut saio,
    flow: u32,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: usize,
    flags: c_uint,
    tag: u64,
) -> c_int {
    // SAFETY: the caller's contract.
    done(unsafe { queue(ring) }.and_then(|queue| {
        let entry = entry(flags, tag)?;
        let value = iovec {
            iov_base: value.cast_mut(),
            iov_len: len,
        };
        // SAFETY: the caller's contract.
        let value = unsafe { slice_of(&value) }?;
        queue.set_raw_option(queue.flow(flow), level, name, &value, entry)
    }))
}

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle.
#[no_mangle]
pub unsafe extern "C" fn saio_shutdown(
    ring: *mut saio,
    flow: u32,
    how: c_int,
    flags: c_uint,
    tag: u64,
) -> c_int {
    // SAFETY: the caller's contract.
    done(unsafe { queue(ring) }.and_then(|queue| {
        let entry = entry(flags, tag)?;
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(invalid()),
        };
        queue.shutdown(queue.flow(flow), how, entry)
    }))
}
