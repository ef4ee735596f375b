// SPDX-License-Identifier: GPL-2.0-or-later

//! Lock-step virtual time for QEMU's TCG.
//!
//! Virtual CPUs are host threads, so how far one gets while another does
//! something depends on the host. This plugin counts the instructions that each
//! of them executes and stops those that are ahead: an instruction takes the
//! same time everywhere, also with more virtual CPUs than the host has
//! processors. Each `syscall` instruction can be given a price. A marker
//! instruction in the guest notes how far every virtual CPU is.
//!
//! Arguments, in QEMU's `-plugin FILE,NAME=VALUE,...`: see [`options`]. What it
//! writes: see [`report`]. What it is for: docs/measuring.md.

#![deny(missing_docs)]
// The tests are a program without QEMU around it.
#![cfg_attr(test, allow(dead_code))]

mod clock;
mod code;
mod options;
#[cfg(not(test))]
mod qemu;
mod report;
