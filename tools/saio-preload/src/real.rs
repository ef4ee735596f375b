// SPDX-License-Identifier: MIT OR Apache-2.0

//! The functions that ours stand before.
//!
//! Looked up once when the library is loaded, or at the first call if another
//! library's constructor is earlier.

use std::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::mem;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{
    epoll_event, fd_set, iovec, mmsghdr, mode_t, msghdr, nfds_t, off64_t, off_t, pid_t, pollfd,
    posix_spawn_file_actions_t, posix_spawnattr_t, sigset_t, size_t, sockaddr, socklen_t, ssize_t,
    stat, stat64, timespec, timeval,
};

use crate::errno;

/// What a function returns that this libc does not have.
trait Failed {
    const FAILED: Self;
}

impl Failed for i32 {
    const FAILED: Self = -1;
}

impl Failed for i64 {
    const FAILED: Self = -1;
}

impl Failed for isize {
    const FAILED: Self = -1;
}

macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty;)*) => {
        #[allow(non_upper_case_globals)]
        mod slot {
            use super::*;
            $(pub static $name: AtomicPtr<c_void> = AtomicPtr::new(early::$name as *mut c_void);)*
        }

        /// What stands in the slots until the functions were looked up, so that nobody has to ask
        /// whether they were.
        mod early {
            use super::*;
            $(
                #[cold]
                pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
                    if find(&slot::$name, concat!(stringify!($name), "\0")) {
                        // SAFETY: the caller's contract; there is the libc function now.
                        return unsafe { super::$name($($arg),*) };
                    }
                    errno::set(libc::ENOSYS);
                    <$ret as Failed>::FAILED
                }
            )*
        }

        $(
            /// The libc function of this name.
            ///
            /// # Safety
            ///
            /// As for that function.
            #[inline]
            pub unsafe fn $name($($arg: $ty),*) -> $ret {
                let function = slot::$name.load(Ordering::Relaxed);
                // SAFETY: the dynamic linker's address of a function of this type, or that of ours;
                // that it may be called like this is the caller's contract.
                unsafe {
                    mem::transmute::<*mut c_void, unsafe extern "C" fn($($ty),*) -> $ret>(function)(
                        $($arg),*
                    )
                }
            }
        )*

        /// Looks all of them up.
        pub fn resolve() {
            $(find(&slot::$name, concat!(stringify!($name), "\0"));)*
        }
    };
}

