// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls that wait for events: they end a batch.

use std::ffi::{c_int, c_long};

use libc::{epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

use crate::setup::quiesce;
use crate::stats::Flush;
use crate::{errno, fds, reads, tls};

/// Bytes of a signal mask, as the kernel counts them.
const MASK_SIZE: u64 = 8;

hook! {
    /// `epoll_wait(2)`
    fn epoll_wait(
        epfd: c_int,
        events: *mut epoll_event,
        max: c_int,
        timeout: c_int,
    ) -> c_int {
        let args = [epfd as u64, events as u64, max as u64, timeout as u64, 0, 0];
        // SAFETY: the caller's arguments for this very call.
        match unsafe { turn(epfd, timeout != 0, libc::SYS_epoll_wait, args) } {
            Some(ret) => ret,
            None => pass!(epoll_wait(epfd, events, max, timeout)),
        }
    }
}

hook! {
    /// `epoll_pwait(2)`
    fn epoll_pwait(
        epfd: c_int,
        events: *mut epoll_event,
        max: c_int,
        timeout: c_int,
        mask: *const sigset_t,
    ) -> c_int {
        let args = [
            epfd as u64,
            events as u64,
            max as u64,
            timeout as u64,
            mask as u64,
            MASK_SIZE,
        ];
        // SAFETY: the caller's arguments for this very call.
        match unsafe { turn(epfd, timeout != 0, libc::SYS_epoll_pwait, args) } {
            Some(ret) => ret,
            None => pass!(epoll_pwait(epfd, events, max, timeout, mask)),
        }
    }
}

hook! {
    /// `epoll_pwait2(2)`
    fn epoll_pwait2(
        epfd: c_int,
        events: *mut epoll_event,
        max: c_int,
        timeout: *const timespec,
        mask: *const sigset_t,
    ) -> c_int {
        let args = [
            epfd as u64,
            events as u64,
            max as u64,
            timeout as u64,
            mask as u64,
            MASK_SIZE,
        ];
        // SAFETY: the caller's arguments for this very call.
        match unsafe { turn(epfd, timeout.is_null(), libc::SYS_epoll_pwait2, args) } {
            Some(ret) => ret,
            None => pass!(epoll_pwait2(epfd, events, max, timeout, mask)),
        }
    }
}

hook! {
    /// `epoll_ctl(2)`
    fn epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
        if !fds::tracked(fd) {
            return pass!(epoll_ctl(epfd, op, fd, event));
        }
        let events = if op == libc::EPOLL_CTL_DEL {
            // The kernel does not look at it either.
            0
        } else {
            // SAFETY: null or the program's event.
            unsafe { event.as_ref() }.map_or(0, |event| event.events)
        };
        reads::watch(epfd, op, fd, events, || pass!(epoll_ctl(epfd, op, fd, event)))
    }
}

hook! {
    /// `poll(2)`
    fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
        quiesce(Flush::Poll);
        pass!(poll(fds, n, timeout))
    }
}

hook! {
    /// `poll(2)` of programs built with _FORTIFY_SOURCE
    fn __poll_chk(fds: *mut pollfd, n: nfds_t, timeout: c_int, size: size_t) -> c_int {
        quiesce(Flush::Poll);
        pass!(__poll_chk(fds, n, timeout, size))
    }
}

hook! {
    /// `ppoll(2)`
    fn ppoll(
        fds: *mut pollfd,
        n: nfds_t,
        timeout: *const timespec,
        mask: *const sigset_t,
    ) -> c_int {
        quiesce(Flush::Poll);
        pass!(ppoll(fds, n, timeout, mask))
    }
}

hook! {
    /// `ppoll(2)` of programs built with _FORTIFY_SOURCE
    fn __ppoll_chk(
        fds: *mut pollfd,
        n: nfds_t,
        timeout: *const timespec,
        mask: *const sigset_t,
        size: size_t,
    ) -> c_int {
        quiesce(Flush::Poll);
        pass!(__ppoll_chk(fds, n, timeout, mask, size))
    }
}

hook! {
    /// `select(2)`
    fn select(
        n: c_int,
        read: *mut fd_set,
        write: *mut fd_set,
        except: *mut fd_set,
        timeout: *mut timeval,
    ) -> c_int {
        quiesce(Flush::Poll);
        pass!(select(n, read, write, except, timeout))
    }
}

hook! {
    /// `pselect(2)`
    fn pselect(
        n: c_int,
        read: *mut fd_set,
        write: *mut fd_set,
        except: *mut fd_set,
        timeout: *const timespec,
        mask: *const sigset_t,
    ) -> c_int {
        quiesce(Flush::Poll);
        pass!(pselect(n, read, write, except, timeout, mask))
    }
}

/// A turn of the loop ends: the queue is flushed together with the wait. `None`: nothing
/// is queued (any more), the wait is to be made. `sleeps` says that it may last.
///
/// # Safety
///
/// The arguments must be good for the call.
#[inline]
unsafe fn turn(epfd: c_int, sleeps: bool, nr: c_long, args: [u64; 6]) -> Option<c_int> {
    let id = tls::next_turn();
    if id != 0 {
        fds::waits(epfd, id, sleeps);
    }
    let mut engine = tls::engine()?;
    if engine.idle() {
        engine.reap();
        return None;
    }
    // SAFETY: the caller's contract.
    let ret = unsafe { engine.wait(nr, args) }?;
    drop(engine);
    Some(errno::answer(ret) as c_int)
}
