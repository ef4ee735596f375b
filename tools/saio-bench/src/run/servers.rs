// SPDX-License-Identifier: MIT OR Apache-2.0

//! Servers under load, all variants side by side.

mod latency;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_report::results::Better;

use super::figure::{ClientKind, Figure, Key, Load, Point};
use super::record::{Clock, Metric, Named, Record};
use crate::client::{Client, Wrk};
use crate::measure::{self, Count, Crossings};
use crate::places::Places;
use crate::processors::Processors;
use crate::progress::Progress;
use crate::stage::{Role, Served, Stage, Variant, WARM_CONNECTIONS};
use crate::verify::streams::Request;
use crate::verify::subjects::Way;
use crate::vtime::Marks;

/// Requests by which the two runs that count crossings differ.
const COUNTED: u64 = 1000;

/// Said of each figure of servers.
const NOTES: [&str; 2] = [
    "server_cpu is what all threads of the server and those of SAIO's pools ran (/proc/PID/schedstat) for a request on a connection that stays open: two runs of different length, each from an idle server to an idle server, their difference divided by the difference in the requests that were served. Bytes that did not fit into a socket at once are sent by another kernel thread, whose time is in the throughput only.",
    "Crossings were counted in separate runs by the tracepoint raw_syscalls:sys_enter: two runs of different length on a fresh server, their difference divided by the difference in requests. crossings_apart_from_wait leaves out the epoll_wait calls, and those saio_enter calls that carried one.",
];
/// Said where the client is in lockstep.
const LOCKSTEP: &str = "The client is in lockstep: it sends on every connection, then reads all answers. So every variant finds the same number of connections ready at once. There is no throughput, as the client would be in it.";

/// Said of each figure in virtual time.
const VIRTUAL: [&str; 2] = [
    "Servers, pools and clients have processors of their own: the first are the workers', the next the pool's, the rest the client's. time is what passes on them from one response to the next, the reciprocal of throughput; busy is what all processors did for it together, busy_server those of the server and of the pool that it uses, and busy_cpuN one of them. A thread of the pool that looks for work is busy.",
    "Memory is equally near to all processors, and interrupts between them have no price: what moves between them looks better than it is.",
];
/// In virtual time the guest's clock shows the host's, and an instruction takes 10 to 100 ns of it: threads of pools would
/// sleep between two responses.
const IDLE: Duration = Duration::from_millis(50);

/// A way to run the server, with or without SAIO: one line of the figure.
#[derive(Clone, Copy)]
struct Line {
    way: &'static Way,
    variant: Variant,
}

/// Requests of a size: those that are made once, and the one that is measured.
type Requests = (Vec<Request>, Request);

/// What a measurement needs.
struct Bench<'a> {
    figure: &'a Figure,
    load: &'a Load,
    clock: Clock,
    lines: Vec<Line>,
    stage: Stage,
    /// Of each way and each size
    requests: BTreeMap<(&'static str, usize), Requests>,
}

/// Measures a figure. What is missing for a way of the server is said, and that way left out.
///
/// # Errors
///
/// A request failed; a server logged what no good server logs; or a variant under SAIO ran without it.
pub fn measure(
    figure: &Figure,
    load: &Load,
    clock: Clock,
    places: &Places,
    record: &mut Record,
) -> Result<()> {
    let mut lines = Vec::new();
    for &way in &load.ways {
        if let Some(reason) = (load.server.missing)().or_else(|| (way.missing)()) {
            let said = format!("{} {} is left out: {reason}", load.server.name, way.name);
            eprintln!("{}: {said}", figure.name);
            record.note(said);
            continue;
        }
        lines.extend(load.variants.iter().map(|&variant| Line { way, variant }));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let is_virtual = clock == Clock::VirtualTime;
    let notes = match (is_virtual, &load.latency) {
        (true, _) => &VIRTUAL[..],
        (false, None) => &NOTES[..],
        // It says what it is itself.
        (false, Some(_)) => &[],
    };
    for note in notes {
        record.note((*note).to_owned());
    }
    if load.client == ClientKind::Lockstep {
        record.note(LOCKSTEP.to_owned());
    }
    let mut stage = Stage::new(places, &load.sizes)?;
    if is_virtual {
        stage.set_idle(IDLE);
    }
    let mut requests = BTreeMap::new();
    for line in &lines {
        for size in 0..load.sizes.len() {
            requests.insert((line.way.name, size), stage.requests(line.way, size)?);
        }
    }
    let bench = Bench {
        figure,
        load,
        clock,
        lines,
        stage,
        requests,
    };
    let setups = bench.setups()?;
    let values = setups.len() * load.points().len() * bench.lines.len();
    let is_counted = !is_virtual && load.latency.is_none();
    let rounds = figure.repeats as usize + usize::from(is_counted);
    let mut progress = Progress::new(values * rounds, clock.is_wall());
    let mut marks = Marks::default();
    for setup in &setups {
        setup.as_client(|| bench.samples(setup, record, &mut marks, &mut progress))?;
    }
    // In virtual time they are what they are anywhere else.
    for setup in setups.iter().filter(|_| is_counted) {
        setup.as_client(|| bench.counts(setup, record, &mut progress))?;
    }
    Ok(())
}

/// One place in the figure.
struct Place<'a> {
    setup: &'a Setup,
    point: &'a Point,
    /// Its number
    rank: usize,
    /// Number of the line
    line: usize,
}

