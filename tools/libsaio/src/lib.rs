// SPDX-License-Identifier: MIT OR Apache-2.0

//! The user side of SAIO: system calls handed to the kernel in batches.
//!
//! - [`sys`]: the ABI and the bare system calls
//! - [`ring`]: a ring of one thread
//! - [`arena`]: which part of the payload arena is in use
//! - [`flow`]: references and status words of registered sockets
//! - [`pool`]: the system's worker pools
//! - [`preload`]: what the preload library and its surroundings agree on
//!
//! Made to be used inside an `LD_PRELOAD` library too: system calls are made
//! without libc, so that neither `errno` nor an interposed function is touched,
//! and nothing but [`ring::Ring::setup`] and [`pool`] takes memory.

#![deny(unsafe_op_in_unsafe_fn)]
#![cfg(target_os = "linux")]

pub mod arena;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod flow;
pub mod pool;
pub mod preload;
pub mod ring;
pub mod sys;
