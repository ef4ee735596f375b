// SPDX-License-Identifier: MIT OR Apache-2.0

//! What there is at one moment, and what happened since an earlier one.

use std::collections::BTreeSet;
use std::io;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use nix::errno::Errno;
use saio::pool::{self, Stat};

use super::counts::{between, Hist, Pool, Ring, Why};
use super::fdinfo::Info;
use super::scan;
use crate::process::Proc;

/// A ring and what its owner runs.
#[derive(Clone)]
pub struct RingNow {
    /// The kernel's lines.
    pub info: Info,
    /// Name of the owner.
    pub command: String,
}

/// A pool and its counters.
#[derive(Clone)]
pub struct PoolNow {
    /// What it is set to.
    pub pool: pool::Pool,
    /// Threads there are.
    pub threads: u32,
    /// Of these, awake and not held up.
    pub runnable: u32,
    /// Counters since the pool was made.
    pub counts: Pool<u64>,
    /// How long operations waited before they first ran.
    pub wait: Hist,
}

/// Everything at one moment.
#[derive(Clone)]
pub struct Sample {
    /// When, for the time between two.
    pub taken: Instant,
    /// When, for people and scripts.
    pub time: SystemTime,
    /// Rings in the order of their numbers.
    pub rings: Vec<RingNow>,
    /// Pools in the order in which they were made.
    pub pools: Vec<PoolNow>,
    /// Processes whose descriptors this user may not see.
    pub unreadable: usize,
}

/// What happened on a ring since the start, or in each second since an earlier sample.
pub struct RingChange {
    /// Counters.
    pub counts: Ring<f64>,
    /// Why entries ran inline.
    pub why: Why<f64>,
    /// Waits, in the whole time.
    pub wait: Hist,
}

/// What happened in a pool since the start, or in each second since an earlier sample.
pub struct PoolChange {
    /// Counters.
    pub counts: Pool<f64>,
    /// Waits, in the whole time.
    pub wait: Hist,
}

impl Sample {
    /// Looks at everything, or at a process with its descendants and the pools that their rings are attached to.
    ///
    /// # Errors
    ///
    /// The process does not exist, or the kernel does not answer as it should.
    pub fn take(root: Option<u32>) -> Result<Self> {
        let proc = Proc::default();
        let found = scan::rings(&proc, root)?;
        let mut pools = pools().context("cannot list the pools (saio_pool)")?;
        if root.is_some() {
            let named: BTreeSet<&str> = found
                .rings
                .iter()
                .filter_map(|info| info.pool.as_deref())
                .collect();
            pools.retain(|now| named.contains(now.pool.name.as_str()));
        }
        let rings = found.rings.into_iter().map(|info| RingNow {
            command: proc.command(info.owner).unwrap_or_else(|| "?".to_owned()),
            info,
        });
        Ok(Self {
            taken: Instant::now(),
            time: SystemTime::now(),
            rings: rings.collect(),
            pools,
            unreadable: found.unreadable,
        })
    }

    /// Seconds between two samples.
    pub fn seconds_since(&self, before: &Self) -> f64 {
        self.taken.duration_since(before.taken).as_secs_f64()
    }

    /// What happened on a ring of this sample.
    pub fn of_ring(&self, now: &Info, before: Option<&Self>) -> RingChange {
        let then = before.and_then(|before| {
            let mut rings = before.rings.iter().map(|ring| &ring.info);
            rings.find(|info| info.ring == now.ring)
        });
        let rate = self.rate(before);
        RingChange {
            counts: now
                .counts
                .zip(&then.map_or(Ring::default(), |then| then.counts), &rate),
            why: now
                .why
                .zip(&then.map_or(Why::default(), |then| then.why), &rate),
            wait: then.map_or(now.wait, |then| between(&now.wait, &then.wait)),
        }
    }

