// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs an unmodified event-driven server under SAIO.
//!
//! Loaded with `LD_PRELOAD`, the library stands before libc's functions. Writes of
//! an event loop to its TCP connections are copied into a ring of the loop's thread
//! and answered at once; the next `epoll_wait` has them run and waits, in one
//! kernel crossing. What cannot be answered early by the rules of docs/preload.md
//! goes straight through, behind what is queued.
//!
//! - `fds`, `tls`: what is known of descriptors and threads
//! - `queue`, `flush`, `defer`: the engine of a thread, how its queue gets to run, and the calls
//!   that it takes
//! - `reads`: reads that need not be made
//! - `early`, `setup`: when a call gets there; rings and flows
//! - `hooks_*`: the functions that stand before libc's, `real`: those behind
//! - `esca`: what servers patched for the original call
//! - `settings`, `rules`: what the environment says; `stats`: what is counted
//!
//! Nothing on the way of a deferred call takes memory or a lock, or panics.

#![deny(unsafe_op_in_unsafe_fn)]
// Nobody calls the hooks of the test program.
#![cfg_attr(test, allow(dead_code))]

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")))]
compile_error!("saio-preload knows x86-64 Linux with glibc only");

#[macro_use]
mod macros;

mod alone;
mod cork;
mod defer;
mod early;
mod errno;
mod esca;
mod fds;
#[cfg(test)]
mod fixture;
mod flush;
mod hooks_fd;
mod hooks_net;
mod hooks_proc;
mod hooks_wait;
mod price;
mod queue;
mod reads;
mod real;
mod rules;
mod say;
mod settings;
mod setup;
mod stats;
mod tag;
mod tls;

/// Runs when the library is loaded, before the program begins.
#[cfg(not(test))]
#[used]
#[link_section = ".init_array"]
static INIT: extern "C" fn() = init;

extern "C" fn init() {
    real::resolve();
    settings::read();
    if settings::on() || settings::stats().is_some() {
        setup::install();
    }
}
