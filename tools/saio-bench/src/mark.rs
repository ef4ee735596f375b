// SPDX-License-Identifier: MIT OR Apache-2.0

//! The marker of virtual time and of profiles: an instruction that does nothing, and that QEMU's plugins (tools/vtime,
//! tools/iprof) notice.

use std::arch::global_asm;

/// Bytes of the marker with the return behind it.
const STRIDE: usize = 8;

// The number is a part of the instruction, so there is one for each: `nopl 0x5a1000NN(%rax)` and `ret`.
global_asm!(
    ".pushsection .text.saio_bench_marks, \"ax\", @progbits",
    ".balign 8",
    ".globl saio_bench_marks",
    ".hidden saio_bench_marks",
    "saio_bench_marks:",
    ".set saio_bench_number, 0",
    ".rept 256",
    ".byte 0x0f, 0x1f, 0x80, saio_bench_number, 0x00, 0x10, 0x5a, 0xc3",
    ".set saio_bench_number, saio_bench_number + 1",
    ".endr",
    ".popsection",
);

extern "C" {
    #[link_name = "saio_bench_marks"]
    static MARKS: [[u8; STRIDE]; 256];
}

/// Marks this moment with a number.
pub fn mark(number: u8) {
    // SAFETY: each entry of the table is a function without arguments and results that changes no register.
    unsafe {
        let entry = MARKS[usize::from(number)].as_ptr();
        std::mem::transmute::<*const u8, extern "C" fn()>(entry)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_instruction() {
        // SAFETY: the table is initialised and never changes.
        let marks = unsafe { &MARKS };
        for (number, code) in marks.iter().enumerate() {
            let number = u8::try_from(number).unwrap();
            assert_eq!(code, &[0x0f, 0x1f, 0x80, number, 0x00, 0x10, 0x5a, 0xc3]);
        }
    }

    #[test]
    fn marking_changes_nothing() {
        for number in [0, 1, 128, 255] {
            mark(number);
        }
    }
}
