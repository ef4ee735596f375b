// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The parts of SAIO that know nothing of the kernel.
//!
//! Compiled into the kernel and, unchanged, into the host crate `saio-logic`,
//! where they are tested; those with atomics under loom as well.

pub mod chain;
pub mod phase;
pub mod policy;
pub mod ring;
pub mod sched;