/// What servers are started for.
struct Setup {
    index: usize,
    workers: u32,
    threads: u32,
    processors: Option<Processors>,
}

impl Setup {
    /// Runs something where clients may run.
    fn as_client(&self, run: impl FnOnce() -> Result<()>) -> Result<()> {
        match &self.processors {
            Some(processors) => processors.as_client(run),
            None => run(),
        }
    }
}

impl Bench<'_> {
    fn setups(&self) -> Result<Vec<Setup>> {
        let setup = |(index, (workers, threads))| {
            // Where one is enough, all share it.
            let processors = match self.figure.processors > 1 {
                true => Some(Processors::share(workers, threads)?),
                false => None,
            };
            Ok(Setup {
                index,
                workers,
                threads,
                processors,
            })
        };
        self.load
            .setups()
            .into_iter()
            .enumerate()
            .map(setup)
            .collect()
    }

    fn start(&self, setup: &Setup, line: &Line, name: &str) -> Result<Served> {
        let role = Role {
            way: line.way,
            variant: line.variant,
            workers: setup.workers,
            threads: setup.threads,
            processors: setup.processors.clone(),
        };
        let name = format!(
            "{name}-{}-{}-{}",
            setup.index,
            line.way.name,
            line.variant.name()
        );
        self.stage.start(&name, &role)
    }

    fn client<'a>(&'a self, served: &'a Served, point: &Point) -> Result<Box<dyn Client + 'a>> {
        match self.load.client {
            ClientKind::Wrk => {
                let wrk: Wrk = self.stage.wrk(served, point.size, point.connections)?;
                Ok(Box::new(wrk))
            }
            // For warming up, any does.
            ClientKind::Lockstep | ClientKind::OpenLoop => {
                let (_, request) = self.requests(served.role.way, point.size)?;
                let client = served.lockstep(request, point.connections, point.pipeline);
                Ok(Box::new(client))
            }
        }
    }

    fn requests(&self, way: &Way, size: usize) -> Result<&Requests> {
        let requests = self.requests.get(&(way.name, size));
        requests.context("no requests of that size")
    }

    /// Puts there what is asked for, and fills caches.
    fn prepare(&self, served: &Served, size: usize) -> Result<()> {
        let (once, _) = self.requests(served.role.way, size)?;
        self.stage.prepare(served, once)?;
        let point = Point {
            size,
            connections: WARM_CONNECTIONS,
            pipeline: 1,
            load: 100,
        };
        measure::warm_up(&served.server, &*self.client(served, &point)?)
    }

    /// Processor time, and throughput where the client says. All servers run from the beginning to the end: an idle one
    /// costs nothing.
    fn samples(
        &self,
        setup: &Setup,
        record: &mut Record,
        marks: &mut Marks,
        progress: &mut Progress,
    ) -> Result<()> {
        let mut servers = Vec::new();
        for line in &self.lines {
            let served = self.start(setup, line, "measured")?;
            for size in 0..self.load.sizes.len() {
                self.prepare(&served, size)?;
            }
            servers.push((*line, served));
        }
        let points = self.load.points();
        let capacities = match self.load.latency {
            Some(_) => latency::capacities(self, &servers, record)?,
            None => Vec::new(),
        };
        for repeat in 0..self.figure.repeats as usize {
            for (index, point) in points.iter().enumerate() {
                for turn in 0..servers.len() {
                    // Whoever comes first at one point comes later at the next.
                    let number = (turn + repeat + index) % servers.len();
                    let (line, served) = &servers[number];
                    let what = self.label(setup, point, line);
                    let place = Place {
                        setup,
                        point,
                        rank: setup.index * points.len() + index,
                        line: number,
                    };
                    let said = match &self.load.latency {
                        Some(how) => {
                            let turn = (how, repeat);
                            latency::sample(self, &place, served, turn, &capacities, record)
                        }
                        None => self.sample(&place, served, record, marks),
                    };
                    let said = said.with_context(|| what.clone())?;
                    progress.done(&what, &said);
                    record.save()?;
                }
            }
        }
        for (_, served) in &mut servers {
            served.stop()?;
        }
        Ok(())
    }

    /// One sample. Returns it in words.
    fn sample(
        &self,
        place: &Place,
        served: &Served,
        record: &mut Record,
        marks: &mut Marks,
    ) -> Result<String> {
        let client = self.client(served, place.point)?;
        let amount = self.load.amount_at(place.point);
        let (unit, scale) = self.clock.cpu_unit("request");
        if self.clock == Clock::VirtualTime {
            let interval = measure::interval(&served.server, &*client, amount, marks)?
                .with_server(served.role.own_processors());
            let metric = ("time", unit.as_str(), Better::Lower);
            self.named(place, |named| {
                record.add_interval([0, place.rank, place.line, 0], named, metric, interval);
            });
            return Ok("measured".into());
        }
        let sample = measure::sample(&served.server, &*client, amount, || ())?;
        let cpu = ("server_cpu", unit.as_str(), Better::Lower);
        let mut values = vec![(cpu, sample.cpu_ns * scale)];
        if let Some(rate) = sample.per_second {
            values.insert(0, (("throughput", "requests/second", Better::Higher), rate));
        }
        self.add(record, place, 0, &values);
        Ok(sample.to_string())
    }

    /// Crossings, in runs of their own: counting them takes time.
    fn counts(&self, setup: &Setup, record: &mut Record, progress: &mut Progress) -> Result<()> {
        let points = self.load.points();
        for (index, point) in points.iter().enumerate() {
            for (number, line) in self.lines.iter().enumerate() {
                let what = self.label(setup, point, line);
                let name = format!("counted-{index}");
                let crossings = self
                    .count(setup, point, line, &name)
                    .with_context(|| what.clone())?;
                progress.done(&what, &format!("{:.3} calls/request", crossings.total));
                let place = Place {
                    setup,
                    point,
                    rank: setup.index * points.len() + index,
                    line: number,
                };
                let calls = |metric| (metric, "calls/request", Better::Lower);
                let values = [
                    (calls("crossings_total"), crossings.total),
                    (
                        calls("crossings_apart_from_wait"),
                        crossings.apart_from_wait,
                    ),
                ];
                self.add(record, &place, 1, &values);
                record.note(format!("{what}: calls a request: {}", crossings.breakdown));
                record.save()?;
            }
        }
        Ok(())
    }

    fn count(&self, setup: &Setup, point: &Point, line: &Line, name: &str) -> Result<Crossings> {
        let mut served = self.start(setup, line, name)?;
        let (once, _) = self.requests(line.way, point.size)?;
        self.stage.prepare(&served, once)?;
        let client = self.client(&served, point)?;
        // The library finds out what a crossing costs: before each one is counted.
        measure::warm_up(&served.server, &*client)?;
        let count = Count::of(&served.server, &*client, COUNTED)?;
        drop(client);
        served.server.stop()?;
        count.crossings(&served.server)
    }

    fn label(&self, setup: &Setup, point: &Point, line: &Line) -> String {
        let mut label = self.load.workload(point);
        for (key, value) in self.parameters(setup, point) {
            label += &format!(", {value} {key}");
        }
        format!("{label}, {}", self.line_name(line))
    }

    /// What the figure calls a line.
    fn line_name(&self, line: &Line) -> String {
        match self.load.ways.len() {
            1 => line.variant.name().to_owned(),
            _ => format!("{} {}", line.way.name, line.variant.name()),
        }
    }

    /// The load at a point, as far as the file names it.
    fn parameters(&self, setup: &Setup, point: &Point) -> BTreeMap<String, f64> {
        let value = |key| match key {
            Key::Sizes => self.load.sizes[point.size].bytes as f64,
            Key::Connections => point.connections.into(),
            Key::Pipeline => point.pipeline.into(),
            Key::Workers => setup.workers.into(),
            Key::Threads => setup.threads.into(),
            Key::Load => point.load.into(),
        };
        let is_wanted = |key: &&Key| **key != Key::Sizes || self.load.axis == Key::Sizes;
        let name = |key| match key {
            Key::Sizes => "bytes",
            key => key.name(),
        };
        let keys = self.load.named.iter().filter(is_wanted);
        let mut all: BTreeMap<String, f64> = keys
            .map(|key| (name(*key).to_owned(), value(*key)))
            .collect();
        // Elsewhere it has the price that it has.
        let crossing = self.figure.crossing;
        if let Some(price) = crossing.filter(|_| self.clock == Clock::VirtualTime) {
            all.insert("crossing".to_owned(), price.into());
        }
        all
    }

    /// Adds values of one place.
    fn add(&self, record: &mut Record, place: &Place, phase: usize, values: &[(Metric, f64)]) {
        self.named(place, |named| {
            for (number, (metric, value)) in values.iter().enumerate() {
                let rank = [phase, place.rank, place.line, number];
                record.add(rank, named, *metric, *value);
            }
        });
    }

    fn named(&self, place: &Place, add: impl FnOnce(&Named)) {
        let line = &self.lines[place.line];
        let workload = self.load.workload(place.point);
        add(&Named {
            heading: self.figure.heading(&workload),
            workload: &workload,
            parameters: &self.parameters(place.setup, place.point),
            variant: &self.line_name(line),
            baseline: line.variant.is_baseline(),
        });
    }
}
