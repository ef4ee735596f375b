// SPDX-License-Identifier: MIT OR Apache-2.0

//! The user side of SAIO: system calls handed to the kernel in batches.
//!
//! For new programs:
//!
//! - [`queue`]: a ring with everything that belongs to it; safe. Begin there
//! - [`pool`]: the system's worker pools
//!
//! What that stands on:
//!
//! - [`sys`]: the ABI and the bare system calls
//! - [`ring`]: a ring of one thread
//! - [`arena`]: which part of the payload arena is in use
//! - [`flow`]: references and status words of registered sockets
//! - [`preload`]: what the preload library and its surroundings agree on
//!
//! These are made to be used inside an `LD_PRELOAD` library too: system calls are made
//! without libc, so that neither `errno` nor an interposed function is touched,
//! and of them nothing but [`ring::Ring::setup`] takes memory.

#![deny(unsafe_op_in_unsafe_fn)]
#![cfg(target_os = "linux")]

pub mod arena;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod flow;
pub mod pool;
pub mod preload;
pub mod queue;
pub mod restriction;
pub mod ring;
pub mod sys;

/// The example of the manual has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/libsaio.md")]
struct Manual;