    /// What happened in a pool of this sample.
    pub fn of_pool(&self, now: &PoolNow, before: Option<&Self>) -> PoolChange {
        let then = before.and_then(|before| {
            let mut pools = before.pools.iter();
            pools.find(|then| then.pool.id == now.pool.id)
        });
        let counts = then.map_or(Pool::default(), |then| then.counts);
        PoolChange {
            counts: now.counts.zip(&counts, self.rate(before)),
            wait: then.map_or(now.wait, |then| between(&now.wait, &then.wait)),
        }
    }

    fn rate(&self, before: Option<&Self>) -> impl Fn(u64, u64) -> f64 {
        let seconds = before.map_or(1.0, |before| self.seconds_since(before));
        move |now, then| now.saturating_sub(then) as f64 / seconds
    }
}

fn pools() -> io::Result<Vec<PoolNow>> {
    let is = |error: &io::Error, errno: Errno| error.raw_os_error() == Some(errno as i32);
    let listed = match pool::list() {
        // Rings without pools.
        Err(error) if is(&error, Errno::ENOSYS) => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut pools = Vec::new();
    for pool in listed {
        match pool::stat(&pool.name) {
            Ok(stat) => pools.push(now(pool, &stat)),
            // It was removed in between.
            Err(error) if is(&error, Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(pools)
}

fn now(pool: pool::Pool, stat: &Stat) -> PoolNow {
    PoolNow {
        pool,
        threads: stat.threads,
        runnable: stat.runnable,
        counts: Pool::from(stat),
        wait: stat.waits,
    }
}

#[cfg(test)]
pub mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::fdinfo::tests::SAMPLE;
    use super::*;

    /// A ring and a pool, and both two seconds later.
    pub fn two_samples() -> [Sample; 2] {
        let info = Info::parse(SAMPLE).unwrap();
        let stat = Stat {
            threads: 4,
            runnable: 2,
            entries: 300,
            bytes: 5_000_000,
            parks: 5,
            steals: 6,
            wakeups: 7,
            sleeps: 8,
            replaced: 1,
            run: Duration::from_millis(1500),
            spin: Duration::from_millis(500),
            waits: info.wait,
        };
        let pool = pool::Pool {
            name: "web".parse().unwrap(),
            id: 2,
            rings: 1,
            attributes: pool::Attributes {
                workers: 2,
                max: 4,
                idle: Duration::from_micros(200),
                cpus: "0-3".parse().unwrap(),
                group: pool::Group::Anybody,
            },
        };
        let first = Sample {
            taken: Instant::now(),
            time: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            rings: vec![RingNow {
                info,
                command: "nginx".to_owned(),
            }],
            pools: vec![now(pool, &stat)],
            unreadable: 3,
        };
        let mut second = first.clone();
        second.taken += Duration::from_secs(2);
        second.time += Duration::from_secs(2);
        let ring = &mut second.rings[0].info;
        ring.counts.inline += 100;
        ring.counts.pooled += 20;
        ring.why.idle += 80;
        ring.why.small += 20;
        let pool = &mut second.pools[0];
        pool.counts.entries += 20;
        pool.counts.sent_bytes += 4_000_000;
        pool.counts.run_ns += 1_000_000_000;
        pool.wait[10] += 20;
        [first, second]
    }

    #[test]
    fn totals_first_and_rates_then() {
        let [first, second] = two_samples();
        let total = first.of_ring(&first.rings[0].info, None);
        assert_eq!(total.counts.inline, 200.0);
        assert_eq!(total.wait[31], 9);
        let rate = second.of_ring(&second.rings[0].info, Some(&first));
        assert_eq!((rate.counts.inline, rate.why.idle), (50.0, 40.0));
        assert_eq!(rate.wait.iter().sum::<u64>(), 0);
        let rate = second.of_pool(&second.pools[0], Some(&first));
        assert_eq!(rate.counts.entries, 10.0);
        assert_eq!(rate.wait.iter().sum::<u64>(), 20);
    }

    #[test]
    fn new_ring_counts_from_zero() {
        let [mut first, second] = two_samples();
        first.rings.clear();
        let rate = second.of_ring(&second.rings[0].info, Some(&first));
        assert_eq!(rate.counts.inline, 150.0);
    }
}
