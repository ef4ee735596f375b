// SPDX-License-Identifier: MIT OR Apache-2.0

//! Worker pools.

pub mod attach;
pub mod attributes;
pub mod auto;
pub mod bad_attributes;
pub mod credentials;
pub mod fair;
pub mod group;
pub mod held_up;
pub mod hotplug;
pub mod idle;
pub mod kill9;
pub mod list;
mod load;
pub mod many_rings;
pub mod mask;
pub mod no_room;
pub mod ordinary;
pub mod owner_ends;
pub mod permission;
pub mod remove;
pub mod resize;
pub mod seccomp;
pub mod served;
mod server;
pub mod slow_peer;
mod stream;
pub mod stress;
pub mod wait_last;
