// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests, one behaviour a file, and the list of them all.

mod batch;
pub mod enter;
mod flow;
mod leak;
mod setup;

use crate::harness::ktap::Test;

const fn test(name: &'static str, run: fn()) -> Test {
    slow(name, run, 20)
}

const fn slow(name: &'static str, run: fn(), seconds: u32) -> Test {
    Test { name, run, seconds }
}

/// Every test, in the order in which they run: what others rely on comes first.
#[rustfmt::skip]
pub static ALL: &[Test] = &[
    test("setup.params", setup::params::run),
    test("setup.cloexec", setup::cloexec::run),
    test("setup.mmap", setup::mmap::run),
    test("setup.too_many", setup::too_many::run),
    test("setup.memlock", setup::memlock::run),
    test("setup.pool_is_reserved", setup::pool::run),

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
    test("batch.fork_vfork_thread", batch::fork_vfork_thread::run),

    test("flow.register", flow::register::run),
    test("flow.register_full", flow::register_full::run),
    slow("flow.send_bytes", flow::send_bytes::run, 60),
    test("flow.join", flow::join::run),
    test("flow.cork_entry", flow::cork_entry::run),
    test("flow.shutdown_entry", flow::shutdown_entry::run),
    test("flow.bad_entries", flow::bad_entries::run),
    test("flow.sendfile_pinned", flow::sendfile_pinned::run),
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
    test("flow.blocking_writer", flow::blocking_writer::run),
    test("flow.peer_reset", flow::peer_reset::run),
    test("flow.linger0", flow::linger0::run),
    test("flow.unregister_parked", flow::unregister_parked::run),
    test("flow.exit_publishes", flow::exit_publishes::run),
    test("flow.kill9_publishes", flow::kill9_publishes::run),
    test("flow.kill9_parked", flow::kill9_parked::run),
    test("flow.exec_publishes", flow::exec_publishes::run),

    slow("leak.rings", leak::rings::run, 240),
    slow("leak.flows", leak::flows::run, 240),
];
