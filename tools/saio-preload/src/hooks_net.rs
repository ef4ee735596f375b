// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls on sockets.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::Ordering;

use libc::{iovec, mmsghdr, msghdr, off64_t, off_t, size_t, sockaddr, socklen_t, ssize_t};

use crate::defer::{Answer, Part, MAX_FILE, MAX_SEND};
use crate::early::{corks, early, give_up, known, never_early, option_made, sync_fd};
use crate::fds::{self, State};
use crate::setup::{addresses_freed, numbers_freed, once_more};
use crate::stats::{Call, Why, ACCEPTED};
use crate::{errno, settings};

#[cfg(test)]
mod tests;

/// Flags of a send that change nothing on a flow, but for `MSG_MORE`.
const FLAGS: c_int = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_MORE;

/// Stands for the flags of a send with an address.
const ADDRESSED: c_int = -1;

/// Longest array of buffers that is copied.
const MAX_BUFFERS: usize = 64;

hook! {
    /// `write(2)`
    fn write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t {
        // SAFETY: the program's buffer.
        match unsafe { send_early(fd, buf, n, 0, Call::Write) } {
            Some(ret) => ret,
            None => pass!(write(fd, buf, n)),
        }
    }
}

hook! {
    /// `send(2)`
    fn send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t {
        // SAFETY: the program's buffer.
        match unsafe { send_early(fd, buf, n, flags, Call::Send) } {
            Some(ret) => ret,
            None => pass!(send(fd, buf, n, flags)),
        }
    }
}

hook! {
    /// `sendto(2)`
    fn sendto(
        fd: c_int,
        buf: *const c_void,
        n: size_t,
        flags: c_int,
        addr: *const sockaddr,
        len: socklen_t,
    ) -> ssize_t {
        // With an address it goes straight through.
        let flags_seen = if addr.is_null() { flags } else { ADDRESSED };
        // SAFETY: the program's buffer.
        match unsafe { send_early(fd, buf, n, flags_seen, Call::Send) } {
            Some(ret) => ret,
            None => pass!(sendto(fd, buf, n, flags, addr, len)),
        }
    }
}

hook! {
    /// `writev(2)`
    fn writev(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t {
        if known(fd, Call::Writev) {
            // SAFETY: the program's array.
            let answer = unsafe { gather_early(fd, iov, n as usize, false, None, Call::Writev) };
            if let Some(ret) = answer {
                return ret;
            }
        }
        pass!(writev(fd, iov, n))
    }
}

hook! {
    /// `sendfile(2)`
    fn sendfile(out: c_int, input: c_int, offset: *mut off_t, n: size_t) -> ssize_t {
        // SAFETY: the program's offset; both types of it are the same on this machine.
        match unsafe { sendfile_early(out, input, offset, n) } {
            Some(ret) => ret,
            None => pass!(sendfile(out, input, offset, n)),
        }
    }
}

hook! {
    /// `sendfile64(2)`
    fn sendfile64(out: c_int, input: c_int, offset: *mut off64_t, n: size_t) -> ssize_t {
        // SAFETY: the program's offset.
        match unsafe { sendfile_early(out, input, offset, n) } {
            Some(ret) => ret,
            None => pass!(sendfile64(out, input, offset, n)),
        }
    }
}

hook! {
    /// `splice(2)`
    fn splice(
        from: c_int,
        from_offset: *mut off64_t,
        to: c_int,
        to_offset: *mut off64_t,
        n: size_t,
        flags: c_uint,
    ) -> ssize_t {
        never_early(to, Call::Splice);
        pass!(splice(from, from_offset, to, to_offset, n, flags))
    }
}

hook! {
    /// `sendmsg(2)`
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
        // SAFETY: the program's message.
        match unsafe { message_early(fd, message, flags) } {
            Some(ret) => ret,
            None => pass!(sendmsg(fd, message, flags)),
        }
    }
}

hook! {
    /// `sendmmsg(2)`
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int) -> c_int {
        never_early(fd, Call::Sendmsg);
        if settings::on() && !messages.is_null() {
            // The kernel looks at no more either (UIO_MAXIOV).
            for i in 0..n.min(1024) as usize {
                // SAFETY: the program's array.
                unsafe { hand_over(&raw const (*messages.add(i)).msg_hdr) };
            }
        }
        pass!(sendmmsg(fd, messages, n, flags))
    }
}

hook! {
    /// `setsockopt(2)`
    fn setsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *const c_void,
        len: socklen_t,
    ) -> c_int {
        if known(fd, Call::Option) {
            let deferrable = level == libc::IPPROTO_TCP
                && (name == libc::TCP_CORK || name == libc::TCP_NODELAY)
                && len as usize >= size_of::<c_int>()
                && !value.is_null();
            if deferrable && name == libc::TCP_CORK {
                corks(fd);
            }
            let why = || Why::Option;
            let answer = early(fd, Call::Option, deferrable, why, |engine, flow| {
                // SAFETY: the program's value, long enough.
                let on = unsafe { value.cast::<c_int>().read_unaligned() } != 0;
                engine.option(fd, flow, name, on)
            });
            if let Some(ret) = answer {
                return ret as c_int;
            }
            let ret = pass!(setsockopt(fd, level, name, value, len));
            if ret == 0 {
                option_made(fd, level, name);
            }
            return ret;
        }
        pass!(setsockopt(fd, level, name, value, len))
    }
}

