// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench verify`: a server under SAIO must answer as it does without.

mod exchange;
mod lifecycle;
mod responses;
mod stress;

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use clap::{Args, Subcommand};
use saio::pool::{self, Change, Group, Name};
use serde_json::json;
use tempfile::TempDir;

use crate::docs::{Doc, Docs, Random};
use crate::ktap::Ktap;
use crate::places::{self, Places};
use crate::server::{Mode, Nginx, Saio, Settings};

/// Names and sizes in bytes of the files served.
const FILES: [(&str, usize); 6] = [
    ("1b", 1),
    ("1k", 1 << 10),
    ("20k", 20 << 10),
    ("256k", 256 << 10),
    ("1m", 1 << 20),
    ("8m", 8 << 20),
];

/// Which server to verify.
#[derive(Subcommand)]
pub enum Server {
    /// Debian's nginx with static files
    #[command(after_long_help = "Examples:\n  \
        Everything, with numbers that repeat:\n    saio-bench verify nginx --seed 1\n  \
        One test:\n    saio-bench verify nginx --only range-multi\n  \
        Four workers, whose sends three threads take over:\n    \
        saio-bench verify nginx --mode pool --workers 4 --threads 3")]
    Nginx(NginxArgs),
}

/// Arguments of `saio-bench verify nginx`.
#[derive(Args)]
pub struct NginxArgs {
    /// Also writes the results as JSON; a relative path is below SAIO_OUT where that is set
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Fewer and smaller requests, for kernels with debugging
    #[arg(long)]
    quick: bool,

    /// Where the random choices start
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Who runs the calls
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// Processes of nginx that serve, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,

    /// Threads of the pool, 1 to 64; for the modes auto and pool, which need
    /// root to make one
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,

    /// Runs the tests with this in their names only
    #[arg(long, value_name = "NAME")]
    only: Option<String>,

    #[command(flatten)]
    places: Places,
}

impl NginxArgs {
    /// Names the servers that are compared: nginx, or nginx-pool-4x3 for four workers on three
    /// threads.
    fn label(&self) -> String {
        match self.mode {
            Mode::Inline if self.workers == 1 => "nginx".to_owned(),
            Mode::Inline => format!("nginx-inline-{}", self.workers),
            mode => format!("nginx-{}-{}x{}", mode.name(), self.workers, self.threads),
        }
    }
}

/// What every test needs.
struct World {
    base: TempDir,
    docs: Docs,
    configs: PathBuf,
    saio: Saio,
    workers: usize,
    seed: u64,
    quick: bool,
    /// Removed at the end
    _pool: Option<Crew>,
}

/// A pool of this run.
struct Crew(Name);

impl Crew {
    fn hire(threads: u32) -> Result<Self> {
        let name: Name = format!("verify-{}", std::process::id()).parse()?;
        let change = Change {
            workers: Some(threads),
            group: Some(Group::Anybody),
            ..Change::default()
        };
        pool::create(&name, &change).context(
            "--mode: no pool can be made (needs root and a kernel with SAIO; see saioctl doctor)",
        )?;
        Ok(Self(name))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Servers that have not ended yet go on in the default pool.
        let _ = pool::remove(&self.0, true);
    }
}

impl World {
    fn new(args: &NginxArgs) -> Result<Self> {
        let base = places::temporary()?;
        let pool = match args.mode {
            Mode::Inline => None,
            Mode::Auto | Mode::Pool => Some(Crew::hire(args.threads)?),
        };
        Ok(Self {
            docs: Docs::write(&base.path().join("docs"), &FILES, args.seed)?,
            base,
            configs: args.places.configs()?,
            saio: Saio {
                library: args.places.library()?,
                mode: args.mode,
                pool: pool.as_ref().map(|crew| crew.0.clone()),
            },
            workers: args.workers as usize,
            seed: args.seed,
            quick: args.quick,
            _pool: pool,
        })
    }

