// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entering a ring.

pub mod after_exec;
pub mod compat;
pub mod errors;
pub mod impossible_tail;
pub mod nested;
pub mod partial;
pub mod scm_rights;
pub mod wrong_task;
