// SPDX-License-Identifier: MIT OR Apache-2.0

//! What every test needs: files, places, and a server twice.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{ensure, Context, Result};
use saio::pool::Name;
use tempfile::TempDir;

use super::exchange::Dials;
use super::streams::http::{FILES, LARGE_FILE, SEGMENT_FILE};
use super::subjects::{Start, Way};
use super::VerifyArgs;
use crate::docs::{Doc, Docs, Random};
use crate::places;
use crate::server::crew::Crew;
use crate::server::{free_port, Mode, Process, Saio, Site};
use crate::tls::Identity;
use crate::wire::Dial;

/// What every test needs.
pub struct World {
    base: TempDir,
    docs: Docs,
    configs: PathBuf,
    /// The certificate of servers with TLS
    pub identity: Identity,
    saio: Option<Saio>,
    workers: usize,
    /// Where the random choices start
    pub seed: u64,
    /// Fewer and smaller requests
    pub quick: bool,
    /// Answers to compare in the long form
    pub responses: Option<u64>,
    /// Times that a server is killed, if that was asked for
    pub rounds: Option<u32>,
    /// Pairs of servers so far
    pairs: AtomicUsize,
    /// Removed at the end
    _pool: Option<Crew>,
}

impl World {
    /// Writes files and makes the pool. `queue_all`: servers queue also what costs them more so.
    ///
    /// # Errors
    ///
    /// A directory cannot be written, the library is missing, or no pool can be made.
    pub fn new(args: &VerifyArgs, queue_all: bool) -> Result<Self> {
        let base = places::temporary()?;
        let pool = match args.mode {
            Mode::Inline | Mode::None => None,
            Mode::Auto | Mode::Pool => Some(Crew::hire(args.threads).context("--mode")?),
        };
        let saio = match args.mode {
            Mode::None => None,
            mode => Some(Saio {
                library: places::readable_by_all(&args.places.library()?, &base)?,
                mode,
                pool: pool.as_ref().map(|crew| crew.name().clone()),
                queue_all,
            }),
        };
        let mut files = FILES.to_vec();
        files.push(SEGMENT_FILE);
        if !args.quick {
            files.push(LARGE_FILE);
        }
        places::allow_descriptors()?;
        Ok(Self {
            docs: Docs::write(&base.path().join("docs"), &files, args.seed)?,
            identity: Identity::make(base.path())?,
            base,
            configs: args.places.configs()?,
            saio,
            workers: args.workers as usize,
            seed: args.seed,
            quick: args.quick,
            responses: args.responses,
            rounds: args.rounds,
            pairs: AtomicUsize::new(0),
            _pool: pool,
        })
    }

    /// Starts a way's server twice, without SAIO and under it.
    ///
    /// # Errors
    ///
    /// One does not start.
    pub fn pair(&self, way: &'static Way, name: &str) -> Result<Pair> {
        self.pair_of(way, name, way.start)
    }

    /// The same, with a server that is not started as the way's others.
    ///
    /// # Errors
    ///
    /// One does not start.
    pub fn pair_of(&self, way: &'static Way, name: &str, start: Start) -> Result<Pair> {
        // What another one has left must not be taken for its own.
        let number = self.pairs.fetch_add(1, Ordering::Relaxed);
        let side = |kind: &str, saio: Option<&Saio>| -> Result<Side> {
            let place = Place {
                name: format!("{number}-{name}-{kind}"),
                port: free_port()?,
                log: false,
            };
            self.side(way, place, saio, start)
                .with_context(|| kind.to_owned())
        };
        Ok(Pair {
            way,
            start,
            plain: side("plain", None)?,
            saio: side("saio", self.saio.as_ref())?,
        })
    }

