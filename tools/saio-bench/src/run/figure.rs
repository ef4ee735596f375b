// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a figure needs measured.

use std::collections::BTreeSet;

use clap::ValueEnum;

use crate::arrivals::Pace;
use crate::client::Amount;
use crate::stage::{Size, Variant};
use crate::verify::subjects::{Subject, Way};

/// Rounds that each connection makes at least: opening it must not be what is measured.
const ROUNDS: u64 = 10;
/// In short: so much less of what is measured.
const QUICK: u64 = 4;

/// A figure.
pub struct Figure {
    /// What users call it, and its results file
    pub name: String,
    /// Its heading in the report
    pub title: String,
    /// Said behind the workload in headings of pictures, where another figure has the same workload
    pub label: Option<String>,
    /// Processors that it needs
    pub processors: usize,
    /// Instructions that a crossing costs more in virtual time, where the file says
    pub crossing: Option<u32>,
    /// Samples of each value
    pub repeats: u32,
    /// What a reader has to know besides
    pub notes: Vec<String>,
    /// What is measured
    pub what: What,
}

/// What is measured.
pub enum What {
    /// Servers under load
    Servers(Load),
    /// System calls of one thread
    Calls(Batches),
}

/// Servers under load.
pub struct Load {
    /// The server
    pub server: &'static Subject,
    /// Ways to run it, all of which are compared
    pub ways: Vec<&'static Way>,
    /// What is compared
    pub variants: Vec<Variant>,
    /// Who asks
    pub client: ClientKind,
    /// What each sample asks
    pub amount: Amount,
    /// What varies along the figure
    pub axis: Key,
    /// What the file names of the keys below
    pub named: BTreeSet<Key>,
    /// Sizes of files or values
    pub sizes: Vec<Size>,
    /// Connections
    pub connections: Vec<u32>,
    /// Requests that are sent at once on each
    pub pipeline: Vec<u32>,
    /// Processes or threads that serve
    pub workers: Vec<u32>,
    /// Threads of the pool
    pub threads: Vec<u32>,
    /// Per cent of what the server can answer
    pub load: Vec<u32>,
    /// How requests come, where latency is measured
    pub latency: Option<Latency>,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// How they follow each other
    pub pace: Pace,
    /// Of one seed they come the same way each time; each repeat has the next one
    pub seed: u64,
}

/// Something that can vary along a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Bytes of a file or value
    Sizes,
    /// Connections
    Connections,
    /// Requests at once
    Pipeline,
    /// Processes or threads that serve
    Workers,
    /// Threads of the pool
    Threads,
    /// Per cent of what the server can answer
    Load,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Sizes,
        Self::Connections,
        Self::Pipeline,
        Self::Workers,
        Self::Threads,
        Self::Load,
    ];

    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sizes => "sizes",
            Self::Connections => "connections",
            Self::Pipeline => "pipeline",
            Self::Workers => "workers",
            Self::Threads => "threads",
            Self::Load => "load",
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// wrk, which says how fast a server is
    Wrk,
    /// All connections in step, for any protocol
    Lockstep,
    /// Requests at their own pace, which shows how long they take
    OpenLoop,
}

/// System calls of one thread, in batches.
pub struct Batches {
    /// Which calls
    pub calls: Vec<Call>,
    /// Calls in a batch
    pub batch: Vec<u32>,
    /// What is compared
    pub variants: Vec<Variant>,
    /// Calls of each sample
    pub number: u64,
}

/// Calls of a batch at most.
pub const LARGEST_BATCH: u32 = 128;

/// A call that is cheap, so that the way to it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Call {
    /// `getppid`; io_uring has none, and does nothing instead
    Getppid,
    /// 64 bytes to /dev/null
    Write,
    /// 4 KiB of a file that is in memory
    Read,
    /// 256 bytes on a Unix socket
    Send,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Getppid, Self::Write, Self::Read, Self::Send];

    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Getppid => "getppid",
            Self::Write => "write",
            Self::Read => "read",
            Self::Send => "send",
        }
    }
}

impl Figure {
    /// Whether wrk is the client.
    pub fn has_wrk(&self) -> bool {
        matches!(&self.what, What::Servers(load) if load.client == ClientKind::Wrk)
    }

