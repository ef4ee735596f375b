// SPDX-License-Identifier: MIT OR Apache-2.0

//! The lines about a ring in `/proc/PID/fdinfo/FD`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use anyhow::{anyhow, bail, Context, Result};

use super::counts::{Hist, Ring, Why, BUCKETS};

/// What all the lines begin with.
const PREFIX: &str = "saio-";

/// A ring as its lines describe it.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// Number of the ring, the same as in traces.
    pub ring: u64,
    /// The thread that owns it.
    pub owner: u32,
    /// Who is to run entries of flows: inline, auto or pool.
    pub mode: String,
    /// The pool that it is attached to.
    pub pool: Option<String>,
    /// Entries that are published and not taken.
    pub pending: u64,
    /// Slots of the submission queue.
    pub slots: u64,
    /// Flows that are registered.
    pub flows: u64,
    /// Counters since the ring was made.
    pub counts: Ring<u64>,
    /// Why entries of flows ran inline.
    pub why: Why<u64>,
    /// How long operations waited before they first ran.
    pub wait: Hist,
}

impl Info {
    /// Reads the lines; others than those of SAIO are passed over.
    ///
    /// # Errors
    ///
    /// A line is missing or not understood: the kernel is of another version.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = Lines::new(text);
        let (pending, slots) = lines
            .text("sq")?
            .split_once('/')
            .context("saio-sq is not of the form N/N")?;
        let pool = lines.text("pool")?;
        Ok(Self {
            ring: lines.number("ring")?,
            owner: lines.number("owner")?,
            mode: lines.text("mode")?.to_owned(),
            pool: (pool != "-").then(|| pool.to_owned()),
            pending: number("saio-sq", pending)?,
            slots: number("saio-sq", slots)?,
            flows: lines.number("flows")?,
            counts: Ring {
                calls: lines.number("calls")?,
                inline: lines.number("inline")?,
                pooled: lines.number("pooled")?,
                queued: lines.number("queued")?,
                sent_bytes: lines.number("bytes")?,
                parks: lines.number("parks")?,
                steals: lines.number("steals")?,
                wakeups: lines.number("wakeups")?,
            },
            why: why(lines.text("why-inline")?)?,
            wait: hist(lines.text("wait-hist")?)?,
        })
    }
}

/// The lines of SAIO by name, without the prefix.
struct Lines<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let pairs = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix(PREFIX)?.split_once(':')?;
            Some((name, value.trim()))
        });
        Self(pairs.collect())
    }

    fn text(&self, name: &str) -> Result<&'a str> {
        self.0
            .get(name)
            .copied()
            .with_context(|| format!("the line {PREFIX}{name} is missing"))
    }

    fn number<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T> {
        number(&format!("{PREFIX}{name}"), self.text(name)?)
    }
}

fn number<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T> {
    text.parse()
        .map_err(|error| anyhow!("{name}: {text:?}: {error}"))
}

fn why(text: &str) -> Result<Why<u64>> {
    let mut why = Why::default();
    for pair in text.split_ascii_whitespace() {
        let Some((name, count)) = pair.split_once('=') else {
            bail!("saio-why-inline: {pair:?} is not of the form NAME=N");
        };
        let field = match name {
            "mode" => &mut why.mode,
            "idle" => &mut why.idle,
            "small" => &mut why.small,
            "busy" => &mut why.busy,
            "filter" => &mut why.filter,
            "chain" => &mut why.chain,
            // A reason that this version does not know yet.
            _ => continue,
        };
        *field = number("saio-why-inline", count)?;
    }
    Ok(why)
}

fn hist(text: &str) -> Result<Hist> {
    let counts = text
        .split_ascii_whitespace()
        .map(|count| number("saio-wait-hist", count))
        .collect::<Result<Vec<u64>>>()?;
    let found = counts.len();
    counts
        .try_into()
        .map_err(|_| anyhow!("saio-wait-hist: {found} numbers instead of {BUCKETS}"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const SAMPLE: &str = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1057\n\
        saio-owner:\t1234\nsaio-ring:\t7\nsaio-mode:\tauto\nsaio-pool:\tweb\nsaio-sq:\t12/256\n\
        saio-flows:\t34\nsaio-calls:\t100\nsaio-inline:\t200\nsaio-pooled:\t300\nsaio-queued:\t4\n\
        saio-bytes:\t123456\nsaio-parks:\t5\nsaio-steals:\t6\nsaio-wakeups:\t7\n\
        saio-why-inline:\tmode=1 idle=2 small=3 busy=4 filter=5 chain=6\n\
        saio-wait-hist:\t0 0 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9\n";

    #[test]
    fn every_line_is_read() {
        let info = Info::parse(SAMPLE).unwrap();
        assert_eq!((info.owner, info.ring, info.flows), (1234, 7, 34));
        assert_eq!((info.pending, info.slots), (12, 256));
        assert_eq!(info.mode, "auto");
        assert_eq!(info.pool.as_deref(), Some("web"));
        let counts = Ring {
            calls: 100,
            inline: 200,
            pooled: 300,
            queued: 4,
            sent_bytes: 123_456,
            parks: 5,
            steals: 6,
            wakeups: 7,
        };
        assert_eq!(info.counts, counts);
        let why = Why {
            mode: 1,
            idle: 2,
            small: 3,
            busy: 4,
            filter: 5,
            chain: 6,
        };
        assert_eq!(info.why, why);
        assert_eq!((info.wait[2], info.wait[31]), (3, 9));
    }

    #[test]
    fn ring_without_a_pool() {
        let info = Info::parse(&SAMPLE.replace("saio-pool:\tweb", "saio-pool:\t-"));
        assert_eq!(info.unwrap().pool, None);
    }

    #[test]
    fn new_reasons_are_passed_over() {
        let info = Info::parse(&SAMPLE.replace("chain=6", "moon=7 chain=6")).unwrap();
        assert_eq!(info.why.chain, 6);
    }

    #[test]
    fn errors_name_the_line() {
        let error = |from, to| {
            let text = SAMPLE.replace(from, to);
            assert_ne!(text, SAMPLE);
            format!("{:#}", Info::parse(&text).unwrap_err())
        };
        assert!(error("saio-calls:\t100\n", "").contains("saio-calls is missing"));
        assert!(error("saio-owner:\t1234", "saio-owner:\tx").contains("saio-owner"));
        assert!(error("12/256", "12").contains("saio-sq"));
        assert!(error("idle=2", "idle").contains("saio-why-inline"));
        assert!(error(" 9\n", "\n").contains("31 numbers instead of 32"));
    }
}
