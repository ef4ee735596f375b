// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls of one thread: one by one, in batches of SAIO, in batches of io_uring.

mod ring;
mod target;
mod uring;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_report::results::Better;
use nix::time::{clock_gettime, ClockId};

use super::figure::{Batches, Call, Figure, LARGEST_BATCH};
use super::record::{Clock, Named, Record};
use crate::progress::Progress;
use crate::stage::Variant;
use target::Target;

/// Calls between two looks at the clock, and in the largest batch. So many sends have room in a socket as it comes.
const STRETCH: u32 = LARGEST_BATCH;
/// Stretches that fill caches before anything is measured.
const WARM_UP: u64 = 4;

const NOTES: [&str; 2] = [
    "cpu is what the process ran (CLOCK_PROCESS_CPUTIME_ID) for a call, with the filling of the queue and the taking of the result. Calls are getppid, write of 64 bytes to /dev/null, read of 4 KiB of a file in the directory for temporary files, and send of 256 bytes on a Unix socket. One by one (default) the size of the batch changes nothing.",
    "io_uring has no getppid: it does nothing instead (NOP), so there it shows what the way alone costs. Its ring has one issuer and defers the work of the task. A file on tmpfs cannot be read without a chance to wait, so io_uring leaves such reads to a thread of its own; on ext4 or XFS it does not. inline is a ring of libsaio.",
];

/// A way to make calls.
trait Caller {
    /// Makes a call so many times, in one batch.
    ///
    /// # Errors
    ///
    /// A call failed.
    fn batch(&mut self, call: Call, target: &mut Target, number: u32) -> Result<()>;
}

/// One call at a time.
struct Plain;

impl Caller for Plain {
    fn batch(&mut self, call: Call, target: &mut Target, number: u32) -> Result<()> {
        (0..number).try_for_each(|_| target.make(call))
    }
}

fn caller(variant: Variant) -> Result<Box<dyn Caller>> {
    Ok(match variant {
        Variant::Inline => Box::new(ring::Batch::new()?),
        Variant::IoUring => Box::new(uring::Batch::new()?),
        _ => Box::new(Plain),
    })
}

/// Measures a figure.
///
/// # Errors
///
/// The kernel has no SAIO or no io_uring, or a call failed.
pub fn measure(
    figure: &Figure,
    batches: &Batches,
    clock: Clock,
    record: &mut Record,
) -> Result<()> {
    for note in NOTES {
        record.note(note.to_owned());
    }
    let mut target = Target::new()?;
    let mut callers = Vec::new();
    for &variant in &batches.variants {
        let caller = caller(variant).with_context(|| variant.name().to_owned())?;
        callers.push((variant, caller));
    }
    let mut points = Vec::new();
    for &call in &batches.calls {
        points.extend(batches.batch.iter().map(|&size| (call, size)));
    }
    let total = points.len() * callers.len() * figure.repeats as usize;
    let mut progress = Progress::new(total, clock.is_wall());
    let (unit, scale) = clock.cpu_unit("call");
    for repeat in 0..figure.repeats as usize {
        for (place, &(call, size)) in points.iter().enumerate() {
            for turn in 0..callers.len() {
                // Whoever comes first at one point comes later at the next.
                let number = (turn + repeat + place) % callers.len();
                let (variant, caller) = &mut callers[number];
                let what = format!("{}, batch {size}, {}", call.name(), variant.name());
                let mut measured = |calls| stretches(&mut **caller, call, &mut target, size, calls);
                let ns = measured(WARM_UP * u64::from(STRETCH))
                    .and_then(|_| measured(batches.number))
                    .with_context(|| what.clone())?;
                progress.done(&what, &format!("{ns:.0} ns a call"));
                let named = Named {
                    heading: figure.heading(call.name()),
                    workload: call.name(),
                    parameters: &BTreeMap::from([("batch".to_owned(), f64::from(size))]),
                    variant: variant.name(),
                    baseline: variant.is_baseline(),
                };
                let metric = ("cpu", unit.as_str(), Better::Lower);
                record.add([0, place, number, 0], &named, metric, ns * scale);
                record.save()?;
            }
        }
    }
    Ok(())
}

/// Makes calls between marks, few and then by `number` more, or a few more than that to fill the last batch. Returns by
/// how many more, and nanoseconds for each of those.
///
/// # Errors
///
/// The kernel has no SAIO, or a call failed.
pub fn marked(
    variant: Variant,
    call: Call,
    size: u32,
    number: u64,
    mut mark: impl FnMut(),
) -> Result<(u64, f64)> {
    let mut caller = caller(variant)?;
    let mut target = Target::new()?;
    let each = u64::from(stretch(size));
    let few = WARM_UP * each;
    let more = number.next_multiple_of(each);
    let mut time = |calls: u64| {
        mark();
        let ns = stretches(&mut *caller, call, &mut target, size, calls)?;
        mark();
        anyhow::Ok(ns * calls as f64)
    };
    let short = time(few)?;
    Ok((more, (time(few + more)? - short) / more as f64))
}

/// Calls between two looks at the clock: whole batches.
fn stretch(size: u32) -> u32 {
    STRETCH / size * size
}

/// Nanoseconds a call, of at least so many calls in batches of this size.
fn stretches(
    caller: &mut dyn Caller,
    call: Call,
    target: &mut Target,
    size: u32,
    calls: u64,
) -> Result<f64> {
    let each = u64::from(stretch(size));
    let number = calls.div_ceil(each);
    let mut time = Duration::ZERO;
    for _ in 0..number {
        let look = now()?;
        let begin = now()?;
        for _ in 0..stretch(size) / size {
            caller.batch(call, target, size)?;
        }
        // A look at the clock costs something itself.
        time += (now()? - begin).saturating_sub(begin - look);
        target.take_back(call, stretch(size))?;
    }
    Ok(time.as_nanos() as f64 / (number * each) as f64)
}

/// What all threads of this process have run: io_uring may have some of its own.
fn now() -> Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).context("cannot read the clock")?;
    Ok(time.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_calls_take_time() {
        let mut target = Target::new().unwrap();
        for call in Call::ALL {
            for size in [1, 3, 128] {
                let ns = stretches(&mut Plain, call, &mut target, size, 1000).unwrap();
                assert!(ns > 0.0, "{call:?} in batches of {size}");
            }
        }
    }

    #[test]
    fn batches_of_io_uring_do_the_same() {
        let mut caller = match uring::Batch::new() {
            Ok(caller) => caller,
            Err(error) => {
                println!("skipped: {error:#}");
                return;
            }
        };
        let mut target = Target::new().unwrap();
        for call in Call::ALL {
            for size in [1, 64] {
                let ns = stretches(&mut caller, call, &mut target, size, 200).unwrap();
                assert!(ns > 0.0, "{call:?} in batches of {size}");
            }
        }
    }
}
