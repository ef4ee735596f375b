// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The decisions of a pool: each by itself against a model, and all of them together in a
//! simulated pool.

#![cfg(not(loom))]

mod plan;
mod pool;
mod rings;
