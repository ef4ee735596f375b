// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library's counters: a line of JSON for each process that has ended.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::Add;

use saio::preload::{Call, Why};
use serde::Deserialize;

const CALLS: usize = Call::ALL.len();
const WHYS: usize = Why::ALL.len();

/// A process that has left counters.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Name of its first thread.
    pub program: String,
    /// What was in force at its end: `inline`, `auto`, `pool` or `off`.
    pub mode: String,
    /// Its pool, if it had one.
    pub pool: Option<String>,
    /// Patterns of the rules that were for it.
    pub rules: Vec<String>,
    /// What it counted.
    pub counts: Counts,
}

/// Counters, of one process or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rings that were made.
    pub rings: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Those of them that became flows.
    pub flows: u64,
    /// Crossings into the kernel with what was queued.
    pub crossings: u64,
    /// Those of them that ended with the wait for events.
    pub waits_merged: u64,
    /// Cork toggles that nothing was queued for.
    pub folded: u64,
    /// Parts of files queued directly behind the bytes before them.
    pub joined: u64,
    deferred: [u64; CALLS],
    again: [u64; CALLS],
    passed: [[u64; WHYS]; CALLS],
}

/// What became of one kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Which.
    pub call: Call,
    /// Queued, and answered at once.
    pub queued: u64,
    /// Of these, joined.
    pub joined: u64,
    /// Answered at once, and nothing queued.
    pub folded: u64,
    /// Answered with `EAGAIN` by the library.
    pub local: u64,
    /// Went straight through.
    pub through: u64,
}

impl Fate {
    /// All of them.
    pub fn calls(&self) -> u64 {
        self.queued + self.folded + self.local + self.through
    }
}

impl Counts {
    /// What became of each kind of call that there was.
    pub fn fates(&self) -> Vec<Fate> {
        let of = |&call: &Call| {
            let i = call as usize;
            let folded = match call {
                Call::Option => self.folded.min(self.deferred[i]),
                _ => 0,
            };
            Fate {
                call,
                queued: self.deferred[i] - folded,
                joined: if call == Call::Sendfile {
                    self.joined
                } else {
                    0
                },
                folded,
                local: self.again[i],
                through: self.passed[i].iter().sum(),
            }
        };
        let fates = Call::ALL.iter().map(of);
        fates.filter(|fate| fate.calls() != 0).collect()
    }

    /// Why calls of a kind went straight through, the most frequent reason first.
    pub fn whys(&self, call: Call) -> Vec<(Why, u64)> {
        ranked(|why| self.passed[call as usize][why as usize])
    }

    /// Why calls of all kinds did.
    pub fn all_whys(&self) -> Vec<(Why, u64)> {
        ranked(|why| {
            self.passed
                .iter()
                .map(|of_call| of_call[why as usize])
                .sum()
        })
    }
}

fn ranked(count: impl Fn(Why) -> u64) -> Vec<(Why, u64)> {
    let counts = Why::ALL.iter().map(|&why| (why, count(why)));
    let mut counts: Vec<_> = counts.filter(|(_, count)| *count != 0).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

impl<'a> Add<&'a Self> for Counts {
    type Output = Self;

    fn add(mut self, other: &'a Self) -> Self {
        for (sum, one) in [
            (&mut self.rings, other.rings),
            (&mut self.accepted, other.accepted),
            (&mut self.flows, other.flows),
            (&mut self.crossings, other.crossings),
            (&mut self.waits_merged, other.waits_merged),
            (&mut self.folded, other.folded),
            (&mut self.joined, other.joined),
        ] {
            *sum += one;
        }
        for i in 0..CALLS {
            self.deferred[i] += other.deferred[i];
            self.again[i] += other.again[i];
            for j in 0..WHYS {
                self.passed[i][j] += other.passed[i][j];
            }
        }
        self
    }
}

impl<'a> Sum<&'a Self> for Counts {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

#[derive(Deserialize)]
struct Line {
    pid: u32,
    program: String,
    mode: String,
    pool: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default)]
    rings: u64,
    #[serde(default)]
    accepted: u64,
    #[serde(default)]
    flows: u64,
    #[serde(default)]
    crossings: u64,
    #[serde(default)]
    waits_merged: u64,
    #[serde(default)]
    folded: u64,
    #[serde(default)]
    joined: u64,
    #[serde(default)]
    deferred: BTreeMap<String, u64>,
    #[serde(default)]
    again: BTreeMap<String, u64>,
    #[serde(default)]
    why: BTreeMap<String, BTreeMap<String, u64>>,
}

