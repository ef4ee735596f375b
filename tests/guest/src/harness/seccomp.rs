// SPDX-License-Identifier: MIT OR Apache-2.0

//! Seccomp filters from a list of rules.

use super::{expect_ok, sys};
use libc::{sock_filter, BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};

/// What happens to a call of this number.
#[derive(Clone, Copy)]
pub struct Rule {
    pub nr: i64,
    /// Only if the low half of this argument is this value.
    pub arg: Option<(u32, u32)>,
    /// `SECCOMP_RET_*`, with its data.
    pub action: u32,
}

impl Rule {
    /// For every call of this number.
    pub fn new(nr: i64, action: u32) -> Self {
        let arg = None;
        Self { nr, arg, action }
    }

    /// Only where argument `index` is `value`.
    pub fn only(mut self, index: u32, value: u32) -> Self {
        self.arg = Some((index, value));
        self
    }
}

/// Installs a filter for this thread that allows what no rule names.
#[track_caller]
pub fn install_filter(rules: &[Rule]) {
    install_filter_with(0, rules);
}

/// As [`install_filter`], with `SECCOMP_FILTER_FLAG_*`.
#[track_caller]
pub fn install_filter_with(flags: u64, rules: &[Rule]) {
    // Offsets in `struct seccomp_data`.
    const NR: u32 = 0;
    const ARGS: u32 = 16;
    let step = |code: u32, k: u32, jf: u8| sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let load = |offset| step(BPF_LD | BPF_W | BPF_ABS, offset, 0);
    let unless_equal_skip = |value, steps| step(BPF_JMP | BPF_JEQ | BPF_K, value, steps);
    let give = |action| step(BPF_RET | BPF_K, action, 0);

    let mut program = Vec::new();
    for rule in rules {
        program.push(load(NR));
        match rule.arg {
            None => program.push(unless_equal_skip(rule.nr as u32, 1)),
            Some((index, value)) => program.extend([
                unless_equal_skip(rule.nr as u32, 3),
                load(ARGS + 8 * index),
                unless_equal_skip(value, 1),
            ]),
        }
        program.push(give(rule.action));
    }
    program.push(give(libc::SECCOMP_RET_ALLOW));

    let header = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    expect_ok!(sys!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1));
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    expect_ok!(sys!(libc::SYS_seccomp, mode, flags, &header));
}

/// The action that makes a call fail with `errno`.
pub fn ret_errno(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}
