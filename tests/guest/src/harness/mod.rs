// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the tests share. Tests say `use crate::harness::*;`.

mod abi;
mod call;
mod child;
mod counters;
mod expect;
mod files;
mod flow;
pub mod ktap;
mod ring;
mod seccomp;
mod signals;
mod tcp;

pub use self::{
    abi::*, call::*, child::*, counters::*, expect::*, files::*, flow::*, ring::*, seccomp::*,
    signals::*, tcp::*,
};
