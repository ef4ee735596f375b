// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes and threads of a case, from first to last.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use saio::sys;

use super::identity::limit;
use super::raw::{address, call, exit, fork, zeroed};
use super::world::World;
use crate::plan::op::Op;
use crate::plan::Case;
use crate::stats::Stats;

/// Microseconds between signals that every case gets, so that no call waits for long.
pub const HEARTBEAT: u32 = 30_000;

/// The argument with which a case executes this program.
pub const AFTER_EXEC: &str = "--after-exec";

/// Descriptors that a process of a case can have.
const FILES: u64 = 512;

/// What connections keep after their end is soon given back. Each network namespace has its own.
pub const SOON: [(&CStr, &str); 2] = [
    (c"/proc/sys/net/ipv4/tcp_fin_timeout", "1"),
    (c"/proc/sys/net/mptcp/close_timeout", "1"),
];

/// The first process of a case, in PID and IPC namespaces of its own: it runs the case in a
/// child, waits for that, and with it ends all that came out of it.
pub fn case_init(case: Case, directory: &CStr, stats: &'static Stats) -> ! {
    call(
        libc::SYS_prctl,
        &[libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize],
    );
    call(libc::SYS_setsid, &[]);
    // Whatever the supervisor has open, its output above all, is none of the case's business.
    call(libc::SYS_close_range, &[0, u32::MAX as usize, 0]);
    for _ in 0..3 {
        let path = c"/dev/null".as_ptr() as usize;
        call(
            libc::SYS_openat,
            &[libc::AT_FDCWD as usize, path, libc::O_RDWR as usize],
        );
    }
    write(c"/proc/thread-self/oom_score_adj", "1000");
    if call(libc::SYS_chdir, &[directory.as_ptr() as usize]) < 0 {
        exit(1);
    }
    if case.own_net {
        loopback_up();
        for (path, value) in SOON {
            write(path, value);
        }
    }
    limit(libc::RLIMIT_CORE, 0);
    limit(libc::RLIMIT_AS, 512 << 20);
    limit(libc::RLIMIT_FSIZE, 4 << 20);
    limit(libc::RLIMIT_NOFILE, FILES);
    limit(libc::RLIMIT_MEMLOCK, 8 << 20);
    let case: &'static Case = Box::leak(Box::new(case));
    let child = fork();
    if child == 0 {
        super::run(case, stats);
    }
    loop {
        let mut status = 0i32;
        let pid = call(
            libc::SYS_wait4,
            &[usize::MAX, &raw mut status as usize, 0, 0],
        );
        if pid == child as isize {
            exit(if libc::WIFSIGNALED(status) { 2 } else { 0 });
        }
        if pid == -(libc::ECHILD as isize) {
            exit(1);
        }
    }
}

/// Writes a file of the kernel's.
fn write(path: &CStr, value: &str) {
    let path = path.as_ptr() as usize;
    let flags = libc::O_WRONLY as usize;
    let fd = call(libc::SYS_openat, &[libc::AT_FDCWD as usize, path, flags]);
    let bytes = value.as_ptr() as usize;
    call(libc::SYS_write, &[fd as usize, bytes, value.len()]);
    call(libc::SYS_close, &[fd as usize]);
}

/// Sets the loopback device of a new network namespace up.
fn loopback_up() {
    let fd = call(
        libc::SYS_socket,
        &[libc::AF_INET as usize, libc::SOCK_DGRAM as usize, 0],
    );
    let mut request: libc::ifreq = zeroed();
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    call(
        libc::SYS_ioctl,
        &[fd as usize, libc::SIOCSIFFLAGS as usize, address(&request)],
    );
    call(libc::SYS_close, &[fd as usize]);
}

extern "C" fn nothing(_: i32) {}

/// Lets signals interrupt, and not end the process, except those that must.
pub fn survive_signals() {
    let mut action: libc::sigaction = zeroed();
    action.sa_sigaction = nothing as *const () as usize;
    for signal in 1..65 {
        let fault = [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGABRT,
        ];
        // Those that stop are left as they are.
        let stop = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
        if !fault.contains(&signal) && !stop.contains(&signal) {
            // SAFETY: the handler does nothing.
            unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
        }
    }
}

/// What the times of cases are stretched by.
static PACE: AtomicU32 = AtomicU32::new(1);

/// Stretches the times of cases that are forked from now on.
pub fn set_pace(factor: u32) {
    PACE.store(factor, Relaxed);
}

/// Has SIGALRM sent every so many microseconds, at the pace of the machine.
pub fn storm(period: u32) {
    let period = u64::from(if period == 0 { HEARTBEAT } else { period });
    let period = (period * u64::from(PACE.load(Relaxed))).min(999_999);
    let interval = [0u64, period, 0, period];
    call(
        libc::SYS_setitimer,
        &[libc::ITIMER_REAL as usize, address(&interval), 0],
    );
}

/// Executes this program anew.
pub fn exec() {
    let path = c"/proc/self/exe";
    let argument = c"--after-exec";
    let argv = [path.as_ptr(), argument.as_ptr(), std::ptr::null()];
    let env = [std::ptr::null::<u8>()];
    call(
        libc::SYS_execve,
        &[path.as_ptr() as usize, address(&argv), address(&env)],
    );
}

/// What the program does that a case has executed: it enters whatever it has inherited.
pub fn after_exec() -> ! {
    for fd in 3..FILES as usize {
        call(sys::__NR_saio_enter as i64, &[fd, 64, 0, 0, 0, 0]);
    }
    exit(0)
}

impl World {
    pub(super) fn fork(&'static self, ops: &'static [Op], wait: bool) {
        let child = fork();
        if child == 0 {
            storm(HEARTBEAT);
            self.child.store(0, Relaxed);
            self.steps(ops);
            exit(0);
        }
        if child > 0 {
            self.child.store(child, Relaxed);
            if wait {
                call(libc::SYS_wait4, &[child as usize, 0, 0, 0]);
            }
        }
    }

    pub(super) fn thread(&'static self, ops: &'static [Op], times: u32) {
        // No thread: there is no memory for one. The case goes on without.
        let _ = thread::Builder::new().stack_size(128 << 10).spawn(move || {
            for _ in 0..times {
                self.steps(ops);
            }
        });
    }
}
