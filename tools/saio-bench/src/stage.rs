// SPDX-License-Identifier: MIT OR Apache-2.0

//! Servers in the variants that are compared: what they share, and how each is started and stopped.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use clap::ValueEnum;
use saio::pool::{Cpus, Name};
use tempfile::TempDir;

use crate::client::{Lockstep, Wrk};
use crate::docs::Docs;
use crate::open_loop::OpenLoop;
use crate::places::{self, Places};
use crate::processors::Processors;
use crate::server::crew::Crew;
use crate::server::{echo, free_port, Mode, Process, Saio, Site};
use crate::tls::Identity;
use crate::verify::streams::{http, Reply, Request};
use crate::verify::subjects::{Way, NGINX};
use crate::wire::Dial;

/// Connections that warm up.
pub const WARM_CONNECTIONS: u32 = 16;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Variant {
    /// Without SAIO, as the server comes
    Default,
    /// Without SAIO, with tcp_nopush on, for nginx
    Nopush,
    /// Under SAIO, the server's own threads run the batches; nginx with tcp_nopush on
    Inline,
    /// As inline, but a pool of kernel threads runs them
    Pool,
    /// As inline, but a pool of kernel threads runs them where that pays
    Auto,
    /// Without SAIO, a program written for io_uring
    IoUring,
}

impl Variant {
    /// As the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Nopush => "nopush",
            Self::Inline => "inline",
            Self::Pool => "pool",
            Self::Auto => "auto",
            Self::IoUring => "io-uring",
        }
    }

    /// Whether it is one that SAIO has to beat: the same server without it.
    pub fn is_baseline(self) -> bool {
        matches!(self, Self::Default | Self::Nopush)
    }

    /// Who runs the calls, under SAIO.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::Default | Self::Nopush | Self::IoUring => None,
            Self::Inline => Some(Mode::Inline),
            Self::Pool => Some(Mode::Pool),
            Self::Auto => Some(Mode::Auto),
        }
    }
}

/// Size of a file, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// As the user wrote it
    pub name: String,
    /// Its bytes
    pub bytes: usize,
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = match text.strip_suffix('k') {
            Some(digits) => (digits, 1 << 10),
            None => match text.strip_suffix('m') {
                Some(digits) => (digits, 1 << 20),
                None => (text, 1),
            },
        };
        let number: usize = digits
            .parse()
            .map_err(|_| "not a size: give a number, or one with k or m behind it".to_owned())?;
        let bytes = number.checked_mul(unit).filter(|bytes| *bytes <= 64 << 20);
        Ok(Self {
            name: text.to_owned(),
            bytes: bytes.ok_or("at most 64m can be served")?,
        })
    }
}

/// A server to start.
#[derive(Clone)]
pub struct Role {
    /// Which one, and how it is run
    pub way: &'static Way,
    /// With or without SAIO
    pub variant: Variant,
    /// Processes or threads that serve, where a server has such a setting
    pub workers: u32,
    /// Threads of the pool, for a variant that has one
    pub threads: u32,
    /// Whose processors are whose, if they are shared out
    pub processors: Option<Processors>,
}

impl Role {
    /// nginx with static files and one worker.
    pub fn nginx(variant: Variant) -> Self {
        Self {
            way: &NGINX,
            variant,
            workers: 1,
            threads: 1,
            processors: None,
        }
    }

    /// The processors that nobody but the server uses, and its pool, if it has one.
    pub fn own_processors(&self) -> Vec<usize> {
        let Some(all) = &self.processors else {
            return Vec::new();
        };
        let has_pool = matches!(self.variant.mode(), Some(Mode::Pool | Mode::Auto));
        let pool = all.pool.iter().filter(|_| has_pool);
        all.server.iter().chain(pool).copied().collect()
    }
}

/// A server that runs.
pub struct Served {
    /// What it is
    pub role: Role,
    /// It
    pub server: Process,
    dial: Dial,
}

impl Served {
    /// A client in lockstep.
    pub fn lockstep<'a>(
        &'a self,
        request: &'a Request,
        connections: u32,
        pipeline: u32,
    ) -> Lockstep<'a> {
        Lockstep {
            dial: &self.dial,
            request,
            connections,
            pipeline,
        }
    }

    /// A client whose requests come at their own pace.
    pub fn open_loop<'a>(&'a self, request: &'a Request, connections: u32) -> OpenLoop<'a> {
        OpenLoop {
            dial: &self.dial,
            request,
            connections,
        }
    }

    /// Stops it and checks that it was well, and that it did not run without SAIO where it should have.
    ///
    /// # Errors
    ///
    /// It was not.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop()?;
        self.server.check_log()?;
        if self.role.variant.mode().is_some() {
            ensure!(
                self.server.stats()?.used(),
                "the variant {} has deferred no call: it ran without SAIO; see saioctl doctor",
                self.role.variant.name()
            );
        }
        Ok(())
    }
}

/// What all servers share.
pub struct Stage {
    base: TempDir,
    docs: Docs,
    sizes: Vec<Size>,
    configs: PathBuf,
    library: PathBuf,
    identity: Identity,
    /// Pools, by the numbers of workers and of threads
    crews: RefCell<BTreeMap<(u32, u32), Crew>>,
    /// How long threads of pools look for work before they sleep, if not as they come
    idle: Option<Duration>,
}

