// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long requests take that come at their own pace.

use anyhow::{bail, Context, Result};
use bench_report::results::Better;

use super::super::figure::{Latency, Point};
use super::super::record::Record;
use super::{Bench, Line, Place};
use crate::arrivals::quantile;
use crate::client::Amount;
use crate::stage::Served;

/// Metrics, and the share of requests that took no longer.
const QUANTILES: [(&str, f64); 3] = [
    ("latency_p50", 0.5),
    ("latency_p99", 0.99),
    ("latency_p999", 0.999),
];

/// Said of each figure.
const NOTE: &str = "Requests come at moments that are chosen before, whether or not earlier ones were answered, and the same ones for every variant. latency_p99 is what 99 % of them took at most, from that moment on: a request that has to wait for a free connection waits from then.";

/// What 100 % are, of each size and number of connections.
pub type Capacities = Vec<((usize, u32), f64)>;

/// Measures what the variants without SAIO can answer, and takes the best of them: all variants get the same load.
///
/// # Errors
///
/// A request failed.
pub fn capacities(
    bench: &Bench,
    servers: &[(Line, Served)],
    record: &mut Record,
) -> Result<Capacities> {
    record.note(NOTE.to_owned());
    let mut all: Capacities = Vec::new();
    for point in bench.load.points() {
        let key = (point.size, point.connections);
        if all.iter().any(|(other, _)| *other == key) {
            continue;
        }
        let mut best: Option<(f64, &Line)> = None;
        let is_baseline = |line: &Line| line.variant.is_baseline();
        for (line, served) in servers.iter().filter(|(line, _)| is_baseline(line)) {
            let (_, request) = bench.requests(line.way, point.size)?;
            let rate = served
                .open_loop(request, point.connections)
                .capacity(requests(bench, &point)?)
                .with_context(|| format!("capacity, {}", bench.line_name(line)))?;
            if best.is_none_or(|(so_far, _)| rate > so_far) {
                best = Some((rate, line));
            }
        }
        let (rate, line) = best.context("there is no variant without SAIO")?;
        let clock = match bench.clock.is_wall() {
            true => "",
            false => " of the guest's time",
        };
        record.note(format!(
            "{}, {} connections: a load of 100 % is {rate:.0} requests a second{clock}, what {} answers where each connection asks again at once",
            bench.load.workload(&point),
            point.connections,
            bench.line_name(line)
        ));
        all.push((key, rate));
    }
    Ok(all)
}

/// One sample. Returns it in words.
///
/// # Errors
///
/// A request failed.
pub fn sample(
    bench: &Bench,
    place: &Place,
    served: &Served,
    (latency, repeat): (&Latency, usize),
    capacities: &Capacities,
    record: &mut Record,
) -> Result<String> {
    let point = place.point;
    let key = (point.size, point.connections);
    let capacity = capacities.iter().find(|(other, _)| *other == key);
    let (_, capacity) = capacity.context("the capacity was not measured")?;
    let per_second = capacity * f64::from(point.load) / 100.0;
    let seed = latency.seed + repeat as u64;
    let arrivals = latency
        .pace
        .arrivals(per_second, requests(bench, point)?, seed);
    let (_, request) = bench.requests(served.role.way, point.size)?;
    let run = served
        .open_loop(request, point.connections)
        .run(&arrivals)?;
    let (unit, scale) = bench.clock.time_unit();
    let mut values = Vec::new();
    let mut words = Vec::new();
    for (metric, share) in QUANTILES {
        let value = quantile(&run.latencies, share).context("no request was made")?;
        values.push((
            (metric, unit, Better::Lower),
            value.as_nanos() as f64 * scale,
        ));
        words.push(format!("{} {:.0} µs", metric, value.as_secs_f64() * 1e6));
    }
    bench.add(record, place, 0, &values);
    Ok(words.join(", "))
}

fn requests(bench: &Bench, point: &Point) -> Result<u64> {
    match bench.load.amount_at(point) {
        Amount::Requests(requests) => Ok(requests),
        Amount::Time(_) => bail!("latency is measured by requests, not by seconds"),
    }
}
