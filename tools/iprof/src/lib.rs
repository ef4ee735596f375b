// SPDX-License-Identifier: GPL-2.0-or-later

//! Exact instruction profiles of a guest with one virtual CPU.
//!
//! Each instruction of the guest has a counter of its own, to which QEMU adds
//! one in the translated code: nothing is sampled. What was executed between two
//! marks is written down for each task of the guest's kernel, which is known by
//! the instruction with which the kernel switches stacks. Marks are those of
//! tools/vtime: `nopl 0x5a1000NN(%rax)`.
//!
//! An instruction that ends by a fault is executed again and counts twice, as
//! does each element of a repeated string instruction with icount.
//!
//! Arguments, in QEMU's `-plugin FILE,NAME=VALUE,...`: see [`options`]. What it
//! writes: see [`report`]. What it is for: docs/measuring.md.

#![deny(missing_docs)]
// The tests are a program without QEMU around it.
#![cfg_attr(test, allow(dead_code))]

mod code;
mod options;
mod profile;
#[cfg(not(test))]
mod qemu;
mod report;
