// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who runs a case, and what may fail for it: credentials, filters, limits, allocations.

use std::sync::atomic::Ordering::Relaxed;

use libc::{sock_filter, BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};

use super::raw::{address, call};
use super::world::World;
use crate::plan::op::{Filter, Op, User};

/// Where a thread says which of its allocations is to fail.
pub const FAIL_NTH: &std::ffi::CStr = c"/proc/thread-self/fail-nth";

/// Installs a seccomp filter for this thread.
pub fn filter(what: &Filter) {
    let step = |code: u32, k: u32, jf: u8| sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let load = |offset| step(BPF_LD | BPF_W | BPF_ABS, offset, 0);
    let unless_equal_skip = |value, steps| step(BPF_JMP | BPF_JEQ | BPF_K, value, steps);
    let give = |action| step(BPF_RET | BPF_K, action, 0);
    let mut program = vec![load(0)];
    match what.arg {
        None => program.push(unless_equal_skip(what.nr.into(), 1)),
        Some((index, value)) => program.extend([
            unless_equal_skip(what.nr.into(), 3),
            load(16 + 8 * u32::from(index)),
            unless_equal_skip(value, 1),
        ]),
    }
    program.extend([give(what.action), give(libc::SECCOMP_RET_ALLOW)]);
    let header = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    call(libc::SYS_prctl, &[libc::PR_SET_NO_NEW_PRIVS as usize, 1]);
    call(
        libc::SYS_seccomp,
        &[libc::SECCOMP_SET_MODE_FILTER as usize, 0, address(&header)],
    );
}

/// Sets a limit, soft and hard, of this process.
pub fn limit(resource: u32, value: u64) {
    let limit = [value; 2];
    call(
        libc::SYS_prlimit64,
        &[0, resource as usize, address(&limit)],
    );
}

/// Changes who this process is.
pub fn user(what: User) {
    match what {
        User::Nobody(id) => {
            // Through libc: it changes all threads.
            // SAFETY: no memory is involved.
            unsafe {
                libc::setgroups(0, std::ptr::null());
                libc::setresgid(id, id, id);
                libc::setresuid(id, id, id);
            }
        }
        User::ThreadOnly(id) => {
            let id = id as usize;
            call(libc::SYS_setresuid, &[id, id, id]);
        }
        User::Group(id) => {
            call(libc::SYS_setgroups, &[1, address(&id)]);
        }
        User::NoCaps => {
            // Version 3 of the header, and three empty sets of 64 bits.
            let header = [0x2008_0522u32, 0];
            let data = [0u32; 6];
            call(libc::SYS_capset, &[address(&header), address(&data)]);
        }
        User::MemLock(bytes) => limit(libc::RLIMIT_MEMLOCK, bytes.into()),
    }
}

impl World {
    /// Does a step, the `nth` allocation of which fails.
    pub(super) fn fail(&'static self, nth: u8, op: &'static Op) {
        let path = FAIL_NTH.as_ptr() as usize;
        let flags = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
        let fd = call(libc::SYS_openat, &[libc::AT_FDCWD as usize, path, flags]);
        if fd < 0 {
            self.step(op);
            return;
        }
        let fd = fd as usize;
        let text = format!("{nth}");
        call(
            libc::SYS_pwrite64,
            &[fd, address(text.as_str()), text.len(), 0],
        );
        self.step(op);
        let mut left = [0u8; 16];
        let got = call(libc::SYS_pread64, &[fd, left.as_mut_ptr() as usize, 16, 0]);
        if got > 0 && left[0] == b'0' {
            self.stats.failed_allocations.fetch_add(1, Relaxed);
        }
        call(libc::SYS_pwrite64, &[fd, address("0"), 1, 0]);
        call(libc::SYS_close, &[fd]);
    }
}
