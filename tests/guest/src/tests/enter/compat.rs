// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: 32-bit and x32 calls do not have the system calls: ENOSYS.

use crate::harness::*;

/// `__X32_SYSCALL_BIT`
const X32: i64 = 0x4000_0000;
/// `getpid` in the 32-bit table.
const GETPID_32: u32 = 20;

pub fn run() {
    for nr in SETUP..=POOL {
        expect_errno!(sys!(X32 + nr, 0, 0, 0), libc::ENOSYS);
    }
    let probe = child(|| {
        call_32(GETPID_32);
    });
    if probe.wait() != Exit::Status(0) {
        skip("the kernel has no 32-bit calls");
    }
    for nr in SETUP..=POOL {
        expect_errno!(call_32(nr as u32), libc::ENOSYS);
    }
}

/// Makes a 32-bit system call with all arguments zero.
fn call_32(nr: u32) -> i64 {
    let result: i32;
    // SAFETY: no argument points anywhere; what the gate may change is declared, and rbx, which
    // cannot be, is put back.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "xor ebx, ebx",
            "int 0x80",
            "pop rbx",
            inlateout("eax") nr => result,
            inlateout("ecx") 0 => _,
            inlateout("edx") 0 => _,
            inlateout("esi") 0 => _,
            inlateout("edi") 0 => _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
    i64::from(result)
}
