// SPDX-License-Identifier: MIT OR Apache-2.0

//! Settings from the environment, read once when the library is loaded: servers
//! empty their environment later.

use std::ffi::{c_char, c_int, CStr};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use saio::ring::HIGH_FD;
use saio::sys;

use crate::fds::{self, State};
use crate::say;

static ON: AtomicBool = AtomicBool::new(false);
static VERBOSE: AtomicBool = AtomicBool::new(false);
static STATS: AtomicI32 = AtomicI32::new(-1);

/// Whether calls may be deferred. Once off it stays off.
#[inline]
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Whether to say what is being done.
pub fn verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Where statistics go, if anywhere.
pub fn stats() -> Option<c_int> {
    let fd = STATS.load(Ordering::Relaxed);
    (fd >= 0).then_some(fd)
}

/// Turns everything off for good: no ring can be had.
pub fn turn_off(error: &io::Error) {
    if !ON.swap(false, Ordering::Relaxed) {
        return;
    }
    let errno = error.raw_os_error().unwrap_or(0);
    match errno {
        libc::ENOSYS => no_saio(),
        libc::ENOMEM => say::stderr(format_args!(
            "no memory for a ring (saio_setup: ENOMEM; RLIMIT_MEMLOCK is charged, raise it: ulimit -l); running without it"
        )),
        libc::EPERM | libc::EACCES => say::stderr(format_args!(
            "rings are not allowed here (saio_setup: errno {errno}); running without it"
        )),
        _ => say::stderr(format_args!(
            "no ring (saio_setup: errno {errno}); running without it"
        )),
    }
}

fn no_saio() {
    say::stderr(format_args!(
        "this kernel has no SAIO (saio_setup: ENOSYS); running without it"
    ));
}

/// Reads the environment and asks the kernel.
pub fn read() {
    VERBOSE.store(
        variable(c"SAIO_VERBOSE").is_some_and(|value| !value.is_empty() && value != "0"),
        Ordering::Relaxed,
    );
    if let Some(file) = variable(c"SAIO_STATS") {
        open_stats(file);
    }
    match variable(c"SAIO_MODE") {
        None | Some("" | "inline") => {}
        Some("off") => return,
        Some(other) => {
            say::stderr(format_args!(
                "SAIO_MODE={other} is not known (inline, off); running without it"
            ));
            return;
        }
    }
    if sys::probe() != libc::ENOSYS {
        ON.store(true, Ordering::Relaxed);
        return;
    }
    // Once for a tree of processes is enough.
    if variable(c"SAIO_PROBED").is_none() {
        no_saio();
        // SAFETY: both are C strings. The program's threads are not there yet.
        unsafe { libc::setenv(c"SAIO_PROBED".as_ptr(), c"1".as_ptr(), 1) };
    }
}

fn open_stats(file: &str) {
    if file.is_empty() {
        return;
    }
    if file == "stderr" {
        STATS.store(libc::STDERR_FILENO, Ordering::Relaxed);
        return;
    }
    // Now, as a server may lose the right to it later. From the environment, so it
    // ends with a zero byte.
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    let args = [
        libc::AT_FDCWD as usize,
        file.as_ptr() as usize,
        flags as usize,
        0o666,
        0,
        0,
    ];
    // SAFETY: the path is a C string.
    match sys::check(unsafe { sys::syscall(libc::SYS_openat, args) }) {
        Ok(fd) => {
            let fd = sys::move_up(fd as c_int, HIGH_FD);
            fds::set(fd, State::STATS);
            STATS.store(fd, Ordering::Relaxed);
        }
        Err(error) => say::stderr(format_args!(
            "SAIO_STATS={file} cannot be opened (errno {}); no statistics",
            error.raw_os_error().unwrap_or(0)
        )),
    }
}

/// A variable of the environment, if it is UTF-8. The text is followed by a zero byte.
fn variable(name: &CStr) -> Option<&'static str> {
    // SAFETY: a C string; the program's threads, which could change the environment,
    // are not there yet.
    let value: *const c_char = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a C string, which is not used beyond this module's `read`.
    unsafe { CStr::from_ptr(value) }.to_str().ok()
}
