// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls on file descriptors as such.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

use libc::{mode_t, size_t, ssize_t, stat, stat64};

use crate::defer::Answer;
use crate::early::{give_up, sync_fd};
use crate::fds::{self, Kind, State};
use crate::setup::{numbers_freed, once_more, quiesce};
use crate::stats::{self, Call, Flush, Why};
use crate::{errno, reads, settings, tls};

hook! {
    /// `read(2)`
    fn read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
        if fds::get(fd).level() {
            // SAFETY: the program's buffer.
            return unsafe { read_level(fd, buf, n) };
        }
        pass!(read(fd, buf, n))
    }
}

hook! {
    /// `close(2)`
    fn close(fd: c_int) -> c_int {
        let state = fds::get(fd);
        if matches!(state.kind(), Kind::Own | Kind::Closing) {
            errno::set(libc::EBADF);
            return -1;
        }
        if let Some(mut engine) = tls::engine() {
            if let Answer::Done(_) = engine.close_any(fd, state) {
                return 0;
            }
        } else {
            stats::through(Call::of_close(state.kind() == Kind::File), Why::Idle);
        }
        fds::forget(fd);
        pass!(close(fd))
    }
}

hook! {
    /// `close_range(2)`
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        quiesce(Flush::Process);
        let closes = flags as c_uint & libc::CLOSE_RANGE_CLOEXEC == 0;
        let from = c_int::try_from(first).unwrap_or(c_int::MAX);
        let to = c_int::try_from(last).map_or(c_int::MAX, |last| last.saturating_add(1));
        // Ours are left out: the range falls into parts.
        let mut next = Some(first);
        for (fd, state) in fds::all(from, to) {
            if state.kind() != Kind::Own {
                if closes {
                    fds::set(fd, State::UNTRACKED);
                }
                continue;
            }
            let own = fd as c_uint;
            if let Some(next) = next.filter(|next| *next < own) {
                let ret = pass!(close_range(next, own - 1, flags));
                if ret < 0 {
                    return ret;
                }
            }
            next = own.checked_add(1);
        }
        match next {
            // Nothing is left behind the last of ours.
            Some(next) if next > last && next != first => 0,
            Some(next) => pass!(close_range(next, last, flags)),
            None => 0,
        }
    }
}

/// `closefrom(3)`; no `hook!` as it returns nothing.
#[cfg_attr(not(test), no_mangle)]
pub extern "C" fn closefrom(low: c_int) {
    let first = c_uint::try_from(low).unwrap_or(0);
    // SAFETY: our function above takes any arguments.
    unsafe { close_range(first, c_uint::MAX, 0) };
}

hook! {
    /// `dup(2)`
    fn dup(fd: c_int) -> c_int {
        give_up(fd, Why::Shared);
        let new = once_more(numbers_freed, || pass!(dup(fd)));
        fds::forget(new);
        new
    }
}

hook! {
    /// `dup2(2)`
    fn dup2(old: c_int, new: c_int) -> c_int {
        if old != new && !vacate(old, new) {
            return -1;
        }
        let ret = pass!(dup2(old, new));
        if ret >= 0 && old != new {
            fds::forget(new);
        }
        ret
    }
}

hook! {
    /// `dup3(2)`
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
        if old != new && !vacate(old, new) {
            return -1;
        }
        let ret = pass!(dup3(old, new, flags));
        if ret >= 0 {
            fds::forget(new);
        }
        ret
    }
}

hook! {
    /// `fcntl(2)`
    fn fcntl(fd: c_int, cmd: c_int, arg: usize) -> c_int {
        before_fcntl(fd, cmd, arg);
        let ret = pass!(fcntl(fd, cmd, arg));
        after_fcntl(fd, cmd, arg, ret);
        ret
    }
}

hook! {
    /// `fcntl64(2)`
    fn fcntl64(fd: c_int, cmd: c_int, arg: usize) -> c_int {
        before_fcntl(fd, cmd, arg);
        let ret = pass!(fcntl64(fd, cmd, arg));
        after_fcntl(fd, cmd, arg, ret);
        ret
    }
}

hook! {
    /// `ioctl(2)`
    fn ioctl(fd: c_int, request: c_ulong, arg: usize) -> c_int {
        if !fds::tracked(fd) {
            return pass!(ioctl(fd, request, arg));
        }
        match request {
            libc::FIONBIO => {
                // SAFETY: null or the program's value.
                let on = unsafe { (arg as *const c_int).as_ref() }.is_none_or(|on| *on != 0);
                if !on {
                    unblocking(fd, false);
                }
                let ret = pass!(ioctl(fd, request, arg));
                if ret == 0 && on {
                    unblocking(fd, true);
                }
                ret
            }
            // How much is unsent.
            libc::TIOCOUTQ | libc::SIOCOUTQNSD => {
                sync_fd(fd);
                pass!(ioctl(fd, request, arg))
            }
            // How much there is to read; a signal, which comes once only.
            libc::FIONREAD | libc::FIOASYNC => {
                fds::never_level(fd);
                pass!(ioctl(fd, request, arg))
            }
            _ => pass!(ioctl(fd, request, arg)),
        }
    }
}

