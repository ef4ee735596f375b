// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench demo`: nginx with static files, variants side by side.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{ensure, Context, Result};
use bench_report::results::{timestamp, Better, Instrument, InstrumentKind, Results, Run, SCHEMA};
use clap::{Args, ValueEnum};

use crate::load::Load;
use crate::measure::{self, Crossings, Sample};
use crate::places::{self, Places};
use crate::server::{group, Process};
use crate::stage::{self, Size, Stage, Variant};
use crate::{crossings, machine};

/// Requests that a connection makes at least: opening it must not be what is measured.
const REQUESTS_A_CONNECTION: u64 = 10;
/// Requests by which the two runs that count crossings differ.
const COUNTED: u64 = 1000;

/// Arguments of `saio-bench demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// The results file to write; a relative path is below SAIO_OUT where that is set
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Requests of one sample at least; ten for each connection if that is more
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,

    /// Samples of each value
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,

    /// Numbers of connections, at most 1000 each
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,16,64,256",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: Vec<u32>,

    /// Sizes of the file served: bytes, or KiB with a k, or MiB with an m
    #[arg(
        long,
        value_name = "SIZE,...",
        value_delimiter = ',',
        default_value = "1k,20k"
    )]
    sizes: Vec<Size>,

    /// What to compare
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "default,nopush,inline"
    )]
    variants: Vec<Variant>,

    /// One sample of each value, with a quarter of the requests
    #[arg(long)]
    quick: bool,

    /// What time is on this machine
    #[arg(long, value_enum, default_value = "wall")]
    instrument: Clock,

    /// What runs this machine, for the results file: kvm, tcg, or none for bare hardware
    #[arg(long, value_name = "NAME", default_value = "none")]
    accel: String,

    /// Name of the kernel's configuration, for the results file
    #[arg(long, value_name = "NAME", default_value = "unknown")]
    kernel_config: String,

    /// The command that repeats the measurement, for the results file [default: this one]
    #[arg(long, value_name = "TEXT")]
    command: Option<String>,

    #[command(flatten)]
    places: Places,
}

/// What a clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clock {
    /// Real time
    Wall,
    /// An instruction a nanosecond (QEMU's -icount shift=0)
    Icount,
}

/// One point of a figure: index of the size, connections.
type Point = (usize, u32);

/// Everything that a measurement needs.
struct Bench<'a> {
    args: &'a DemoArgs,
    stage: Stage,
    requests: u64,
    repeats: u32,
}

/// Measures and writes the results file.
///
/// # Errors
///
/// Something that is needed is missing; a request failed; a server logged what no good server logs; or the
/// variant under SAIO ran without it.
pub fn demo(args: &DemoArgs) -> Result<()> {
    ensure!(
        !args.sizes.is_empty() && !args.connections.is_empty() && !args.variants.is_empty(),
        "--sizes, --connections and --variants need a value each"
    );
    crossings::check()?;
    group::end_with_us()?;
    let bench = Bench {
        stage: Stage::new(&args.places, &args.sizes)?,
        requests: if args.quick {
            args.requests.div_ceil(4)
        } else {
            args.requests
        },
        repeats: if args.quick { 1 } else { args.repeats },
        args,
    };
    let samples = bench.samples()?;
    let counts = bench.counts()?;
    let file = places::output(&args.out);
    bench.results(&samples, &counts).save(&file)?;
    eprintln!("results: {}", file.display());
    Ok(())
}

