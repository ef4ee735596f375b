// SPDX-License-Identifier: MIT OR Apache-2.0

//! A sample for people.

use super::counts::{percentile, Hist};
use super::sample::{PoolNow, RingNow, Sample};
use super::why;
use crate::output::{duration, table};

const RINGS: [&str; 14] = [
    ">ring", ">owner", "command", "pool", "mode", ">waiting", ">flows", ">calls", ">inline",
    ">pooled", ">queued", ">MB", ">parks", "why",
];
const POOLS: [&str; 12] = [
    "pool",
    ">rings",
    ">threads",
    ">runnable",
    ">entries",
    ">MB",
    ">parks",
    ">steals",
    ">wakeups",
    ">spin",
    ">run",
    ">wait p50",
];

/// The sample as tables; with `verbose` a sentence for each ring.
pub fn text(sample: &Sample, before: Option<&Sample>, verbose: bool) -> String {
    let mut text = match before {
        None => "Since the start of each ring and pool:\n".to_owned(),
        Some(before) => format!(
            "Each second of the last {:.1} s:\n",
            sample.seconds_since(before)
        ),
    };
    if !sample.pools.is_empty() {
        let titles = [&POOLS[..], &[">p99"]].concat();
        let rows = sample.pools.iter().map(|now| pool(sample, now, before));
        text += &format!("\n{}", table(&titles, rows));
    }
    if sample.rings.is_empty() {
        text += "\nThere are no rings.\n";
    } else {
        let rows = sample.rings.iter().map(|now| ring(sample, now, before));
        text += &format!("\n{}", table(&RINGS, rows));
    }
    if verbose && !sample.rings.is_empty() {
        text += "\nInline or pool, and why?\n";
        for now in &sample.rings {
            let change = sample.of_ring(&now.info, before);
            text += &format!(
                "ring {}, {} {}, mode {}: {}\n",
                now.info.ring,
                now.command,
                now.info.owner,
                now.info.mode,
                why::long(&change.counts, &change.why)
            );
        }
    }
    match sample.unreadable {
        0 => {}
        1 => text += "\n1 process could not be read; run as root\n",
        many => text += &format!("\n{many} processes could not be read; run as root\n"),
    }
    text
}

fn ring(sample: &Sample, now: &RingNow, before: Option<&Sample>) -> Vec<String> {
    let info = &now.info;
    let change = sample.of_ring(info, before);
    let counts = &change.counts;
    vec![
        info.ring.to_string(),
        info.owner.to_string(),
        now.command.clone(),
        info.pool.clone().unwrap_or_else(|| "-".to_owned()),
        info.mode.clone(),
        format!("{}/{}", info.pending, info.slots),
        info.flows.to_string(),
        amount(counts.calls),
        amount(counts.inline),
        amount(counts.pooled),
        amount(counts.queued),
        megabytes(counts.sent_bytes),
        amount(counts.parks),
        why::short(counts, &change.why),
    ]
}

fn pool(sample: &Sample, now: &PoolNow, before: Option<&Sample>) -> Vec<String> {
    let change = sample.of_pool(now, before);
    let counts = &change.counts;
    // Of one CPU, so that two busy threads make 200 %. Since the start there is no time to compare with.
    let share = |ns: f64| match before {
        None => format!("{:.1} s", ns / 1e9),
        Some(_) => format!("{:.0} %", ns / 1e7),
    };
    vec![
        now.pool.name.to_string(),
        now.pool.rings.to_string(),
        now.threads.to_string(),
        now.runnable.to_string(),
        amount(counts.entries),
        megabytes(counts.sent_bytes),
        amount(counts.parks),
        amount(counts.steals),
        amount(counts.wakeups),
        share(counts.spin_ns),
        share(counts.run_ns),
        wait(&change.wait, 0.5),
        wait(&change.wait, 0.99),
    ]
}

/// A count or a rate in at most six characters.
fn amount(value: f64) -> String {
    match value {
        v if v >= 1e10 => format!("{:.1}G", v / 1e9),
        v if v >= 1e7 => format!("{:.1}M", v / 1e6),
        v if v >= 1e5 => format!("{:.1}k", v / 1e3),
        v if v >= 100.0 || v.fract() == 0.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}

fn megabytes(bytes: f64) -> String {
    match bytes / 1e6 {
        mb if mb >= 1000.0 || mb == 0.0 => amount(mb.round()),
        mb => format!("{mb:.2}"),
    }
}

/// Below what time that share of the waits was: the end of a bucket, so up to twice the real figure.
fn wait(hist: &Hist, share: f64) -> String {
    match percentile(hist, share) {
        None => "-".to_owned(),
        // The last bucket has no end.
        Some(ns) if ns >= u64::from(u32::MAX) => ">2 s".to_owned(),
        Some(ns) => format!("<{}", duration(ns + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::BUCKETS;
    use super::super::sample::tests::two_samples;
    use super::*;

    #[test]
    fn totals_for_people() {
        let [first, _] = two_samples();
        insta::assert_snapshot!("totals", text(&first, None, true));
    }

    #[test]
    fn rates_for_people() {
        let [first, second] = two_samples();
        insta::assert_snapshot!("rates", text(&second, Some(&first), false));
    }

    #[test]
    fn nothing_there() {
        let [mut sample, _] = two_samples();
        sample.rings.clear();
        sample.pools.clear();
        sample.unreadable = 0;
        let text = text(&sample, None, true);
        assert!(text.ends_with("There are no rings.\n"), "{text}");
    }

    #[test]
    fn numbers_are_short() {
        let said = [0.0, 0.25, 12.5, 150.4, 99_999.0, 123_456.0, 1.5e8, 2e10].map(amount);
        let wanted = [
            "0", "0.2", "12.5", "150", "99999", "123.5k", "150.0M", "20.0G",
        ];
        assert_eq!(said, wanted);
        let said = [0.0, 12_345.0, 1.5e7, 2.5e9].map(megabytes);
        assert_eq!(said, ["0", "0.01", "15.00", "2500"]);
        let mut hist = [0; BUCKETS];
        assert_eq!(wait(&hist, 0.5), "-");
        hist[31] = 1;
        assert_eq!(wait(&hist, 0.5), ">2 s");
    }
}