hook! {
    /// `getsockopt(2)`
    fn getsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        len: *mut socklen_t,
    ) -> c_int {
        sync_fd(fd);
        pass!(getsockopt(fd, level, name, value, len))
    }
}

hook! {
    /// `shutdown(2)`
    fn shutdown(fd: c_int, how: c_int) -> c_int {
        if how == libc::SHUT_RD {
            sync_fd(fd);
        } else {
            // Writes get EPIPE from now on, and at once.
            give_up(fd, Why::Shutdown);
        }
        pass!(shutdown(fd, how))
    }
}

hook! {
    /// `connect(2)`
    fn connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
        give_up(fd, Why::Other);
        let ret = once_more(addresses_freed, || pass!(connect(fd, addr, len)));
        if ret < 0 && errno::get() == libc::EINPROGRESS {
            // A non-blocking connection of our own. Only its close may be queued.
            fds::set(fd, State::through(Why::Other));
        }
        ret
    }
}

hook! {
    /// `bind(2)`
    fn bind(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
        once_more(addresses_freed, || pass!(bind(fd, addr, len)))
    }
}

hook! {
    /// `socket(2)`
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
        let fd = once_more(numbers_freed, || pass!(socket(domain, kind, protocol)));
        fds::forget(fd);
        fd
    }
}