    /// Heading of a workload's pictures, if its name is not enough.
    pub fn heading(&self, workload: &str) -> Option<String> {
        let label = self.label.as_ref()?;
        Some(format!("{workload}, {label}"))
    }

    /// Makes it short: one sample of each value, of a quarter of the requests.
    pub fn shorten(&mut self) {
        self.repeats = 1;
        match &mut self.what {
            What::Servers(load) => match &mut load.amount {
                Amount::Requests(requests) => *requests = requests.div_ceil(QUICK),
                Amount::Time(time) => *time = time.div_f64(QUICK as f64),
            },
            What::Calls(batches) => batches.number = batches.number.div_ceil(QUICK),
        }
    }
}

/// One place in a figure: what each variant is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Place in the list of sizes
    pub size: usize,
    /// Connections
    pub connections: u32,
    /// Requests at once on each
    pub pipeline: u32,
    /// Per cent of what the server can answer, where latency is measured
    pub load: u32,
}

impl Load {
    /// What servers are started for: numbers of workers and of threads of the pool.
    pub fn setups(&self) -> Vec<(u32, u32)> {
        let threads = |workers| self.threads.iter().map(move |threads| (workers, *threads));
        self.workers.iter().copied().flat_map(threads).collect()
    }

    /// What is measured of them.
    pub fn points(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for size in 0..self.sizes.len() {
            for &pipeline in &self.pipeline {
                for &connections in &self.connections {
                    points.extend(self.load.iter().map(|&load| Point {
                        size,
                        connections,
                        pipeline,
                        load,
                    }));
                }
            }
        }
        points
    }

    /// What one sample asks at a point.
    pub fn amount_at(&self, point: &Point) -> Amount {
        match self.amount {
            Amount::Requests(requests) => {
                let at_once = u64::from(point.connections) * u64::from(point.pipeline);
                Amount::Requests(requests.max(ROUNDS * at_once))
            }
            time => time,
        }
    }

    /// Name of what is run at a point, for results files: nginx-1k, or nginx where sizes vary along the figure.
    pub fn workload(&self, point: &Point) -> String {
        let mut name = self.server.name.to_owned();
        if let [way] = self.ways[..] {
            // The plainest way has no name of its own.
            if !std::ptr::eq(way, &self.server.ways[0]) {
                name = format!("{name}-{}", way.name);
            }
        }
        if self.named.contains(&Key::Sizes) && self.axis != Key::Sizes {
            name = format!("{name}-{}", self.sizes[point.size].name);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::file::parse;
    use std::path::Path;

    fn load(rest: &str) -> Load {
        let text =
            format!("[[figure]]\nname = \"f\"\ntitle = \"t\"\nvariants = [\"inline\"]\n{rest}");
        match parse(Path::new("f.toml"), &text).unwrap().remove(0).what {
            What::Servers(load) => load,
            What::Calls(_) => panic!("no servers"),
        }
    }

    #[test]
    fn points_are_all_combinations() {
        let load = load(
            "server = \"redis\"\naxis = \"sizes\"\nsizes = [\"64\", \"1k\"]\nconnections = [8]\n\
             pipeline = [1, 16]\nworkers = [1, 2]\nrequests = 100\n",
        );
        assert_eq!(load.setups(), [(1, 1), (2, 1)]);
        let points = load.points();
        assert_eq!(points.len(), 4);
        assert_eq!(
            points[1],
            Point {
                size: 0,
                connections: 8,
                pipeline: 16,
                load: 1
            }
        );
        assert_eq!(load.workload(&points[0]), "redis");
    }

    #[test]
    fn each_connection_makes_some_rounds() {
        let load = load(
            "server = \"nginx\"\nway = \"ktls\"\naxis = \"connections\"\nsizes = [\"1k\"]\n\
             connections = [8, 500]\nrequests = 1000\n",
        );
        let points = load.points();
        assert_eq!(load.amount_at(&points[0]), Amount::Requests(1000));
        assert_eq!(load.amount_at(&points[1]), Amount::Requests(5000));
        assert_eq!(load.workload(&points[0]), "nginx-ktls-1k");
    }
}