// Functions with variable arguments have as many as their longest form takes: on
// x86-64 those are passed alike, and what was not given is not looked at.
functions! {
    fn accept(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int;
    fn accept4(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int;
    fn bind(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int;
    fn connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int;
    fn dup(fd: c_int) -> c_int;
    fn dup2(old: c_int, new: c_int) -> c_int;
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int;
    fn epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int;
    fn epoll_pwait(
        epfd: c_int,
        events: *mut epoll_event,
        max: c_int,
        timeout: c_int,
        mask: *const sigset_t,
    ) -> c_int;
    fn epoll_pwait2(
        epfd: c_int,
        events: *mut epoll_event,
        max: c_int,
        timeout: *const timespec,
        mask: *const sigset_t,
    ) -> c_int;
    fn epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int;
    fn execv(path: *const c_char, argv: *const *const c_char) -> c_int;
    fn execve(
        path: *const c_char,
        argv: *const *const c_char,
        envp: *const *const c_char,
    ) -> c_int;
    fn execveat(
        dir: c_int,
        path: *const c_char,
        argv: *const *const c_char,
        envp: *const *const c_char,
        flags: c_int,
    ) -> c_int;
    fn execvp(file: *const c_char, argv: *const *const c_char) -> c_int;
    fn execvpe(
        file: *const c_char,
        argv: *const *const c_char,
        envp: *const *const c_char,
    ) -> c_int;
    fn fcntl(fd: c_int, cmd: c_int, arg: usize) -> c_int;
    fn fcntl64(fd: c_int, cmd: c_int, arg: usize) -> c_int;
    fn fexecve(fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
    fn fork() -> pid_t;
    fn fstat(fd: c_int, buf: *mut stat) -> c_int;
    fn fstat64(fd: c_int, buf: *mut stat64) -> c_int;
    fn __fxstat(version: c_int, fd: c_int, buf: *mut stat) -> c_int;
    fn __fxstat64(version: c_int, fd: c_int, buf: *mut stat64) -> c_int;
    fn getsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        len: *mut socklen_t,
    ) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, arg: usize) -> c_int;
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int;
    fn __poll_chk(fds: *mut pollfd, n: nfds_t, timeout: c_int, size: size_t) -> c_int;
    fn posix_spawn(
        pid: *mut pid_t,
        path: *const c_char,
        actions: *const posix_spawn_file_actions_t,
        attr: *const posix_spawnattr_t,
        argv: *const *mut c_char,
        envp: *const *mut c_char,
    ) -> c_int;
    fn posix_spawnp(
        pid: *mut pid_t,
        file: *const c_char,
        actions: *const posix_spawn_file_actions_t,
        attr: *const posix_spawnattr_t,
        argv: *const *mut c_char,
        envp: *const *mut c_char,
    ) -> c_int;
    fn ppoll(
        fds: *mut pollfd,
        n: nfds_t,
        timeout: *const timespec,
        mask: *const sigset_t,
    ) -> c_int;
    fn __ppoll_chk(
        fds: *mut pollfd,
        n: nfds_t,
        timeout: *const timespec,
        mask: *const sigset_t,
        size: size_t,
    ) -> c_int;
    fn pselect(
        n: c_int,
        read: *mut fd_set,
        write: *mut fd_set,
        except: *mut fd_set,
        timeout: *const timespec,
        mask: *const sigset_t,
    ) -> c_int;
    fn read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t;
    fn select(
        n: c_int,
        read: *mut fd_set,
        write: *mut fd_set,
        except: *mut fd_set,
        timeout: *mut timeval,
    ) -> c_int;
    fn send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t;
    fn sendfile(out: c_int, input: c_int, offset: *mut off_t, n: size_t) -> ssize_t;
    fn sendfile64(out: c_int, input: c_int, offset: *mut off64_t, n: size_t) -> ssize_t;
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int) -> c_int;
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t;
    fn sendto(
        fd: c_int,
        buf: *const c_void,
        n: size_t,
        flags: c_int,
        addr: *const sockaddr,
        len: socklen_t,
    ) -> ssize_t;
    fn setsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *const c_void,
        len: socklen_t,
    ) -> c_int;
    fn shutdown(fd: c_int, how: c_int) -> c_int;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn splice(
        from: c_int,
        from_offset: *mut off64_t,
        to: c_int,
        to_offset: *mut off64_t,
        n: size_t,
        flags: c_uint,
    ) -> ssize_t;
    fn syscall(
        nr: c_long,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
        f: usize,
    ) -> c_long;
    fn write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t;
    fn writev(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t;
}

/// Looks a function up behind this library and remembers it, if there is one. `name` ends with a
/// zero byte.
#[cold]
fn find(slot: &AtomicPtr<c_void>, name: &str) -> bool {
    let name: *const c_char = name.as_ptr().cast();
    // SAFETY: a C string.
    let mut function = unsafe { libc::dlsym(libc::RTLD_NEXT, name) };
    if function.is_null() {
        // Symbols for old programs only, such as `__fxstat` of newer C libraries.
        // SAFETY: C strings.
        function = unsafe { libc::dlvsym(libc::RTLD_NEXT, name, c"GLIBC_2.2.5".as_ptr()) };
    }
    if !function.is_null() {
        slot.store(function, Ordering::Relaxed);
    }
    !function.is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_when_they_are_called() {
        let slot = slot::__poll_chk.load(Ordering::Relaxed);
        // SAFETY: waits for nothing.
        assert_eq!(unsafe { __poll_chk(std::ptr::null_mut(), 0, 0, 0) }, 0);
        assert_ne!(slot::__poll_chk.load(Ordering::Relaxed), slot);
    }

    #[test]
    fn what_libc_does_not_have_stays_ours() {
        let slot = AtomicPtr::new(std::ptr::dangling_mut());
        let before = slot.load(Ordering::Relaxed);
        assert!(!find(&slot, "no_such_function\0"));
        assert_eq!(slot.load(Ordering::Relaxed), before);
    }
}
