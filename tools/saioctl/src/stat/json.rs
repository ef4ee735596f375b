// SPDX-License-Identifier: MIT OR Apache-2.0

//! A sample for scripts. docs/observing.md explains the fields.

use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::counts::{percentile, Hist, Pool, Ring, Why};
use super::sample::{PoolNow, RingNow, Sample};
use super::why;

/// Version of the output; changes when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    time_unix_s: f64,
    /// Null in the first sample.
    interval_s: Option<f64>,
    unreadable_processes: usize,
    pools: Vec<PoolOut<'a>>,
    rings: Vec<RingOut<'a>>,
}

#[derive(Serialize)]
struct PoolOut<'a> {
    name: &'a str,
    id: u32,
    rings: u32,
    workers: u32,
    max: u32,
    threads: u32,
    runnable: u32,
    total: Pool<u64>,
    per_second: Option<Pool<f64>>,
    wait: Wait,
}

#[derive(Serialize)]
struct RingOut<'a> {
    ring: u64,
    owner: u32,
    command: &'a str,
    mode: &'a str,
    pool: Option<&'a str>,
    sq_waiting: u64,
    sq_slots: u64,
    flows: u64,
    total: Ring<u64>,
    per_second: Option<Ring<f64>>,
    inline_because: Why<u64>,
    why: String,
    wait: Wait,
}

/// Waits since the last sample.
#[derive(Serialize)]
struct Wait {
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
    log2_ns: Hist,
}

impl From<Hist> for Wait {
    fn from(hist: Hist) -> Self {
        Self {
            p50_ns: percentile(&hist, 0.5),
            p99_ns: percentile(&hist, 0.99),
            log2_ns: hist,
        }
    }
}

/// The sample as a line of JSON.
///
/// # Errors
///
/// Those of serde_json; none are known.
pub fn line(sample: &Sample, before: Option<&Sample>) -> serde_json::Result<String> {
    let since_1970 = sample.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let output = Output {
        schema: SCHEMA,
        time_unix_s: since_1970.as_secs_f64(),
        interval_s: before.map(|before| sample.seconds_since(before)),
        unreadable_processes: sample.unreadable,
        pools: sample
            .pools
            .iter()
            .map(|now| pool(sample, now, before))
            .collect(),
        rings: sample
            .rings
            .iter()
            .map(|now| ring(sample, now, before))
            .collect(),
    };
    Ok(serde_json::to_string(&output)? + "\n")
}

fn pool<'a>(sample: &Sample, now: &'a PoolNow, before: Option<&Sample>) -> PoolOut<'a> {
    let change = sample.of_pool(now, before);
    PoolOut {
        name: now.pool.name.as_str(),
        id: now.pool.id,
        rings: now.pool.rings,
        workers: now.pool.attributes.workers,
        max: now.pool.attributes.max,
        threads: now.threads,
        runnable: now.runnable,
        total: now.counts,
        per_second: before.map(|_| change.counts),
        wait: change.wait.into(),
    }
}

fn ring<'a>(sample: &Sample, now: &'a RingNow, before: Option<&Sample>) -> RingOut<'a> {
    let info = &now.info;
    let change = sample.of_ring(info, before);
    RingOut {
        ring: info.ring,
        owner: info.owner,
        command: &now.command,
        mode: &info.mode,
        pool: info.pool.as_deref(),
        sq_waiting: info.pending,
        sq_slots: info.slots,
        flows: info.flows,
        total: info.counts,
        per_second: before.map(|_| change.counts),
        inline_because: info.why,
        why: why::short(&change.counts, &change.why),
        wait: change.wait.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::sample::tests::two_samples;
    use super::*;

    fn parsed(sample: &Sample, before: Option<&Sample>) -> Value {
        serde_json::from_str(&line(sample, before).unwrap()).unwrap()
    }

    #[test]
    fn shape() {
        let [first, second] = two_samples();
        let json = serde_json::to_string_pretty(&parsed(&second, Some(&first))).unwrap();
        insta::assert_snapshot!("json", json);
    }

    #[test]
    fn first_sample_has_no_rates() {
        let [first, _] = two_samples();
        let json = parsed(&first, None);
        assert!(json["interval_s"].is_null());
        assert!(json["rings"][0]["per_second"].is_null());
        assert!(json["pools"][0]["per_second"].is_null());
        assert_eq!(json["rings"][0]["total"]["calls"], 100);
    }
}