    /// Starts one server, under SAIO or without. If `log` is set it tells in its log what the kernel has got, where it can.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn alone(
        &self,
        way: &Way,
        name: &str,
        start: Start,
        saio: bool,
        log: bool,
    ) -> Result<Side> {
        let number = self.pairs.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            name: format!("{number}-{name}"),
            port: free_port()?,
            log,
        };
        let saio = self.saio.as_ref().filter(|_| saio);
        self.side(way, place, saio, start)
    }

    /// Removes the directories of servers, which must have ended.
    ///
    /// # Errors
    ///
    /// One cannot be removed.
    pub fn tidy(&self) -> Result<()> {
        for entry in fs::read_dir(self.base.path())?.flatten() {
            // Those of servers begin with their number.
            let name = entry.file_name();
            if name.as_encoded_bytes()[0].is_ascii_digit() {
                fs::remove_dir_all(entry.path())
                    .with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    fn side(
        &self,
        way: &Way,
        Place { name, port, log }: Place,
        saio: Option<&Saio>,
        start: Start,
    ) -> Result<Side> {
        let site = Site {
            name: name.clone(),
            base: self.base.path(),
            port,
            log,
            docs: &self.docs.dir,
            configs: &self.configs,
            identity: Some(&self.identity),
            workers: self.workers,
            tuned: true,
            saio,
        };
        let server = start(&site)?;
        let dial = way.dial(&server, &self.identity)?;
        Ok(Side { name, server, dial })
    }

    /// The pool of servers under SAIO, if they have one.
    pub fn pool(&self) -> Option<&Name> {
        self.saio.as_ref()?.pool.as_ref()
    }

    /// A served file by its name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn doc(&self, name: &str) -> Result<&Doc> {
        self.docs.get(name)
    }

    /// The first number in quick mode, the second otherwise.
    pub fn scaled(&self, quick: usize, full: usize) -> usize {
        if self.quick {
            quick
        } else {
            full
        }
    }

    /// Random numbers of one client of one test.
    pub fn random(&self, client: usize) -> Random {
        Random::new(self.seed ^ ((client as u64) << 32))
    }

    /// An empty directory for a test's own files.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn scratch(&self) -> Result<TempDir> {
        tempfile::tempdir_in(self.base.path()).context("cannot make a directory")
    }
}

/// Where a server is, and whether it tells what it has done.
struct Place {
    name: String,
    port: u16,
    log: bool,
}

/// A server without SAIO and the same under it.
pub struct Pair {
    /// How it is started and talked to
    pub way: &'static Way,
    start: Start,
    /// Without SAIO
    pub plain: Side,
    /// Under SAIO
    pub saio: Side,
}

/// One of the two.
pub struct Side {
    name: String,
    /// The server
    pub server: Process,
    /// How to reach it
    pub dial: Dial,
}

impl Pair {
    /// Where clients find both.
    pub fn dials(&self) -> Dials {
        Dials {
            plain: self.plain.dial.clone(),
            saio: self.saio.dial.clone(),
        }
    }

    /// Stops one of the two and starts it again where it was.
    ///
    /// # Errors
    ///
    /// It does not stop or start.
    pub fn restart(&mut self, world: &World, saio: bool) -> Result<()> {
        let side = if saio {
            &mut self.saio
        } else {
            &mut self.plain
        };
        let saio = world.saio.as_ref().filter(|_| saio);
        side.server.stop()?;
        let place = Place {
            name: side.name.clone(),
            port: side.dial.address.port(),
            log: false,
        };
        *side = world
            .side(self.way, place, saio, self.start)
            .context("started again")?;
        Ok(())
    }

    /// Fails if one of the two has logged what no good server logs.
    ///
    /// # Errors
    ///
    /// Such a line.
    pub fn check_logs(&self) -> Result<()> {
        self.plain.server.check_log()?;
        self.saio.server.check_log()
    }

    /// Stops both and looks whether the second has really used SAIO.
    ///
    /// # Errors
    ///
    /// It has not, or one does not stop.
    pub fn stop(&mut self) -> Result<()> {
        self.plain.server.stop()?;
        self.saio.server.stop()?;
        self.check_logs()?;
        self.used()
    }

    /// Fails if the server that was started under SAIO, and has ended, did without it.
    ///
    /// # Errors
    ///
    /// It has deferred no call, or none of its processes had the library.
    pub fn used(&self) -> Result<()> {
        let server = &self.saio.server;
        if !server.is_under_saio() {
            return Ok(());
        }
        let stats = server.stats()?;
        ensure!(
            stats.get("pid") > 0,
            "{} has written no statistics: the library was not loaded, or the server was killed",
            server.label()
        );
        ensure!(
            stats.used(),
            "{} has deferred no call: it ran without SAIO; see saioctl doctor",
            server.label()
        );
        Ok(())
    }
}
