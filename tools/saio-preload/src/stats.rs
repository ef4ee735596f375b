// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counters of each thread with a ring, written as a line of JSON when the process ends.

use std::fmt::{self, Write};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

pub use saio::preload::{Call, Why};
use saio::sys;

use crate::say::Line;
use crate::{rules, settings};

const CALLS: usize = Call::ALL.len();
const WHYS: usize = Why::ALL.len();

/// Room for the line; a line that does not fit is cut off.
const LINE: usize = 8192;

/// Why a queue was flushed.
#[derive(Clone, Copy, Debug)]
pub enum Flush {
    /// With the `epoll_wait` that ends the turn.
    Wait,
    /// Another call that may wait: `poll`, `select`.
    Poll,
    /// As many entries as a batch may have.
    Count,
    /// Entries waited for too long.
    Age,
    /// A flow had as many bytes as it may have in a batch.
    Bytes,
    /// No arena memory, or too many completions outstanding.
    Room,
    /// A call had to go straight through behind what was queued.
    Pass,
    /// A flow failed, or somebody else closed one of its descriptors.
    Gone,
    /// Fork, exec, exit, the end of a thread.
    Process,
    /// Descriptors ran out while closes were queued.
    Numbers,
    /// A signal came before the wait.
    Signal,
    /// The end of a region, see [`crate::esca`].
    Region,
}

const FLUSHES: [&str; 12] = [
    "wait", "poll", "count", "age", "bytes", "room", "pass", "gone", "process", "numbers",
    "signal", "region",
];

/// Counts of calls by their reasons.
type Passed = [[AtomicU64; WHYS]; CALLS];

/// Counters of one thread. Only that thread changes them.
#[derive(Debug, Default)]
pub struct Counters {
    /// Answered before they ran.
    pub deferred: [AtomicU64; CALLS],
    /// Went straight through, and why.
    pub passed: Passed,
    /// Answered with `EAGAIN`: by the status word alone, or reads.
    pub full: [AtomicU64; CALLS],
    /// Cork toggles that were answered and that nothing was queued for.
    pub folded: AtomicU64,
    /// Parts of files queued directly behind bytes of the same flow.
    pub joined: AtomicU64,
    pub flushes: [AtomicU64; FLUSHES.len()],
    /// `saio_enter` calls.
    pub crossings: AtomicU64,
    /// Waits that were the last entry of a batch.
    pub waits: AtomicU64,
    /// Calls that woke the pool in the middle of a batch.
    pub wakeups: AtomicU64,
    /// Entries that were taken between crossings, mostly by the pool.
    pub others: AtomicU64,
    /// Completions with an error.
    pub errors: AtomicU64,
    /// Flows registered.
    pub flows: AtomicU64,
    /// Connections that the kernel would not make flows.
    pub refused: AtomicU64,
}

/// Adds one to a counter that only this thread changes.
#[inline]
pub fn bump(counter: &AtomicU64) {
    add(counter, 1);
}

/// Adds `n` to a counter that only this thread changes.
#[inline]
pub fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// Calls that went straight through before it mattered which ring they could have been for: those of
/// all threads, and only if somebody wants to know.
static THROUGH: Passed = [const { [const { AtomicU64::new(0) }; WHYS] }; CALLS];

/// Counts a call that goes straight through, of a thread that may have no ring.
#[inline]
pub fn through(call: Call, why: Why) {
    if settings::stats().is_some() {
        count_through(call, why);
    }
}

#[cold]
fn count_through(call: Call, why: Why) {
    let why = if settings::on() { why } else { Why::Off };
    THROUGH[call as usize][why as usize].fetch_add(1, Ordering::Relaxed);
}

/// Connections accepted, by all threads.
pub static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// Counters of the threads; they are never freed.
static BOOK: [AtomicPtr<Counters>; 256] = [const { AtomicPtr::new(ptr::null_mut()) }; 256];
static RINGS: AtomicUsize = AtomicUsize::new(0);

/// The process was made by fork and not by exec.
static FORKED: AtomicBool = AtomicBool::new(false);
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Enters the counters of a new ring. Those of more threads than fit are lost.
pub fn enlist(counters: *mut Counters) {
    let place = RINGS.fetch_add(1, Ordering::Relaxed);
    if let Some(slot) = BOOK.get(place) {
        slot.store(counters, Ordering::Release);
    }
}

/// A forked child counts from zero.
pub fn forked() {
    for slot in &BOOK {
        slot.store(ptr::null_mut(), Ordering::Relaxed);
    }
    for counter in THROUGH.iter().flatten() {
        counter.store(0, Ordering::Relaxed);
    }
    RINGS.store(0, Ordering::Relaxed);
    ACCEPTED.store(0, Ordering::Relaxed);
    WRITTEN.store(false, Ordering::Relaxed);
    FORKED.store(true, Ordering::Relaxed);
}

/// Writes the line, once for a process.
pub fn write() {
    let Some(fd) = settings::stats() else {
        return;
    };
    if WRITTEN.swap(true, Ordering::Relaxed) {
        return;
    }
    let idle = RINGS.load(Ordering::Relaxed) == 0 && ACCEPTED.load(Ordering::Relaxed) == 0;
    if idle && FORKED.load(Ordering::Relaxed) && !had_connections() {
        return;
    }
    let mut line = Line::<LINE>::new();
    let _ = json(&mut line);
    line.send(fd);
}

