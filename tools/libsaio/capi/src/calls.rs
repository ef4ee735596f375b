// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ordinary calls.

use std::ffi::{c_int, c_uint};
use std::io;

use rust_saio::queue::Call;

use crate::header::saio;
use crate::{done, entry, error, invalid, queue};

/// See `saio.h`.
///
/// # Safety
///
/// `ring` must be null or a handle, `args` null or six arguments; what they point to must be good
/// for the call until its completion was taken or the ring is closed.
#[no_mangle]
pub unsafe extern "C" fn saio_call(
    ring: *mut saio,
    nr: c_uint,
    args: *const u64,
    flags: c_uint,
    tag: u64,
) -> c_int {
    // SAFETY: the caller's contract.
    done(unsafe { push(ring, nr, args, None, flags, tag) })
}

/// See `saio.h`.
///
/// # Safety
///
/// As for [`saio_call`], whatever the result is.
#[no_mangle]
pub unsafe extern "C" fn saio_call_result(
    ring: *mut saio,
    nr: c_uint,
    args: *const u64,
    arg: c_uint,
    back: c_uint,
    flags: c_uint,
    tag: u64,
) -> c_int {
    if arg > 5 || !(1..=8).contains(&back) {
        return done(Err(invalid()));
    }
    let from = Some((arg as u8, back as u8));
    // SAFETY: the caller's contract.
    done(unsafe { push(ring, nr, args, from, flags, tag) })
}

/// # Safety
///
/// As for [`saio_call_result`].
unsafe fn push(
    ring: *mut saio,
    nr: u32,
    args: *const u64,
    from: Option<(u8, u8)>,
    flags: u32,
    tag: u64,
) -> io::Result<()> {
    // SAFETY: the caller's contract.
    let queue = unsafe { queue(ring) }?;
    // SAFETY: the caller's contract.
    let args = *unsafe { args.cast::<[u64; 6]>().as_ref() }.ok_or_else(invalid)?;
    let nr = u16::try_from(nr).map_err(|_| error(libc::ENOSYS))?;
    // SAFETY: the caller's contract.
    let mut call = unsafe { Call::raw(nr, args) };
    if let Some((arg, back)) = from {
        // SAFETY: the caller's contract.
        call = unsafe { call.with_result(arg, back) };
    }
    Ok(queue.push(call, entry(flags, tag)?)?)
}
