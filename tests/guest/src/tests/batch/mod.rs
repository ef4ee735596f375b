// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries and their results.

pub mod audit;
pub mod efault;
pub mod epoll_last;
pub mod flags;
pub mod fork_vfork_thread;
pub mod links;
pub mod mixed;
pub mod overflow;
pub mod policy;
pub mod result_to_arg;
pub mod scribble;
pub mod seccomp;
pub mod sigmask_last;
pub mod sigmask_restored;
pub mod signal_between;
pub mod signal_in_chain;
pub mod signal_inside;
pub mod skip_success;
