// SPDX-License-Identifier: GPL-2.0

//! The table of calls against the one of this kernel.

use crate::{
    kunit::{assert, assert_eq},
    logic::policy::{lookup, name},
};
use kernel::bindings;

suite!("saio_policy_table", self::{
    every_call_of_this_kernel_has_a_row,
    what_is_allowed_exists,
    nothing_is_allowed_beyond_the_table,
});

fn exists(nr: u16) -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::saio_test_has_call(nr.into()) }
}

fn every_call_of_this_kernel_has_a_row() {
    let mut rows = 0;
    for nr in (0..bindings::NR_syscalls as u16).filter(|nr| exists(*nr)) {
        assert!(name(nr).is_some(), "call {nr} has no row");
        rows += 1;
    }
    assert!(rows > 300, "{rows} calls");
}

fn what_is_allowed_exists() {
    for nr in (0..=u16::MAX).filter(|nr| lookup(*nr).allowed()) {
        assert!(exists(nr), "call {nr} does not exist");
    }
}

fn nothing_is_allowed_beyond_the_table() {
    let beyond = bindings::NR_syscalls as u16..=u16::MAX;
    assert_eq!(beyond.filter(|nr| lookup(*nr).allowed()).count(), 0);
}
