// SPDX-License-Identifier: MIT OR Apache-2.0

//! Flows.

pub mod bad_entries;
pub mod blocking_owner;
pub mod blocking_writer;
pub mod busy;
pub mod cancelled;
pub mod close_now;
pub mod cork_entry;
pub mod direct_write;
pub mod ebusy;
pub mod epollout_edge;
pub mod epollout_level;
pub mod exec_publishes;
pub mod exit_publishes;
pub mod join;
pub mod kill9_parked;
pub mod kill9_publishes;
pub mod limit;
pub mod linger0;
pub mod orphan_limits;
pub mod orphan_patience;
pub mod outstanding;
pub mod park;
pub mod park_no_deadlock;
pub mod park_wait;
pub mod peer_reset;
pub mod published;
pub mod register;
pub mod register_connecting;
pub mod register_full;
pub mod reuse;
pub mod seccomp;
pub mod send_bytes;
pub mod sendfile_pinned;
pub mod sendfile_short;
pub mod shutdown_entry;
pub mod shutdown_queued;
pub mod stale;
pub mod tls;
pub mod unregister_parked;
