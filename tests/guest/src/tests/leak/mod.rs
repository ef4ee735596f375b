// SPDX-License-Identifier: MIT OR Apache-2.0

//! Things made and closed many times.

pub mod flows;
pub mod rings;