hook! {
    /// `accept(2)`
    fn accept(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int {
        // SAFETY: null or the program's length.
        let room = unsafe { len.as_ref() }.copied().unwrap_or(0);
        let new = once_more(numbers_freed, || pass!(accept(fd, addr, len)));
        // SAFETY: the program's address, just filled in as far as there is room.
        unsafe { accepted(new, addr, room, false) };
        new
    }
}

hook! {
    /// `accept4(2)`
    fn accept4(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int {
        // SAFETY: null or the program's length.
        let room = unsafe { len.as_ref() }.copied().unwrap_or(0);
        let new = once_more(numbers_freed, || pass!(accept4(fd, addr, len, flags)));
        // SAFETY: the program's address, just filled in as far as there is room.
        unsafe { accepted(new, addr, room, flags & libc::SOCK_NONBLOCK != 0) };
        new
    }
}

/// Queues a write of one buffer.
///
/// # Safety
///
/// `buf` must have `n` bytes.
#[inline]
unsafe fn send_early(
    fd: c_int,
    buf: *const c_void,
    n: usize,
    flags: c_int,
    call: Call,
) -> Option<ssize_t> {
    let deferrable = n.wrapping_sub(1) < MAX_SEND && flags & !FLAGS == 0;
    let more = flags & libc::MSG_MORE != 0;
    let why = || match flags {
        ADDRESSED => Why::Address,
        flags if flags & !FLAGS != 0 => Why::Flags,
        _ => Why::Size,
    };
    early(fd, call, deferrable, why, |engine, flow| {
        engine.send(fd, flow, n, more, |to| {
            // SAFETY: the caller's contract; the engine gives room for it,
            // in memory that no program has pointers into.
            unsafe { to.copy_from_nonoverlapping(buf.cast(), n) }
        })
    })
}

/// Queues a write of several buffers, unless there is an `obstacle`.
///
/// # Safety
///
/// `iov` must be null or point to `n` buffers.
#[inline]
unsafe fn gather_early(
    fd: c_int,
    iov: *const iovec,
    n: usize,
    more: bool,
    obstacle: Option<Why>,
    call: Call,
) -> Option<ssize_t> {
    // SAFETY: the caller's contract.
    let total = unsafe { total(iov, n) };
    let deferrable = total.is_some() && obstacle.is_none();
    let why = || {
        obstacle.unwrap_or(if n > MAX_BUFFERS {
            Why::Buffers
        } else {
            Why::Size
        })
    };
    early(fd, call, deferrable, why, |engine, flow| {
        engine.send(fd, flow, total.unwrap_or(0), more, |to| {
            // SAFETY: the caller's contract, and the length was just added up; the engine gives
            // room for that.
            unsafe { gather(iov, n, to) }
        })
    })
}

/// Queues a message of bytes alone.
///
/// # Safety
///
/// `message` must be null or a message header.
#[inline]
unsafe fn message_early(fd: c_int, message: *const msghdr, flags: c_int) -> Option<ssize_t> {
    // SAFETY: the caller's contract.
    unsafe { hand_over(message) };
    if !known(fd, Call::Sendmsg) {
        return None;
    }
    // SAFETY: as above.
    let Some(message) = (unsafe { message.as_ref() }) else {
        never_early(fd, Call::Sendmsg);
        return None;
    };
    let obstacle = if message.msg_controllen != 0 {
        Some(Why::Control)
    } else if !message.msg_name.is_null() && message.msg_namelen != 0 {
        Some(Why::Address)
    } else if flags & !FLAGS != 0 {
        Some(Why::Flags)
    } else {
        None
    };
    let (iov, n) = (message.msg_iov, message.msg_iovlen);
    let more = flags & libc::MSG_MORE != 0;
    // SAFETY: the caller's contract.
    unsafe { gather_early(fd, iov, n, more, obstacle, Call::Sendmsg) }
}

/// Queues part of a file, if it is surely that long.
///
/// # Safety
///
/// `offset` must be null or point to an offset.
#[inline]
unsafe fn sendfile_early(
    out: c_int,
    input: c_int,
    offset: *mut off64_t,
    n: usize,
) -> Option<ssize_t> {
    if !known(out, Call::Sendfile) {
        return None;
    }
    // SAFETY: the caller's contract.
    let part = unsafe { offset.as_ref() }.and_then(|offset| {
        let offset = u64::try_from(*offset).ok()?;
        let end = offset.checked_add(n as u64)?;
        (n.wrapping_sub(1) < MAX_FILE && end <= fds::size(input)?).then_some(Part {
            fd: input,
            offset,
            len: n,
        })
    });
    let why = || {
        if n.wrapping_sub(1) < MAX_FILE {
            Why::File
        } else {
            Why::Size
        }
    };
    let ret = early(out, Call::Sendfile, part.is_some(), why, |engine, flow| {
        match part {
            Some(part) => engine.send_file(out, flow, part),
            // It is not deferrable then, so this is not called.
            None => Answer::Pass(Why::File),
        }
    })?;
    if ret > 0 {
        // SAFETY: not null, as there was a part.
        unsafe { *offset += ret as off64_t };
    }
    Some(ret)
}

/// Bytes in an array of buffers, if they are few enough to be copied.
///
/// # Safety
///
/// `iov` must be null or point to `n` buffers.
unsafe fn total(iov: *const iovec, n: usize) -> Option<usize> {
    if iov.is_null() || !(1..=MAX_BUFFERS).contains(&n) {
        return None;
    }
    let mut total = 0usize;
    for i in 0..n {
        // SAFETY: the caller's contract.
        total = total.checked_add(unsafe { (*iov.add(i)).iov_len })?;
    }
    (total.wrapping_sub(1) < MAX_SEND).then_some(total)
}

/// Copies the buffers of an array one behind the other.
///
/// # Safety
///
/// As for [`total`], and `to` must have room for what it returned.
unsafe fn gather(iov: *const iovec, n: usize, mut to: *mut u8) {
    for i in 0..n {
        // SAFETY: the caller's contract. An empty buffer may have any address.
        unsafe {
            let buffer = *iov.add(i);
            if buffer.iov_len != 0 {
                to.copy_from_nonoverlapping(buffer.iov_base.cast(), buffer.iov_len);
                to = to.add(buffer.iov_len);
            }
        }
    }
}

/// Notes a new connection. If it is not TCP after all, the kernel refuses to make it a flow.
///
/// # Safety
///
/// `addr` must be null or have `room` bytes.
unsafe fn accepted(fd: c_int, addr: *const sockaddr, room: socklen_t, nonblock: bool) {
    if fd < 0 {
        return;
    }
    let inet = if addr.is_null() || (room as usize) < size_of::<libc::sa_family_t>() {
        true
    } else {
        // SAFETY: the caller's contract; the family is the first field.
        let family = unsafe { addr.cast::<libc::sa_family_t>().read_unaligned() };
        matches!(c_int::from(family), libc::AF_INET | libc::AF_INET6)
    };
    if inet && settings::on() {
        ACCEPTED.fetch_add(1, Ordering::Relaxed);
        fds::set(fd, State::candidate(nonblock, 0));
    } else {
        fds::forget(fd);
    }
}

/// Before descriptors are passed to another process: flows among them are none any more.
///
/// # Safety
///
/// `message` must be null or a message header.
unsafe fn hand_over(message: *const msghdr) {
    if message.is_null() || !settings::on() {
        return;
    }
    // SAFETY: the caller's contract; the macros walk the control data as the kernel does.
    unsafe {
        if (*message).msg_control.is_null() {
            return;
        }
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let len = (*header)
                .cmsg_len
                .saturating_sub(libc::CMSG_LEN(0) as usize);
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let passed = libc::CMSG_DATA(header).cast::<c_int>();
                for i in 0..len / size_of::<c_int>() {
                    give_up(passed.add(i).read_unaligned(), Why::Shared);
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}
