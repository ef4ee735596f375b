// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What tasks tell each other without a lock, under every interleaving that the memory model allows.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p saio-logic --test loom`.

#![cfg(loom)]

mod phase;
mod pool;
mod ring;
mod sleep;
mod wake;
