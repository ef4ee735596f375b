// SPDX-License-Identifier: MIT OR Apache-2.0

//! What confines a process confines its entries.

pub mod chroot;
pub mod core_dump;
pub mod credentials;
pub mod freezer;
pub mod landlock;
pub mod limits;
pub mod memory_cgroup;
pub mod namespaces;
pub mod oom_kill;
pub mod ptrace;
pub mod random_programs;
pub mod seccomp_actions;
pub mod seccomp_dead;
pub mod seccomp_forbids_saio;
pub mod seccomp_kill_thread;
pub mod seccomp_number;
pub mod seccomp_strict;
pub mod seccomp_tsync;
pub mod setuid_exec;
