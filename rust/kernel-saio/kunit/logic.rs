// SPDX-License-Identifier: GPL-2.0

//! The tests of what knows nothing of the kernel, in the kernel.

use crate::logic::{chain::tests as chain, phase::tests as phase, policy::tests as policy};

suite!("saio_chain", chain::{
    open_fstat_read_close,
    failed_source_cancels_all_that_hang_on_it,
    hardlink_goes_on_but_failed_source_does_not,
    contradictions_are_invalid,
    long_chain_keeps_the_newest_results,
});

suite!("saio_phase", phase::{
    begin_and_finish_by_turns,
    who_has_the_lock_keeps_others_away,
    what_has_to_be_looked_at_is,
});

suite!("saio_policy", policy::{
    rows_are_sorted_unique_and_consistent,
    dangerous_calls_are_never_allowed,
    unknown_numbers_are_denied,
    lookup_agrees_with_the_table,
    flows_take_exactly_the_write_side,
    temporary_masks_are_known,
});