    /// The same server twice, without SAIO and under it.
    fn pair(&self, name: &str, file_cache: bool) -> Result<Pair> {
        let start = |kind: &str, saio: Option<&Saio>| {
            let settings = Settings {
                nopush: true,
                file_cache,
                workers: self.workers,
                saio: saio.cloned(),
            };
            let name = format!("{name}-{kind}");
            Nginx::start(
                &name,
                self.base.path(),
                &self.docs.dir,
                &self.configs,
                &settings,
            )
        };
        Ok(Pair {
            plain: start("plain", None)?,
            saio: start("saio", Some(&self.saio))?,
        })
    }

    fn doc(&self, name: &str) -> Result<&Doc> {
        self.docs.get(name)
    }

    /// The first number in quick mode, the second otherwise.
    fn scaled(&self, quick: usize, full: usize) -> usize {
        if self.quick {
            quick
        } else {
            full
        }
    }

    /// Random numbers of one client of one test.
    fn random(&self, client: usize) -> Random {
        Random::new(self.seed ^ ((client as u64) << 32))
    }
}

/// A server without SAIO and the same under it.
struct Pair {
    plain: Nginx,
    saio: Nginx,
}

impl Pair {
    /// Stops both and looks whether the second has really used SAIO.
    fn stop(&mut self) -> Result<()> {
        self.plain.stop()?;
        self.saio.stop()?;
        self.plain.check_log()?;
        self.saio.check_log()?;
        used(&self.saio)
    }
}

/// Fails if a server that was started under SAIO and has ended did without it.
fn used(server: &Nginx) -> Result<()> {
    ensure!(
        server.stats()?.get("deferred") > 0,
        "nginx ({}) has deferred no call: it ran without SAIO; see saioctl doctor",
        server.name()
    );
    Ok(())
}

type Test = fn(&World, &mut Pair) -> Result<()>;

/// The tests. The last one looks at what the others left and stops the servers.
const TESTS: [(&str, Test); 23] = [
    ("1b", responses::one_byte),
    ("1k", responses::one_kib),
    ("20k", responses::twenty_kib),
    ("1m", responses::one_mib),
    ("8m", responses::eight_mib),
    ("404", responses::not_found),
    ("bad-request", responses::bad_request),
    ("head", responses::head),
    ("not-modified", responses::not_modified),
    ("range-single", responses::range_single),
    ("range-multi", responses::range_multi),
    ("range-suffix", responses::range_suffix),
    ("range-unsatisfiable", responses::range_unsatisfiable),
    ("pipelined", responses::pipelined),
    ("keep-alive-off", responses::keep_alive_off),
    ("http-1.0", responses::http_1_0),
    ("mixed", responses::mixed),
    ("file-cache", responses::file_cache),
    ("slow-readers", stress::slow_readers),
    ("resets", stress::resets),
    ("reload", lifecycle::reload),
    ("stop", lifecycle::stop),
    ("used", lifecycle::saio_was_used),
];

/// Runs the tests. Returns the exit status: 0 if all passed, 1 otherwise.
///
/// # Errors
///
/// The servers cannot be started or the results not be written.
pub fn verify(server: &Server) -> Result<u8> {
    let Server::Nginx(args) = server;
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| name.contains(only));
    let tests: Vec<(&str, Test)> = TESTS.into_iter().filter(|(name, _)| wanted(name)).collect();
    ensure!(
        !tests.is_empty(),
        "--only {}: no test has this in its name; there are {}",
        args.only.as_deref().unwrap_or_default(),
        TESTS.map(|(name, _)| name).join(", ")
    );

    let mut ktap = Ktap::start(io::stdout(), tests.len())?;
    ktap.comment(&format!("seed {}", args.seed))?;
    let world = World::new(args)?;
    let mut pair = world.pair("nginx", false)?;
    let mut results = Vec::new();
    for (name, test) in tests {
        let name = format!("verify.{}.{name}", args.label());
        let problem = test(&world, &mut pair)
            .err()
            .map(|error| format!("{error:#}"));
        ktap.result(&name, problem.as_deref())?;
        results.push(json!({"name": name, "ok": problem.is_none(), "problem": problem}));
    }
    if let Some(file) = &args.json {
        let file = places::output(file);
        let report = json!({"schema": 1, "seed": args.seed, "quick": args.quick, "tests": results});
        fs::write(&file, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("--json: cannot write {}", file.display()))?;
    }
    Ok(u8::from(ktap.failed() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = TESTS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TESTS.len());
    }
}
