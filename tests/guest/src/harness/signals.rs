// SPDX-License-Identifier: MIT OR Apache-2.0

//! Signals that are counted, and masks as the kernel has them (64 bits).

use super::{expect_ok, sys, zeroed};
use std::sync::atomic::{AtomicU32, Ordering};

static SEEN: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: i32) {
    SEEN.fetch_add(1, Ordering::SeqCst);
}

/// Installs a handler that counts, with these `SA_*` flags.
pub fn count_signal(signal: i32, flags: i32) {
    // SAFETY: the structure is a plain one, the handler only touches an atomic.
    let result = unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = count as *const () as usize;
        action.sa_flags = flags;
        libc::sigaction(signal, &action, std::ptr::null_mut())
    };
    assert_eq!(result, 0, "sigaction({signal})");
}

/// How often counting handlers ran.
pub fn signals_seen() -> u32 {
    SEEN.load(Ordering::SeqCst)
}

/// A mask of one signal.
pub const fn mask_of(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Changes the thread's mask (`SIG_BLOCK`, `SIG_SETMASK`, …) and gives the old one.
pub fn change_mask(how: i32, mask: u64) -> u64 {
    let mut old = 0u64;
    expect_ok!(sys!(
        libc::SYS_rt_sigprocmask,
        how,
        &mask,
        &mut old,
        size_of::<u64>()
    ));
    old
}

pub fn current_mask() -> u64 {
    change_mask(libc::SIG_BLOCK, 0)
}

/// Has SIGALRM sent every `ms` milliseconds; 0 stops it. Repeated, so that a test cannot hang
/// because a signal came before it began to wait.
pub fn alarm_every(ms: i64) {
    let time = libc::timeval {
        tv_sec: ms / 1000,
        tv_usec: ms % 1000 * 1000,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    expect_ok!(sys!(libc::SYS_setitimer, libc::ITIMER_REAL, &timer, 0));
}
