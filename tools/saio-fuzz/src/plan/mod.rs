// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a case does, from its seed alone.

mod calls;
mod case;
mod entry;
mod flows;
mod life;
pub mod number;
pub mod op;
mod pools;
mod rings;
mod shapes;
pub mod slots;

pub use case::{case, Case, NOBODY};
