// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the tests share. Tests say `use crate::harness::*;`.

mod abi;
pub mod audit;
mod call;
mod cgroup;
mod child;
mod counters;
mod expect;
mod files;
mod flow;
pub mod ktap;
mod kthread;
mod pool;
mod repeat;
mod ring;
mod ring_info;
mod seccomp;
mod shared;
mod signals;
mod tcp;
mod trace;

pub use self::{
    abi::*, call::*, cgroup::*, child::*, counters::*, expect::*, files::*, flow::*, kthread::*,
    pool::*, repeat::*, ring::*, ring_info::*, seccomp::*, shared::*, signals::*, tcp::*, trace::*,
};
