// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is said on the way and at the end.

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use saio_logic::policy::{Class, TABLE};

use crate::stats::{Stats, COLUMNS, OWN_ROW};

/// Errors that progress shows.
const SHOWN: usize = 6;

/// Rows of the calls that the policy allows.
fn allowed() -> impl Iterator<Item = usize> {
    TABLE
        .iter()
        .filter(|rule| rule.class == Class::Inline)
        .map(|rule| usize::from(rule.nr))
}

/// Name of an error, as short as it gets.
fn error_name(number: usize) -> String {
    if number == COLUMNS - 1 {
        return "other".to_owned();
    }
    // SAFETY: the function takes any number, and gives a constant string or null.
    let name = unsafe {
        let name = strerrorname_np(number as i32);
        if name.is_null() {
            c"?"
        } else {
            CStr::from_ptr(name)
        }
    };
    name.to_string_lossy().into_owned()
}

unsafe extern "C" {
    /// glibc's name of an error, such as `EPERM`; libc does not declare it.
    fn strerrorname_np(number: i32) -> *const libc::c_char;
}

fn histogram(stats: &Stats, count: usize) -> String {
    let words = stats
        .histogram()
        .into_iter()
        .take(count)
        .map(|(error, sum)| match error {
            0 => format!("ok {sum}"),
            error => format!("{} {sum}", error_name(error)),
        });
    words.collect::<Vec<_>>().join(" ")
}

/// One line on stderr.
pub fn progress(stats: &Stats) {
    let (good, bad) = stats.answered(allowed());
    eprintln!(
        "cases {} entries {} completions {}; calls answered: {good} with success, {bad} with an error; {}",
        stats.cases.load(Relaxed),
        stats.entries.load(Relaxed),
        stats.completions.load(Relaxed),
        histogram(stats, SHOWN)
    );
}

/// The account at the end, on stdout.
pub fn summary(stats: &Stats) {
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
    let (good, bad) = stats.answered(allowed());
    let refused = |error: i32| {
        let cells = stats.results[..OWN_ROW]
            .iter()
            .map(|row| &row[error as usize]);
        cells.map(|cell| u64::from(cell.load(Relaxed))).sum::<u64>()
    };
    println!(
        "saio-fuzz: {} cases ({} exited, {} died, {} were killed), {} steps",
        get(&stats.cases),
        get(&stats.ends[0]),
        get(&stats.ends[1]),
        get(&stats.ends[2]),
        get(&stats.steps)
    );
    println!(
        "entries: {} written, {} of them of flows; {} taken by saio_enter; {} completions, {} refused, {} cancelled",
        get(&stats.entries),
        get(&stats.flow_entries),
        get(&stats.taken),
        get(&stats.completions),
        refused(libc::EOPNOTSUPP),
        refused(libc::ECANCELED)
    );
    println!("results: {}", histogram(stats, COLUMNS));
    println!(
        "reached: {good} of {} allowed calls with success, {bad} with an error; {} pairs of call and result; {} allocations failed",
        allowed().count(),
        stats.pairs(),
        get(&stats.failed_allocations)
    );
    for (i, name) in ["saio_setup", "saio_enter", "saio_register", "saio_pool"]
        .iter()
        .enumerate()
    {
        let row = &stats.results[OWN_ROW + i];
        let results = row
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.load(Relaxed) != 0);
        let words: Vec<String> = results
            .map(|(error, cell)| match error {
                0 => format!("ok {}", cell.load(Relaxed)),
                error => format!("{} {}", error_name(error), cell.load(Relaxed)),
            })
            .collect();
        println!("{name}: {}", words.join(" "));
    }
    let missing: Vec<&str> = TABLE
        .iter()
        .filter(|rule| rule.class == Class::Inline)
        .filter(|rule| stats.results[usize::from(rule.nr)][0].load(Relaxed) == 0)
        .map(|rule| rule.name)
        .collect();
    println!("never with success: {}", missing.join(" "));
}