impl Stage {
    /// Writes files of these sizes, below a directory that is gone when this value is dropped.
    ///
    /// # Errors
    ///
    /// Something that is needed is missing, or the files cannot be written.
    pub fn new(places: &Places, sizes: &[Size]) -> Result<Self> {
        let base = places::temporary()?;
        let files: Vec<(&str, usize)> = sizes
            .iter()
            .map(|size| (size.name.as_str(), size.bytes))
            .collect();
        places::allow_descriptors()?;
        Ok(Self {
            docs: Docs::write(&base.path().join("docs"), &files, 1)?,
            sizes: sizes.to_vec(),
            configs: places.configs()?,
            library: places::readable_by_all(&places.library()?, &base)?,
            identity: Identity::make(base.path())?,
            base,
            crews: RefCell::default(),
            idle: None,
        })
    }

    /// From now on threads of pools look for work for so long before they sleep.
    pub fn set_idle(&mut self, idle: Duration) {
        self.idle = Some(idle);
    }

    /// Starts a server. No two have the same name.
    ///
    /// # Errors
    ///
    /// It does not start; its log is in the error.
    pub fn start(&self, name: &str, role: &Role) -> Result<Served> {
        let saio = role.variant.mode().map(|mode| self.saio(mode, role));
        let saio = saio.transpose()?;
        let site = Site {
            name: name.to_owned(),
            base: self.base.path(),
            port: free_port()?,
            docs: &self.docs.dir,
            configs: &self.configs,
            identity: Some(&self.identity),
            workers: role.workers as usize,
            tuned: role.variant != Variant::Default,
            log: false,
            saio: saio.as_ref(),
        };
        let server = match role.variant {
            Variant::IoUring => echo::start_on_uring(&site)?,
            _ => (role.way.start)(&site)?,
        };
        if let Some(processors) = &role.processors {
            processors.keep_server(&server)?;
        }
        Ok(Served {
            role: role.clone(),
            dial: role.way.dial(&server, &self.identity)?,
            server,
        })
    }

    fn saio(&self, mode: Mode, role: &Role) -> Result<Saio> {
        let pool = match mode {
            Mode::Auto | Mode::Pool => Some(self.pool(role)?),
            Mode::Inline | Mode::None => None,
        };
        Ok(Saio {
            library: self.library.clone(),
            mode,
            pool,
            queue_all: false,
        })
    }

    /// A pool for servers of this kind.
    fn pool(&self, role: &Role) -> Result<Name> {
        let mut crews = self.crews.borrow_mut();
        let kind = (role.workers, role.threads);
        if let Some(crew) = crews.get(&kind) {
            return Ok(crew.name().clone());
        }
        let cpus = role.processors.as_ref().map(|all| all.pool.iter().copied());
        let crew = Crew::hire_on(role.threads, cpus.map(Cpus::from_iter), self.idle)?;
        let name = crew.name().clone();
        crews.insert(kind, crew);
        Ok(name)
    }

    /// wrk, asking an nginx for the file of a size, which is given by its place in the list.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub fn wrk<'a>(&self, served: &'a Served, size: usize, connections: u32) -> Result<Wrk<'a>> {
        let path = &self.docs.get(&self.sizes[size].name)?.path;
        let processors = served.role.processors.as_ref();
        let threads = processors.map_or(1, |all| all.client.len() as u32);
        Wrk::new(&served.server, path, connections, threads)
    }

    /// What a client asks a server for answers of a size; the requests before the last one are to be made once.
    ///
    /// # Errors
    ///
    /// The server knows no such request.
    pub fn requests(&self, way: &Way, size: usize) -> Result<(Vec<Request>, Request)> {
        // As many clients as sizes: each has keys of its own.
        let mut all = way.stream.sized(self.sizes[size].bytes, size);
        let mut request = all.pop().context("no such request")?;
        if matches!(request.reply, Reply::Http { .. }) {
            request = http::get(&self.docs.get(&self.sizes[size].name)?.path, &[]);
        }
        Ok((all, request))
    }

    /// Makes those requests that are to be made once.
    ///
    /// # Errors
    ///
    /// One failed.
    pub fn prepare(&self, served: &Served, requests: &[Request]) -> Result<()> {
        let mut conn = served.dial.connect()?;
        for request in requests {
            request.exchange(&mut conn)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_belongs_to_those_who_use_it() {
        let role = |variant| Role {
            processors: Some(Processors {
                server: vec![0, 1],
                pool: vec![2],
                client: vec![3],
            }),
            ..Role::nginx(variant)
        };
        assert_eq!(role(Variant::Inline).own_processors(), [0, 1]);
        assert_eq!(role(Variant::Auto).own_processors(), [0, 1, 2]);
        assert!(Role::nginx(Variant::Pool).own_processors().is_empty());
    }

    #[test]
    fn sizes() {
        let bytes = |text: &str| text.parse::<Size>().map(|size| size.bytes);
        assert_eq!(bytes("1k"), Ok(1024));
        assert_eq!(bytes("20k"), Ok(20480));
        assert_eq!(bytes("2m"), Ok(2 << 20));
        assert_eq!(bytes("7"), Ok(7));
        for bad in ["", "k", "1g", "-1k", "99999999m"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