/// Whether the process wrote to connections that others made flows, or could have.
fn had_connections() -> bool {
    let on_connection = |calls: &[AtomicU64; WHYS]| {
        let whys = Why::ALL.iter().zip(calls);
        whys.filter(|(why, _)| why.on_connection())
            .any(|(_, count)| count.load(Ordering::Relaxed) != 0)
    };
    THROUGH.iter().any(on_connection)
}

fn json(out: &mut impl Write) -> fmt::Result {
    write!(out, "{{\"pid\":{},\"program\":\"", std::process::id())?;
    program(out)?;
    write!(out, "\",\"mode\":\"{}\"", settings::mode().name())?;
    if let Some((pool, _)) = settings::pool() {
        // Its characters need no escapes.
        write!(out, ",\"pool\":\"{pool}\"")?;
    }
    if let Some(patterns) = rules::matched() {
        // Nor do those of patterns.
        write!(out, ",\"rules\":[{patterns}]")?;
    }
    write!(
        out,
        ",\"rings\":{},\"accepted\":{}",
        RINGS.load(Ordering::Relaxed),
        ACCEPTED.load(Ordering::Relaxed),
    )?;
    for (name, value) in [
        ("flows", sum(|c| &c.flows)),
        ("refused", sum(|c| &c.refused)),
        ("crossings", sum(|c| &c.crossings)),
        ("waits_merged", sum(|c| &c.waits)),
        ("wakeups", sum(|c| &c.wakeups)),
        ("taken_by_others", sum(|c| &c.others)),
        ("full", writes_again()),
        ("folded", sum(|c| &c.folded)),
        ("joined", sum(|c| &c.joined)),
        ("errors", sum(|c| &c.errors)),
    ] {
        write!(out, ",\"{name}\":{value}")?;
    }
    let calls = || Call::ALL.iter().map(|call| call.name());
    group(out, "deferred", calls(), |i| sum(|c| &c.deferred[i]))?;
    group(out, "again", calls(), |i| sum(|c| &c.full[i]))?;
    let passed =
        |i: usize, j: usize| sum(|c| &c.passed[i][j]) + THROUGH[i][j].load(Ordering::Relaxed);
    group(out, "passed", calls(), |i| {
        (0..WHYS).map(|j| passed(i, j)).sum()
    })?;
    out.write_str(",\"why\":{")?;
    let mut comma = "";
    for (i, call) in calls().enumerate() {
        if (0..WHYS).any(|j| passed(i, j) != 0) {
            write!(out, "{comma}\"{call}\":{{")?;
            let whys = Why::ALL.iter().map(|why| why.name());
            members(out, whys, true, |j| passed(i, j))?;
            out.write_str("}")?;
            comma = ",";
        }
    }
    out.write_str("}")?;
    group(out, "flushes", FLUSHES.into_iter(), |i| {
        sum(|c| &c.flushes[i])
    })?;
    out.write_str("}\n")
}

/// Writes that were answered with `EAGAIN`.
fn writes_again() -> u64 {
    let writes = Call::ALL.iter().filter(|call| **call != Call::Read);
    writes.map(|call| sum(|c| &c.full[*call as usize])).sum()
}

fn group<'a>(
    out: &mut impl Write,
    name: &str,
    names: impl Iterator<Item = &'a str>,
    value: impl Fn(usize) -> u64,
) -> fmt::Result {
    write!(out, ",\"{name}\":{{")?;
    members(out, names, false, value)?;
    out.write_str("}")
}

/// Members of an object; with `some` only those that are not zero.
fn members<'a>(
    out: &mut impl Write,
    names: impl Iterator<Item = &'a str>,
    some: bool,
    value: impl Fn(usize) -> u64,
) -> fmt::Result {
    let mut comma = "";
    for (i, name) in names.enumerate() {
        let value = value(i);
        if value != 0 || !some {
            write!(out, "{comma}\"{name}\":{value}")?;
            comma = ",";
        }
    }
    Ok(())
}

fn sum(counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
    BOOK.iter()
        .filter_map(|slot| {
            // SAFETY: null, or counters that are never freed and only used atomically.
            unsafe { slot.load(Ordering::Acquire).as_ref() }
        })
        .map(|counters| counter(counters).load(Ordering::Relaxed))
        .sum()
}

/// The name of the thread's program, as far as it needs no escapes.
fn program(out: &mut impl Write) -> fmt::Result {
    let mut name = [0u8; 16];
    let args = [
        libc::PR_GET_NAME as usize,
        name.as_mut_ptr() as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the call writes at most 16 bytes.
    unsafe { sys::syscall(libc::SYS_prctl, args) };
    for byte in name.into_iter().take_while(|byte| *byte != 0) {
        let plain = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
        out.write_char(if plain { byte as char } else { '_' })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name() {
        assert_eq!(Flush::Region as usize + 1, FLUSHES.len());
    }
}
