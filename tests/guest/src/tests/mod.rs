// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests, one behaviour a file, and the list of them all.

mod api;
mod batch;
pub mod enter;
mod flow;
mod leak;
mod pool;
mod programs;
mod security;
mod setup;

use crate::harness::ktap::Test;

const fn test(name: &'static str, run: fn()) -> Test {
    slow(name, run, 20)
}

const fn slow(name: &'static str, run: fn(), seconds: u32) -> Test {
    Test {
        name,
        run,
        seconds,
        pooled: false,
    }
}

/// The test with every ring in a pool.
const fn pooled(name: &'static str, run: fn(), seconds: u32) -> Test {
    Test {
        name,
        run,
        seconds,
        pooled: true,
    }
}

/// Every test, in the order in which they run: what others rely on comes first.
#[rustfmt::skip]
pub static ALL: &[Test] = &[
    test("setup.params", setup::params::run),
    test("setup.cloexec", setup::cloexec::run),
    test("setup.mmap", setup::mmap::run),
    test("setup.too_many", setup::too_many::run),
    test("setup.memlock", setup::memlock::run),
    test("setup.disabled", setup::disabled::run),
    test("setup.restrict", setup::restrict::run),

    test("enter.errors", enter::errors::run),
    test("enter.partial", enter::partial::run),
    test("enter.impossible_tail", enter::impossible_tail::run),
    test("enter.wrong_task", enter::wrong_task::run),
    test("enter.nested", enter::nested::run),
    test("enter.scm_rights", enter::scm_rights::run),
    test("enter.after_exec", enter::after_exec::run),
    test("enter.compat", enter::compat::run),

    test("batch.mixed", batch::mixed::run),
    test("batch.flags", batch::flags::run),
    test("batch.links", batch::links::run),
    test("batch.result_to_arg", batch::result_to_arg::run),
    test("batch.skip_success", batch::skip_success::run),
    test("batch.efault", batch::efault::run),
    test("batch.overflow", batch::overflow::run),
    slow("batch.policy", batch::policy::run, 60),
    slow("batch.scribble", batch::scribble::run, 60),
    test("batch.epoll_last", batch::epoll_last::run),
    test("batch.sigmask_last", batch::sigmask_last::run),
    test("batch.sigmask_restored", batch::sigmask_restored::run),
    test("batch.signal_between", batch::signal_between::run),
    test("batch.signal_in_chain", batch::signal_in_chain::run),
    test("batch.signal_inside", batch::signal_inside::run),
    test("batch.seccomp", batch::seccomp::run),
    test("batch.audit", batch::audit::run),
    test("batch.fork_vfork_thread", batch::fork_vfork_thread::run),

    test("flow.register", flow::register::run),
    test("flow.register_full", flow::register_full::run),
    test("flow.register_connecting", flow::register_connecting::run),
    slow("flow.send_bytes", flow::send_bytes::run, 60),
    test("flow.join", flow::join::run),
    test("flow.cork_entry", flow::cork_entry::run),
    test("flow.shutdown_entry", flow::shutdown_entry::run),
    test("flow.bad_entries", flow::bad_entries::run),
    test("flow.busy", flow::busy::run),
    test("flow.direct_write", flow::direct_write::run),
    test("flow.sendfile_pinned", flow::sendfile_pinned::in_one_batch),
    test("flow.sendfile_in_a_chain", flow::sendfile_pinned::in_a_chain),
    test("flow.sendfile_parked", flow::sendfile_pinned::while_parked),
    test("flow.sendfile_short", flow::sendfile_short::run),
    test("flow.seccomp", flow::seccomp::run),
    test("flow.source_closed", flow::published::source_closed),
    test("flow.write_waits", flow::published::write_waits),
    test("flow.close_loses_nothing", flow::published::close_loses_nothing),
    test("flow.park", flow::park::run),
    test("flow.park_wait", flow::park_wait::run),
    test("flow.park_no_deadlock", flow::park_no_deadlock::run),
    test("flow.outstanding", flow::outstanding::run),
    test("flow.limit", flow::limit::run),
    test("flow.epollout_level", flow::epollout_level::run),
    test("flow.epollout_edge", flow::epollout_edge::run),
    test("flow.close_now", flow::close_now::run),
    test("flow.reuse_raw", flow::reuse::by_raw_call),
    test("flow.reuse_close", flow::reuse::by_close_entry),
    test("flow.reuse_dup2", flow::reuse::by_dup2),
    test("flow.reuse_close_range", flow::reuse::by_close_range),
    test("flow.stale", flow::stale::run),
    test("flow.shutdown_queued", flow::shutdown_queued::run),
    test("flow.ebusy", flow::ebusy::run),
    test("flow.tls", flow::tls::run),
    test("flow.blocking_owner", flow::blocking_owner::run),
    test("flow.blocking_writer", flow::blocking_writer::run),
    test("flow.cancelled", flow::cancelled::run),
    test("flow.peer_reset", flow::peer_reset::run),
    test("flow.linger0", flow::linger0::run),
    test("flow.unregister_parked", flow::unregister_parked::run),
    test("flow.exit_publishes", flow::exit_publishes::run),
    test("flow.kill9_publishes", flow::kill9_publishes::run),
    test("flow.kill9_parked", flow::kill9_parked::run),
    test("flow.exec_publishes", flow::exec_publishes::run),
    slow("flow.orphan_patience", flow::orphan_patience::run, 150),
    slow("flow.orphan_bytes", flow::orphan_limits::bytes, 60),
    slow("flow.orphan_number", flow::orphan_limits::number, 240),

    test("pool.attributes", pool::attributes::run),
    test("pool.bad_attributes", pool::bad_attributes::run),
    test("pool.permission", pool::permission::run),
    test("pool.list", pool::list::run),
    test("pool.attach", pool::attach::run),
    test("pool.group", pool::group::run),
    test("pool.served", pool::served::run),
    test("pool.auto", pool::auto::run),
    test("pool.close_behind_a_file", pool::ordinary::close_behind_a_file),
    test("pool.close_between_files", pool::ordinary::close_between_files),
    test("pool.ordinary_before_a_flow", pool::ordinary::before_a_flow),
    test("pool.chain", pool::ordinary::chain),
    slow("pool.wait_last", pool::wait_last::run, 60),
    test("pool.credentials", pool::credentials::run),
    test("pool.seccomp", pool::seccomp::run),
    slow("pool.idle", pool::idle::run, 40),
    test("pool.no_room", pool::no_room::run),
    test("pool.slow_peer", pool::slow_peer::run),
    test("pool.remove", pool::remove::run),
    slow("pool.owner_ends", pool::owner_ends::run, 60),
    test("pool.many_rings", pool::many_rings::run),
    slow("pool.fair", pool::fair::run, 120),
    slow("pool.held_up", pool::held_up::run, 60),
    slow("pool.mask", pool::mask::run, 120),
    slow("pool.resize", pool::resize::run, 120),
    slow("pool.hotplug", pool::hotplug::run, 120),
    slow("pool.stress", pool::stress::run, 240),
    slow("pool.kill9", pool::kill9::run, 240),

    test("api.batch", api::batch::run),
    test("api.waits_end", api::waits_end::run),
    test("api.flow_sends", api::flow_sends::run),
    test("api.flow_sends_default_pool", api::flow_sends::default_pool),
    slow("api.slow_peer", api::slow_peer::run, 60),
    test("api.connection_fails", api::connection_fails::run),
    test("api.wait_last", api::wait_last::run),

    slow("security.seccomp_actions", security::seccomp_actions::run, 120),
    test("security.seccomp_tsync", security::seccomp_tsync::run),
    test("security.seccomp_number", security::seccomp_number::run),
    test("security.seccomp_kill_thread", security::seccomp_kill_thread::run),
    test("security.seccomp_dead", security::seccomp_dead::run),
    test("security.seccomp_strict", security::seccomp_strict::run),
    test("security.seccomp_forbids_saio", security::seccomp_forbids_saio::run),
    test("security.credentials", security::credentials::run),
    test("security.setuid_exec", security::setuid_exec::run),
    test("security.landlock", security::landlock::run),
    test("security.chroot", security::chroot::run),
    test("security.mount_namespace", security::namespaces::mounts),
    test("security.shared_directory", security::namespaces::shared_directory),
    test("security.network_namespace", security::namespaces::network),
    test("security.user_namespace", security::namespaces::users),
    test("security.limits", security::limits::run),
    test("security.memory_cgroup", security::memory_cgroup::run),
    slow("security.oom_kill", security::oom_kill::run, 60),
    slow("security.freezer", security::freezer::run, 60),
    test("security.ptrace", security::ptrace::run),
    slow("security.core_dump", security::core_dump::run, 60),
    slow("security.random_programs", security::random_programs::run, 240),

    slow("programs.api_c", programs::api_c::dynamic, 60),
    slow("programs.api_c_static", programs::api_c::with_static_library, 60),
    slow("programs.echo_rust", programs::echo::rust, 60),
    slow("programs.echo_c", programs::echo::c, 60),
    slow("programs.echo_c_static", programs::echo::c_with_static_library, 60),
    slow("programs.esca_inline", programs::esca::inline, 60),
    slow("programs.esca_auto", programs::esca::auto, 60),
    slow("programs.esca_pool", programs::esca::pool, 60),

    // Those above once more, where threads of a pool may run the entries. Those that are not here
    // are named at the end of this file, with the reason.
    pooled("flow_pool.send_bytes", flow::send_bytes::run, 60),
    pooled("flow_pool.join", flow::join::run, 20),
    pooled("flow_pool.cork_entry", flow::cork_entry::run, 20),
    pooled("flow_pool.shutdown_entry", flow::shutdown_entry::run, 20),
    pooled("flow_pool.bad_entries", flow::bad_entries::run, 20),
    pooled("flow_pool.busy", flow::busy::run, 20),
    pooled("flow_pool.direct_write", flow::direct_write::run, 30),
    pooled("flow_pool.sendfile_in_a_chain", flow::sendfile_pinned::in_a_chain, 20),
    pooled("flow_pool.sendfile_parked", flow::sendfile_pinned::while_parked, 20),
    pooled("flow_pool.sendfile_short", flow::sendfile_short::run, 20),
    pooled("flow_pool.seccomp", flow::seccomp::run, 20),
    pooled("flow_pool.source_closed", flow::published::source_closed, 20),
    pooled("flow_pool.write_waits", flow::published::write_waits, 20),
    pooled("flow_pool.close_loses_nothing", flow::published::close_loses_nothing, 20),
    pooled("flow_pool.park", flow::park::run, 20),
    pooled("flow_pool.park_wait", flow::park_wait::run, 20),
    pooled("flow_pool.park_no_deadlock", flow::park_no_deadlock::run, 20),
    pooled("flow_pool.outstanding", flow::outstanding::run, 20),
    pooled("flow_pool.limit", flow::limit::run, 20),
    pooled("flow_pool.epollout_level", flow::epollout_level::run, 20),
    pooled("flow_pool.epollout_edge", flow::epollout_edge::run, 20),
    pooled("flow_pool.close_now", flow::close_now::run, 20),
    pooled("flow_pool.reuse_raw", flow::reuse::by_raw_call, 20),
    pooled("flow_pool.reuse_close", flow::reuse::by_close_entry, 20),
    pooled("flow_pool.reuse_dup2", flow::reuse::by_dup2, 20),
    pooled("flow_pool.reuse_close_range", flow::reuse::by_close_range, 20),
    pooled("flow_pool.stale", flow::stale::run, 20),
    pooled("flow_pool.shutdown_queued", flow::shutdown_queued::run, 20),
    pooled("flow_pool.ebusy", flow::ebusy::run, 20),
    pooled("flow_pool.tls", flow::tls::run, 20),
    pooled("flow_pool.blocking_writer", flow::blocking_writer::run, 20),
    pooled("flow_pool.cancelled", flow::cancelled::run, 20),
    pooled("flow_pool.peer_reset", flow::peer_reset::run, 20),
    pooled("flow_pool.linger0", flow::linger0::run, 20),
    pooled("flow_pool.unregister_parked", flow::unregister_parked::run, 20),
    pooled("flow_pool.exit_publishes", flow::exit_publishes::run, 20),
    pooled("flow_pool.kill9_publishes", flow::kill9_publishes::run, 20),
    pooled("flow_pool.kill9_parked", flow::kill9_parked::run, 20),
    pooled("flow_pool.exec_publishes", flow::exec_publishes::run, 20),
    pooled("flow_pool.orphan_patience", flow::orphan_patience::run, 150),
    pooled("flow_pool.orphan_bytes", flow::orphan_limits::bytes, 60),
    pooled("api_pool.batch", api::batch::run, 20),
    pooled("api_pool.waits_end", api::waits_end::run, 20),
    pooled("api_pool.flow_sends", api::flow_sends::run, 20),
    pooled("api_pool.slow_peer", api::slow_peer::run, 60),
    pooled("api_pool.connection_fails", api::connection_fails::run, 20),
    pooled("api_pool.wait_last", api::wait_last::run, 20),
    pooled("security_pool.seccomp_dead", security::seccomp_dead::run, 20),
    pooled("security_pool.seccomp_number", security::seccomp_number::run, 20),
    pooled("security_pool.setuid_exec", security::setuid_exec::run, 20),
    pooled("security_pool.landlock", security::landlock::run, 20),
    pooled("security_pool.network_namespace", security::namespaces::network, 20),
    pooled("security_pool.user_namespace", security::namespaces::users, 20),
    pooled("security_pool.oom_kill", security::oom_kill::run, 60),
    pooled("security_pool.freezer", security::freezer::run, 60),
    pooled("security_pool.ptrace", security::ptrace::run, 20),
    pooled("security_pool.core_dump", security::core_dump::run, 60),
    pooled("programs_pool.echo_rust", programs::echo::rust, 60),
    pooled("programs_pool.echo_c", programs::echo::c, 60),
    pooled("programs_pool.echo_c_static", programs::echo::c_with_static_library, 60),
    pooled("leak_pool.rings", leak::rings::run, 240),
    pooled("leak_pool.flows", leak::flows::run, 240),

    slow("leak.rings", leak::rings::run, 240),
    slow("leak.flows", leak::flows::run, 240),
];

