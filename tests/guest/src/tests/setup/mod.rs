// SPDX-License-Identifier: MIT OR Apache-2.0

//! Making a ring.

pub mod cloexec;
pub mod disabled;
pub mod memlock;
pub mod mmap;
pub mod params;
pub mod restrict;
pub mod too_many;
