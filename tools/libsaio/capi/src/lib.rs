// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio.h` for C programs, on top of [`rust_saio::queue`]. The header says what each function does.
//!
//! Nothing here panics; if it did, the process would end, as panics do not leave `extern "C"`
//! functions.

#![deny(unsafe_op_in_unsafe_fn)]
#![cfg(target_os = "linux")]

mod calls;
mod flows;
mod ring;
mod sys;
#[cfg(test)]
mod tests;

use std::ffi::c_int;
use std::io;

use rust_saio::queue::{Entry, Queue};

#[allow(dead_code, non_camel_case_types, non_upper_case_globals, clippy::all)]
mod header {
    include!(concat!(env!("OUT_DIR"), "/header.rs"));
}

/// The queue behind a handle.
///
/// # Safety
///
/// `ring` must be null, or come from `saio_ring_open`, not be closed, and be used by nobody else
/// during `'a`.
unsafe fn queue<'a>(ring: *mut header::saio) -> io::Result<&'a mut Queue> {
    // SAFETY: the caller's contract: then it is a queue.
    unsafe { ring.cast::<Queue>().as_mut() }.ok_or_else(invalid)
}

/// What `flags` and `tag` make of an entry.
fn entry(flags: u32, tag: u64) -> io::Result<Entry> {
    const ALL: u32 =
        header::SAIO_LINK | header::SAIO_HARDLINK | header::SAIO_QUIET | header::SAIO_MORE;
    let links = header::SAIO_LINK | header::SAIO_HARDLINK;
    if flags & !ALL != 0 || flags & links == links {
        return Err(invalid());
    }
    let mut entry = Entry::new(tag);
    if flags & header::SAIO_LINK != 0 {
        entry = entry.link();
    }
    if flags & header::SAIO_HARDLINK != 0 {
        entry = entry.hard_link();
    }
    if flags & header::SAIO_QUIET != 0 {
        entry = entry.quiet();
    }
    if flags & header::SAIO_MORE != 0 {
        entry = entry.more();
    }
    Ok(entry)
}

/// A result as C has it: a value or a negated errno.
fn answer<T: TryInto<isize>>(result: io::Result<T>) -> isize {
    match result {
        Ok(value) => value.try_into().unwrap_or(isize::MAX),
        Err(error) => -(error.raw_os_error().unwrap_or(libc::EIO) as isize),
    }
}

/// As [`answer`], in an `int`.
fn status<T: TryInto<isize>>(result: io::Result<T>) -> c_int {
    answer(result).try_into().unwrap_or(c_int::MAX)
}

/// As [`status`], for a result that is only that it succeeded.
fn done(result: io::Result<()>) -> c_int {
    status(result.map(|()| 0u8))
}

fn error(errno: c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

fn invalid() -> io::Error {
    error(libc::EINVAL)
}