#[cfg(test)]
mod unit {
    use super::ALL;

    /// Tests of flows that do not run with every ring in a pool, and why.
    const NOT_POOLED: &[(&str, &str)] = &[
        (
            "blocking_owner",
            "threads of the pool take what the owner alone dispatches inline",
        ),
        ("register", "no entry runs"),
        ("register_full", "no entry runs"),
        ("register_connecting", "no entry runs"),
        (
            "sendfile_pinned",
            "it opens the source by an ordinary entry that is not linked to the sendfile, which a \
             thread may run first",
        ),
        (
            "orphan_number",
            "thousands of connections more for the same count as in orphan_bytes",
        ),
    ];

    #[test]
    fn tests_of_flows_run_in_a_pool_too_or_say_why_not() {
        let exists = |name: String| ALL.iter().any(|test| test.name == name);
        for (name, why) in NOT_POOLED {
            assert!(exists(format!("flow.{name}")) && !why.is_empty(), "{name}");
        }
        let flows = ALL
            .iter()
            .filter_map(|test| test.name.strip_prefix("flow."));
        for name in flows {
            let excluded = NOT_POOLED.iter().any(|(other, _)| *other == name);
            assert_ne!(excluded, exists(format!("flow_pool.{name}")), "{name}");
        }
    }
}
