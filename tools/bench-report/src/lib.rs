// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmark results: the file they are kept in ([`results`]), and what is
//! made of them.
//!
//! Programs that measure fill a [`results::Results`] and save it. From such
//! files [`generate`] makes figures and a page, [`goals`] tells whether what
//! was promised was reached, [`compare`] names what became worse, and [`guard`]
//! what was lost against a reference.

#![warn(missing_docs)]

pub mod compare;
pub mod figure;
pub mod fonts;
pub mod generate;
pub mod goals;
pub mod group;
pub mod guard;
mod page;
pub mod results;
pub mod stats;
pub mod style;
mod table;
mod time;
pub mod units;