impl From<Line> for Process {
    fn from(line: Line) -> Self {
        let of_calls = |counts: &BTreeMap<String, u64>| {
            let mut all = [0; CALLS];
            for (call, count) in counts {
                if let Some(call) = Call::by_name(call) {
                    all[call as usize] = *count;
                }
            }
            all
        };
        let mut passed = [[0; WHYS]; CALLS];
        for (call, whys) in &line.why {
            for (why, count) in whys {
                if let (Some(call), Some(why)) = (Call::by_name(call), Why::by_name(why)) {
                    passed[call as usize][why as usize] = *count;
                }
            }
        }
        Self {
            counts: Counts {
                rings: line.rings,
                accepted: line.accepted,
                flows: line.flows,
                crossings: line.crossings,
                waits_merged: line.waits_merged,
                folded: line.folded,
                joined: line.joined,
                deferred: of_calls(&line.deferred),
                again: of_calls(&line.again),
                passed,
            },
            pid: line.pid,
            program: line.program,
            mode: line.mode,
            pool: line.pool,
            rules: line.rules,
        }
    }
}

/// The processes of a text, and how many of its lines were not understood.
pub fn parse(text: &str) -> (Vec<Process>, usize) {
    let mut odd = 0;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let processes = lines.filter_map(|line| {
        let parsed = serde_json::from_str::<Line>(line);
        odd += usize::from(parsed.is_err());
        parsed.ok().map(Process::from)
    });
    (processes.collect(), odd)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A master that serves nothing, a worker, and a shell by a rule; then a line that was cut off.
    pub const TEXT: &str = concat!(
        r#"{"pid":9,"program":"sh","mode":"off","rules":["sh"],"rings":0,"accepted":0,"deferred":{"write":0},"why":{"write":{"off":3}}}"#,
        "\n",
        r#"{"pid":8,"program":"nginx","mode":"auto","pool":"web","rings":1,"accepted":64,"flows":60,"#,
        r#""refused":0,"crossings":4000,"waits_merged":3900,"wakeups":0,"taken_by_others":0,"full":7,"folded":3900,"joined":1900,"errors":0,"#,
        r#""deferred":{"write":0,"writev":1990,"sendfile":1950,"setsockopt":4000,"close":60,"close_file":1940},"#,
        r#""again":{"writev":7},"passed":{"write":2000,"writev":64,"sendfile":700,"close_file":50},"#,
        r#""why":{"write":{"other":2000},"writev":{"first":64},"sendfile":{"size":650,"first":49,"file":1},"close_file":{"idle":49,"new-in-another-version":1}},"#,
        r#""flushes":{"wait":3900}}"#,
        "\n",
        r#"{"pid":7,"program":"nginx","mode":"auto","pool":"web","rings":0,"accepted":0,"why":{"write":{"other":12}}}"#,
        "\n",
        r#"{"pid":6,"prog"#,
        "\n",
    );

    #[test]
    fn fates_and_reasons() {
        let (processes, odd) = parse(TEXT);
        assert_eq!((processes.len(), odd), (3, 1));
        let nginx = &processes[1].counts;
        let fates = nginx.fates();
        let calls: Vec<_> = fates.iter().map(|fate| fate.call.name()).collect();
        let wanted = [
            "write",
            "writev",
            "sendfile",
            "setsockopt",
            "close",
            "close_file",
        ];
        assert_eq!(calls, wanted);
        let options = fates[3];
        assert_eq!((options.queued, options.folded), (100, 3900));
        assert_eq!((fates[1].local, fates[1].calls()), (7, 2061));
        assert_eq!((fates[2].joined, fates[2].through), (1900, 700));
        assert_eq!(
            nginx.whys(Call::Sendfile),
            [(Why::Size, 650), (Why::First, 49), (Why::File, 1)]
        );
        assert_eq!(nginx.all_whys()[0], (Why::Other, 2000));
    }

    #[test]
    fn several_processes() {
        let (processes, _) = parse(TEXT);
        let sum: Counts = processes.iter().map(|process| &process.counts).sum();
        assert_eq!((sum.accepted, sum.flows, sum.rings), (64, 60, 1));
        assert_eq!(sum.whys(Call::Write), [(Why::Other, 2012), (Why::Off, 3)]);
        assert_eq!(Counts::default().fates(), []);
    }
}
