// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool show`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use nix::errno::Errno;
use saio::pool::{self, Group, Name, Pool, Stat, WAIT_BUCKETS};
use serde::Serialize;

use super::error::{errno, looking, missing};
use super::kernel::{Kernel, Pools};
use super::report::PoolView;
use super::{print_json, spec, SCHEMA};
use crate::output::{duration, print, table};
use crate::stat::counts;

/// Characters of the longest bar.
const BAR: usize = 40;

/// Arguments of `saioctl pool show`.
#[derive(Args)]
pub struct ShowArgs {
    /// The pool
    name: Name,

    /// Writes the pool and its counters as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    schema: u32,
    pool: PoolView,
    threads: u32,
    runnable: u32,
    /// Since the pool was made.
    total: counts::Pool<u64>,
    wait: Wait,
}

#[derive(Serialize)]
struct Wait {
    /// Element i: waits of 2^i to 2^(i+1) - 1 ns.
    log2_ns: [u64; WAIT_BUCKETS],
}

/// Shows a pool with its counters.
///
/// # Errors
///
/// There is none of that name, or no pools at all.
pub fn show(args: &ShowArgs) -> Result<()> {
    let absent = |error| match errno(&error) {
        Errno::ENOENT => missing(&Kernel, &args.name),
        _ => looking(error),
    };
    let pool = Kernel.get(&args.name).map_err(absent)?;
    let stat = pool::stat(&args.name).map_err(absent)?;
    if args.json {
        return print_json(&json(&pool, &stat));
    }
    print(&human(&pool, &stat))
}

fn json(pool: &Pool, stat: &Stat) -> Shown {
    Shown {
        schema: SCHEMA,
        pool: PoolView::from(pool),
        threads: stat.threads,
        runnable: stat.runnable,
        total: counts::Pool::from(stat),
        wait: Wait {
            log2_ns: stat.waits,
        },
    }
}

fn human(pool: &Pool, stat: &Stat) -> String {
    let set = &pool.attributes;
    let who = match set.group {
        Group::Anybody => "everybody may attach rings",
        Group::Id(0) => "nobody else may attach rings",
        Group::Id(_) => "may attach rings, besides root",
    };
    let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    let lines = [
        (
            "workers",
            set.workers.to_string(),
            "threads that may be runnable at a time",
        ),
        ("max", set.max.to_string(), "threads in all"),
        ("threads", stat.threads.to_string(), "there are now"),
        (
            "runnable",
            stat.runnable.to_string(),
            "of these, awake and not held up",
        ),
        ("CPUs", set.cpus.to_string(), "where they may run"),
        (
            "idle",
            spec::idle_text(set.idle),
            "a thread looks for work before it sleeps",
        ),
        ("group", spec::group_text(set.group), who),
        ("rings", pool.rings.to_string(), "are attached"),
    ];
    let counted = [
        ("entries", stat.entries.to_string(), "run by the threads"),
        ("bytes", stat.bytes.to_string(), "sent by these entries"),
        (
            "parks",
            stat.parks.to_string(),
            "times a flow had to wait for its peer",
        ),
        (
            "steals",
            stat.steals.to_string(),
            "times a flow went on with another thread",
        ),
        (
            "wakeups",
            stat.wakeups.to_string(),
            "times a thread was woken",
        ),
        (
            "sleeps",
            stat.sleeps.to_string(),
            "times a thread went to sleep",
        ),
        (
            "replaced",
            stat.replaced.to_string(),
            "times a thread was held up and another woken",
        ),
        (
            "run",
            seconds(stat.run),
            "of the threads' time there was work",
        ),
        (
            "spin",
            seconds(stat.spin),
            "of their time they looked for work",
        ),
    ];
    format!(
        "Pool {}, number {}\n{}\nSince it was made\n{}\n{}",
        pool.name,
        pool.id,
        aligned(&lines),
        aligned(&counted),
        histogram(&stat.waits)
    )
}

fn aligned(lines: &[(&str, String, &str)]) -> String {
    let width = lines.iter().map(|(_, value, _)| value.len()).max();
    let width = width.unwrap_or(0);
    let line = |(name, value, words): &(&str, String, &str)| {
        format!("  {name:<8}  {value:<width$}  {words}\n")
    };
    lines.iter().map(line).collect()
}

/// How long operations waited, a bar for each power of two.
fn histogram(waits: &[u64; WAIT_BUCKETS]) -> String {
    let mut used = waits.iter().enumerate().filter(|(_, &count)| count > 0);
    let Some((first, _)) = used.next() else {
        return "No operation has waited for a thread yet.\n".to_owned();
    };
    let last = used.next_back().map_or(first, |(last, _)| last);
    let all: u64 = waits.iter().sum();
    let most = waits.iter().copied().max().unwrap_or(1);
    let mut so_far = 0;
    let rows = (first..=last).map(|bucket| {
        let count = waits[bucket];
        so_far += count;
        let bar = (count as f64 / most as f64 * BAR as f64).ceil();
        vec![
            below(bucket),
            count.to_string(),
            format!("{:.1} %", 100.0 * so_far as f64 / all as f64),
            "#".repeat(bar as usize),
        ]
    });
    let titles = [">waited less than", ">operations", ">so far", ""];
    format!(
        "How long operations waited in the kernel before they first ran\n{}",
        table(&titles, rows)
    )
}

/// Where a bucket ends.
fn below(bucket: usize) -> String {
    if bucket == WAIT_BUCKETS - 1 {
        return "longer".to_owned();
    }
    duration(2 << bucket)
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::Fake;
    use super::*;

    fn sample() -> (Pool, Stat) {
        let mut waits = [0; WAIT_BUCKETS];
        waits[9] = 25;
        waits[10] = 50;
        waits[12] = 1;
        let stat = Stat {
            threads: 2,
            runnable: 1,
            entries: 76,
            bytes: 123_456,
            parks: 3,
            steals: 4,
            wakeups: 5,
            sleeps: 6,
            replaced: 7,
            run: Duration::from_millis(1500),
            spin: Duration::from_micros(200),
            waits,
        };
        (Fake::new().get(&Name::default_pool()).unwrap(), stat)
    }

    #[test]
    fn for_people() {
        let (pool, stat) = sample();
        insta::assert_snapshot!("show", human(&pool, &stat));
    }

    #[test]
    fn for_scripts() {
        let (pool, stat) = sample();
        let json = serde_json::to_string(&json(&pool, &stat)).unwrap();
        insta::assert_snapshot!("show_json", json);
    }

    #[test]
    fn nothing_waited() {
        let text = histogram(&[0; WAIT_BUCKETS]);
        assert_eq!(text, "No operation has waited for a thread yet.\n");
    }

    #[test]
    fn ends_of_buckets() {
        let ends = [0, 8, 9, 18, 19, 28, 29, 31].map(below);
        let wanted = [
            "2 ns", "512 ns", "1.0 us", "524.3 us", "1.0 ms", "536.9 ms", "1.1 s", "longer",
        ];
        assert_eq!(ends, wanted);
    }
}