hook! {
    /// `open(2)`
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        opened(flags, || pass!(open(path, flags, mode)))
    }
}

hook! {
    /// `open64(2)`
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        opened(flags, || pass!(open64(path, flags, mode)))
    }
}

hook! {
    /// `openat(2)`
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        opened(flags, || pass!(openat(dir, path, flags, mode)))
    }
}

hook! {
    /// `openat64(2)`
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        opened(flags, || pass!(openat64(dir, path, flags, mode)))
    }
}

hook! {
    /// `fstat(2)`
    fn fstat(fd: c_int, buf: *mut stat) -> c_int {
        let ret = pass!(fstat(fd, buf));
        if ret == 0 {
            // SAFETY: just filled in.
            unsafe { sized(fd, (*buf).st_mode, (*buf).st_size) };
        }
        ret
    }
}

hook! {
    /// `fstat64(2)`
    fn fstat64(fd: c_int, buf: *mut stat64) -> c_int {
        let ret = pass!(fstat64(fd, buf));
        if ret == 0 {
            // SAFETY: just filled in.
            unsafe { sized(fd, (*buf).st_mode, (*buf).st_size) };
        }
        ret
    }
}

hook! {
    /// `fstat(2)` of programs built with a glibc before 2.33
    fn __fxstat(version: c_int, fd: c_int, buf: *mut stat) -> c_int {
        let ret = pass!(__fxstat(version, fd, buf));
        if ret == 0 {
            // SAFETY: just filled in; there is one version of the structure.
            unsafe { sized(fd, (*buf).st_mode, (*buf).st_size) };
        }
        ret
    }
}

hook! {
    /// `fstat64(2)` of programs built with a glibc before 2.33
    fn __fxstat64(version: c_int, fd: c_int, buf: *mut stat64) -> c_int {
        let ret = pass!(__fxstat64(version, fd, buf));
        if ret == 0 {
            // SAFETY: just filled in; there is one version of the structure.
            unsafe { sized(fd, (*buf).st_mode, (*buf).st_size) };
        }
        ret
    }
}

/// A read whose answer may be known. Out of the way of all others.
///
/// # Safety
///
/// As for the call.
#[inline(never)]
unsafe fn read_level(fd: c_int, buf: *mut c_void, n: usize) -> ssize_t {
    reads::read(fd, n, || pass!(read(fd, buf, n)))
}

/// Before `new` becomes a copy of `old`. `false`, with `errno`: it cannot.
fn vacate(old: c_int, new: c_int) -> bool {
    if fds::get(new).kind() == Kind::Own {
        errno::set(libc::EBUSY);
        return false;
    }
    // An entry may name it, and the kernel takes what is published when a number changes hands.
    quiesce(Flush::Pass);
    give_up(old, Why::Shared);
    true
}

fn before_fcntl(fd: c_int, cmd: c_int, arg: usize) {
    match cmd {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => give_up(fd, Why::Shared),
        libc::F_SETFL => {
            if arg as c_int & libc::O_NONBLOCK == 0 {
                unblocking(fd, false);
            }
            if arg as c_int & libc::O_ASYNC != 0 {
                // A signal comes once only.
                fds::never_level(fd);
            }
        }
        _ => {}
    }
}

fn after_fcntl(fd: c_int, cmd: c_int, arg: usize, ret: c_int) {
    match cmd {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => fds::forget(ret),
        libc::F_SETFL if ret == 0 && arg as c_int & libc::O_NONBLOCK != 0 => unblocking(fd, true),
        _ => {}
    }
}

/// Notes that a descriptor becomes (`on`) or is about to cease to be non-blocking.
fn unblocking(fd: c_int, on: bool) {
    let state = fds::get(fd);
    match state.kind() {
        Kind::Candidate => fds::blocks(fd, !on),
        Kind::Flow if !on => give_up(fd, Why::Blocking),
        _ => {}
    }
}

/// Opens a file and notes it.
#[inline]
fn opened(flags: c_int, open: impl Fn() -> c_int) -> c_int {
    if flags & libc::O_TRUNC != 0 {
        // It may be the source of a sendfile that is queued.
        quiesce(Flush::Pass);
    }
    let fd = once_more(numbers_freed, open);
    if fd >= 0 {
        if settings::on() && flags & (libc::O_ACCMODE | libc::O_PATH) == libc::O_RDONLY {
            fds::set_file(fd);
        } else {
            fds::forget(fd);
        }
    }
    fd
}

/// Notes the size of a file.
#[inline]
fn sized(fd: c_int, mode: mode_t, size: i64) {
    if fds::get(fd).kind() != Kind::File {
        return;
    }
    match u64::try_from(size) {
        Ok(size) if mode & libc::S_IFMT == libc::S_IFREG => fds::set_size(fd, size),
        _ => fds::set(fd, State::UNTRACKED),
    }
}