impl Bench<'_> {
    fn points(&self) -> Vec<Point> {
        let sizes = 0..self.args.sizes.len();
        sizes
            .flat_map(|size| self.args.connections.iter().map(move |n| (size, *n)))
            .collect()
    }

    fn load(&self, server: &Process, (size, connections): Point, requests: u64) -> Result<Load> {
        self.stage
            .load(server, &self.args.sizes[size], connections, requests)
    }

    fn workload(&self, size: usize) -> String {
        format!("nginx-{}", self.args.sizes[size].name)
    }

    /// Throughput and processor time. All servers run from the beginning to the end: an idle one costs nothing.
    fn samples(&self) -> Result<BTreeMap<(Point, Variant), Vec<Sample>>> {
        let mut servers = Vec::new();
        for variant in &self.args.variants {
            let server = self.stage.start(variant.name(), *variant)?;
            for size in &self.args.sizes {
                self.stage.warm_up(&server, size)?;
            }
            servers.push((*variant, server));
        }
        let points = self.points();
        let mut progress = Progress::new(
            "samples",
            points.len() * servers.len() * self.repeats as usize,
            self.args.instrument,
        );
        let mut samples: BTreeMap<_, Vec<Sample>> = BTreeMap::new();
        for repeat in 0..self.repeats as usize {
            for (index, point) in points.iter().enumerate() {
                for turn in 0..servers.len() {
                    // Whoever comes first at one point comes later at the next.
                    let (variant, server) = &servers[(turn + repeat + index) % servers.len()];
                    let requests = self
                        .requests
                        .max(REQUESTS_A_CONNECTION * u64::from(point.1));
                    let what = self.label(*point, *variant);
                    let sample = self
                        .load(server, *point, requests)
                        .and_then(|load| measure::sample(server, &load))
                        .with_context(|| what.clone())?;
                    progress.done(&what, &sample.to_string());
                    samples.entry((*point, *variant)).or_default().push(sample);
                }
            }
        }
        for (variant, server) in &mut servers {
            stage::stop(server, *variant)?;
        }
        Ok(samples)
    }

    /// Crossings, in runs of their own: counting them takes time.
    fn counts(&self) -> Result<BTreeMap<(Point, Variant), Crossings>> {
        let points = self.points();
        let total = points.len() * self.args.variants.len();
        let mut progress = Progress::new("crossings", total, self.args.instrument);
        let mut counts = BTreeMap::new();
        for point in points {
            for variant in &self.args.variants {
                let what = self.label(point, *variant);
                let count = self.count(point, *variant).with_context(|| what.clone())?;
                progress.done(&what, &format!("{:.3} calls/request", count.total));
                counts.insert((point, *variant), count);
            }
        }
        Ok(counts)
    }

    fn count(&self, point: Point, variant: Variant) -> Result<Crossings> {
        let name = format!("count-{}-{}-{}", variant.name(), point.0, point.1);
        let mut server = self.stage.start(&name, variant)?;
        let short = self.load(&server, point, 2 * u64::from(point.1))?;
        measure::crossings(&mut server, &short, COUNTED)
    }

    fn label(&self, (size, connections): Point, variant: Variant) -> String {
        format!(
            "{}, {connections} connections, {}",
            self.workload(size),
            variant.name()
        )
    }

    fn results(
        &self,
        samples: &BTreeMap<(Point, Variant), Vec<Sample>>,
        counts: &BTreeMap<(Point, Variant), Crossings>,
    ) -> Results {
        let icount = self.args.instrument == Clock::Icount;
        let (cpu_unit, cpu_scale) = if icount {
            ("instructions/request", 1.0)
        } else {
            ("seconds/request", 1e-9)
        };
        let mut runs = Vec::new();
        let mut notes = vec![
            "nginx has one worker; connections are kept alive; no access log; sendfile on.".to_owned(),
            "server_cpu is what the worker's thread ran (/proc/PID/schedstat) for a request on a connection that stays open: two runs of different length, each from an idle worker to an idle worker, their difference divided by the difference in the requests that the server counted. Bytes that did not fit into a socket at once are sent by a kernel thread, whose time is in the throughput only.".to_owned(),
            "Crossings were counted in separate runs by the tracepoint raw_syscalls:sys_enter: two runs of different length on a fresh server, their difference divided by the difference in requests. crossings_apart_from_wait leaves out the epoll_wait calls, and those saio_enter calls that carried one.".to_owned(),
        ];
        for ((point, variant), samples) in samples {
            let run = |metric: &str, unit: &str, better, samples| {
                self.run(*point, *variant, metric, unit, better, samples)
            };
            let rates = samples.iter().map(|sample| sample.per_second).collect();
            runs.push(run("throughput", "requests/second", Better::Higher, rates));
            let cpu = samples
                .iter()
                .map(|sample| sample.cpu_ns * cpu_scale)
                .collect();
            runs.push(run("server_cpu", cpu_unit, Better::Lower, cpu));
        }
        for ((point, variant), count) in counts {
            let run = |metric: &str, value| {
                self.run(
                    *point,
                    *variant,
                    metric,
                    "calls/request",
                    Better::Lower,
                    vec![value],
                )
            };
            runs.push(run("crossings_total", count.total));
            runs.push(run("crossings_apart_from_wait", count.apart_from_wait));
            let label = self.label(*point, *variant);
            notes.push(format!("{label}: calls a request: {}", count.breakdown));
        }
        Results {
            schema: SCHEMA,
            title: "nginx with static files, without SAIO and under it".to_owned(),
            created: timestamp(SystemTime::now()),
            instrument: self.instrument(),
            machine: machine::machine(&self.args.accel),
            kernel: machine::kernel(&self.args.kernel_config),
            command: self.args.command.clone().unwrap_or_else(|| {
                let words: Vec<String> = std::env::args().collect();
                words.join(" ")
            }),
            notes,
            runs,
        }
    }

    fn instrument(&self) -> Instrument {
        match self.args.instrument {
            Clock::Icount => Instrument {
                kind: InstrumentKind::Icount,
                detail: "the clock counts instructions, one a nanosecond".to_owned(),
            },
            Clock::Wall => Instrument {
                kind: InstrumentKind::Wall,
                detail: "the system's clock".to_owned(),
            },
        }
    }

    fn run(
        &self,
        (size, connections): Point,
        variant: Variant,
        metric: &str,
        unit: &str,
        better: Better,
        samples: Vec<f64>,
    ) -> Run {
        Run {
            figure: None,
            workload: self.workload(size),
            parameters: BTreeMap::from([("connections".to_owned(), f64::from(connections))]),
            variant: variant.name().to_owned(),
            baseline: Some(variant.is_baseline()),
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            better,
            samples,
        }
    }
}

/// What is done and how long the rest may take, on stderr.
struct Progress {
    what: &'static str,
    done: usize,
    total: usize,
    start: Instant,
    clock: Clock,
}

impl Progress {
    fn new(what: &'static str, total: usize, clock: Clock) -> Self {
        Self {
            what,
            done: 0,
            total,
            start: Instant::now(),
            clock,
        }
    }

    fn done(&mut self, label: &str, result: &str) {
        self.done += 1;
        let left = left(self.start.elapsed(), self.done, self.total);
        // Seconds of such a clock pass slower than those of a wall clock.
        let whose = match self.clock {
            Clock::Wall => "",
            Clock::Icount => " of the guest's time",
        };
        eprintln!(
            "{} {}/{}: {label}: {result} (about {} s{whose} left)",
            self.what,
            self.done,
            self.total,
            left.as_secs()
        );
    }
}

fn left(elapsed: Duration, done: usize, total: usize) -> Duration {
    elapsed.mul_f64((total - done) as f64 / done as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left() {
        let left = left(Duration::from_secs(30), 3, 12);
        assert_eq!(left, Duration::from_secs(90));
    }
}
