// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls that make, replace or end processes, and `syscall`, which may be any call.

use std::ffi::{c_char, c_int, c_long, c_uint};

use libc::{pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};

use saio::sys;

use crate::setup::{disown, forget, quiesce};
use crate::stats::{self, Flush};
use crate::{fds, hooks_fd};

// `fork` itself needs no hook: handlers are registered, see `setup::install`.

hook! {
    /// `vfork(2)`, made a `fork`: its child runs in the memory of its parent, and a call of
    /// the child would be queued in the parent's ring.
    fn vfork() -> pid_t {
        pass!(fork())
    }
}

hook! {
    /// `execv(3)`
    fn execv(path: *const c_char, argv: *const *const c_char) -> c_int {
        quiesce(Flush::Process);
        pass!(execv(path, argv))
    }
}

hook! {
    /// `execve(2)`
    fn execve(
        path: *const c_char,
        argv: *const *const c_char,
        envp: *const *const c_char,
    ) -> c_int {
        quiesce(Flush::Process);
        pass!(execve(path, argv, envp))
    }
}

hook! {
    /// `execveat(2)`
    fn execveat(
        dir: c_int,
        path: *const c_char,
        argv: *const *const c_char,
        envp: *const *const c_char,
        flags: c_int,
    ) -> c_int {
        quiesce(Flush::Process);
        pass!(execveat(dir, path, argv, envp, flags))
    }
}

hook! {
    /// `execvp(3)`
    fn execvp(file: *const c_char, argv: *const *const c_char) -> c_int {
        quiesce(Flush::Process);
        pass!(execvp(file, argv))
    }
}

hook! {
    /// `execvpe(3)`
    fn execvpe(
        file: *const c_char,
        argv: *const *const c_char,
        envp: *const *const c_char,
    ) -> c_int {
        quiesce(Flush::Process);
        pass!(execvpe(file, argv, envp))
    }
}

hook! {
    /// `fexecve(3)`
    fn fexecve(fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int {
        quiesce(Flush::Process);
        pass!(fexecve(fd, argv, envp))
    }
}

hook! {
    /// `posix_spawn(3)`
    fn posix_spawn(
        pid: *mut pid_t,
        path: *const c_char,
        actions: *const posix_spawn_file_actions_t,
        attr: *const posix_spawnattr_t,
        argv: *const *mut c_char,
        envp: *const *mut c_char,
    ) -> c_int {
        quiesce(Flush::Process);
        pass!(posix_spawn(pid, path, actions, attr, argv, envp))
    }
}

hook! {
    /// `posix_spawnp(3)`
    fn posix_spawnp(
        pid: *mut pid_t,
        file: *const c_char,
        actions: *const posix_spawn_file_actions_t,
        attr: *const posix_spawnattr_t,
        argv: *const *mut c_char,
        envp: *const *mut c_char,
    ) -> c_int {
        quiesce(Flush::Process);
        pass!(posix_spawnp(pid, file, actions, attr, argv, envp))
    }
}

/// `_exit(2)`; no `hook!` as it does not return.
#[cfg_attr(not(test), no_mangle)]
pub extern "C" fn _exit(status: c_int) -> ! {
    end(status)
}

/// `_Exit(3)`; no `hook!` as it does not return.
#[cfg_attr(not(test), no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn _Exit(status: c_int) -> ! {
    end(status)
}

hook! {
    /// `syscall(2)`, which takes as many arguments as the call: what was not given is passed
    /// on unread.
    fn syscall(
        nr: c_long,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
        f: usize,
    ) -> c_long {
        match nr {
            // SAFETY: the program's arguments for this very call, as in the next three.
            libc::SYS_close => c_long::from(unsafe { hooks_fd::close(a as c_int) }),
            // SAFETY: as above.
            libc::SYS_dup2 => c_long::from(unsafe { hooks_fd::dup2(a as c_int, b as c_int) }),
            // SAFETY: as above.
            libc::SYS_dup3 => {
                c_long::from(unsafe { hooks_fd::dup3(a as c_int, b as c_int, c as c_int) })
            }
            // SAFETY: as above.
            libc::SYS_close_range => c_long::from(unsafe {
                hooks_fd::close_range(a as c_uint, b as c_uint, c as c_int)
            }),
            libc::SYS_exit_group => end(a as c_int),
            libc::SYS_fork | libc::SYS_clone | libc::SYS_clone3 => {
                quiesce(Flush::Process);
                let ret = pass!(syscall(nr, a, b, c, d, e, f));
                if copies(nr, a) {
                    match ret {
                        0 => forget(),
                        1.. => disown(),
                        _ => {}
                    }
                }
                ret
            }
            libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_sendfile
            | libc::SYS_splice
            | libc::SYS_setsockopt
            | libc::SYS_getsockopt
            | libc::SYS_shutdown
            | libc::SYS_dup
            | libc::SYS_execve
            | libc::SYS_execveat
            | libc::SYS_exit
            | libc::SYS_vfork
            | libc::SYS_poll
            | libc::SYS_ppoll
            | libc::SYS_select
            | libc::SYS_pselect6
            | libc::SYS_epoll_wait
            | libc::SYS_epoll_pwait
            | libc::SYS_epoll_pwait2
            | libc::SYS_io_uring_enter => {
                quiesce(Flush::Pass);
                pass!(syscall(nr, a, b, c, d, e, f))
            }
            libc::SYS_fcntl => {
                quiesce(Flush::Pass);
                // SAFETY: as above.
                c_long::from(unsafe { hooks_fd::fcntl(a as c_int, b as c_int, c) })
            }
            libc::SYS_ioctl => {
                quiesce(Flush::Pass);
                // SAFETY: as above.
                c_long::from(unsafe { hooks_fd::ioctl(a as c_int, b as _, c) })
            }
            libc::SYS_epoll_ctl => {
                fds::never_level(c as c_int);
                pass!(syscall(nr, a, b, c, d, e, f))
            }
            _ => pass!(syscall(nr, a, b, c, d, e, f)),
        }
    }
}

/// Whether the call makes a process with memory of its own. `clone3` keeps its flags behind
/// a pointer; a child of it that calls us finds out from its wiped memory.
fn copies(nr: c_long, flags: usize) -> bool {
    let shared = (libc::CLONE_VM | libc::CLONE_THREAD) as usize;
    nr == libc::SYS_fork || nr == libc::SYS_clone && flags & shared == 0
}

/// Ends the process without the program's exit handlers.
fn end(status: c_int) -> ! {
    quiesce(Flush::Process);
    stats::write();
    loop {
        // SAFETY: does not return.
        unsafe { sys::syscall(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]) };
    }
}
