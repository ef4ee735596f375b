// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be compared: servers, and the ways to run each.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use nix::sys::signal::Signal;
use rustls::version::{TLS12, TLS13};
use rustls::SupportedProtocolVersion;

use super::streams::echo::Echo;
use super::streams::http::{APPLICATION, STATIC};
use super::streams::memcached::Memcached;
use super::streams::resp::Resp;
use super::streams::Stream;
use super::tests::groups::{self, Group};
use crate::server::nginx::Tls;
use crate::server::{
    echo, find, haproxy, lighttpd, memcached, nginx, node, redis, uvicorn, Process, Site,
};
use crate::tls::Identity;
use crate::wire::Dial;

/// How long a server that listens may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Starts a server.
pub type Start = fn(&Site) -> Result<Process>;

/// What bytes are carried by.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    /// TCP as it is
    Tcp,
    /// TLS of this version
    Tls(&'static SupportedProtocolVersion),
}

/// A way to run a server, and what it can then do.
pub struct Way {
    /// Its name
    pub name: &'static str,
    /// Starts it
    pub start: Start,
    /// Says what is missing for it, besides the server
    pub missing: fn() -> Option<String>,
    /// What clients say
    pub stream: &'static dyn Stream,
    /// What that is carried by
    pub transport: Transport,
    /// Tests that make sense for it
    pub tests: &'static [Group],
    /// Makes it read its configuration again, with new processes
    pub reload: Option<Signal>,
    /// Answers what it has read when the client says that it sends nothing more
    pub answers_half_closed: bool,
    /// Requests that it takes before their answers were read
    pub at_once: usize,
    /// Its log tells which answers the kernel has got: whole, and before the line is written
    pub tells: bool,
}

impl Way {
    /// How to reach a server that was started so, once it is ready.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn dial(&self, server: &Process, identity: &Identity) -> Result<Dial> {
        let tls = match self.transport {
            Transport::Tcp => None,
            Transport::Tls(version) => Some(identity.client(version)?),
        };
        let dial = Dial {
            address: server.address(),
            tls,
        };
        let begin = Instant::now();
        while !self.stream.is_ready(&mut dial.connect()?)? {
            ensure!(
                begin.elapsed() < READY_LIMIT,
                "{} is not ready after {} s",
                server.label(),
                READY_LIMIT.as_secs()
            );
            sleep(Duration::from_millis(20));
        }
        Ok(dial)
    }
}

/// What most ways have.
const COMMON: Way = Way {
    name: "",
    start: echo::start,
    missing: || None,
    stream: &Echo,
    transport: Transport::Tcp,
    tests: groups::ANY,
    reload: None,
    answers_half_closed: true,
    at_once: usize::MAX,
    tells: false,
};

/// A server.
pub struct Subject {
    /// Its name
    pub name: &'static str,
    /// Says what is missing, if it cannot run here
    pub missing: fn() -> Option<String>,
    /// The first one is the plainest
    pub ways: &'static [Way],
}

/// nginx with static files.
pub const NGINX: Way = Way {
    name: "http",
    start: |site| nginx::start(site, &nginx::Settings::default()),
    stream: &STATIC,
    tests: groups::NGINX,
    reload: Some(Signal::SIGHUP),
    tells: true,
    ..COMMON
};

/// nginx with TLS of some kind.
fn nginx_tls(site: &Site, tls: Tls) -> Result<Process> {
    let settings = nginx::Settings {
        tls: Some(tls),
        ..nginx::Settings::default()
    };
    nginx::start(site, &settings)
}

const NGINX_WAYS: [Way; 7] = [
    NGINX,
    Way {
        name: "tls-1.3",
        start: |site| nginx_tls(site, Tls::default()),
        transport: Transport::Tls(&TLS13),
        tests: groups::STATIC,
        ..NGINX
    },
    Way {
        name: "tls-1.2",
        start: |site| nginx_tls(site, Tls::default()),
        transport: Transport::Tls(&TLS12),
        tests: groups::STATIC,
        ..NGINX
    },
    Way {
        name: "ktls",
        start: |site| {
            let tls = Tls {
                kernel: true,
                http2: false,
            };
            nginx_tls(site, tls)
        },
        missing: nginx::no_kernel_tls,
        transport: Transport::Tls(&TLS13),
        tests: groups::KERNEL_TLS,
        ..NGINX
    },
    Way {
        name: "http2",
        start: |site| {
            let tls = Tls {
                kernel: false,
                http2: true,
            };
            nginx_tls(site, tls)
        },
        transport: Transport::Tls(&TLS13),
        tests: groups::HTTP2,
        ..NGINX
    },
    Way {
        name: "proxy",
        start: |site| {
            let settings = nginx::Settings {
                proxy: true,
                ..nginx::Settings::default()
            };
            nginx::start(site, &settings)
        },
        tests: groups::STATIC,
        answers_half_closed: false,
        ..NGINX
    },
    Way {
        name: "log",
        start: |site| {
            let settings = nginx::Settings {
                log: true,
                ..nginx::Settings::default()
            };
            nginx::start(site, &settings)
        },
        tests: groups::ACCESS_LOG,
        ..NGINX
    },
];

const LIGHTTPD: Way = Way {
    name: "http",
    start: |site| start_lighttpd(site, false, 0),
    stream: &STATIC,
    tests: groups::LIGHTTPD,
    reload: Some(Signal::SIGUSR1),
    ..COMMON
};

fn start_lighttpd(site: &Site, tls: bool, workers: usize) -> Result<Process> {
    lighttpd::start(site, &lighttpd::Settings { tls, workers })
}

const LIGHTTPD_WAYS: [Way; 3] = [
    LIGHTTPD,
    Way {
        name: "tls",
        start: |site| start_lighttpd(site, true, 0),
        missing: || file(lighttpd::TLS_MODULE),
        transport: Transport::Tls(&TLS13),
        ..LIGHTTPD
    },
    Way {
        name: "workers",
        start: |site| start_lighttpd(site, false, site.workers.max(2)),
        ..LIGHTTPD
    },
];

const REDIS_SERVER: (&str, &str) = ("redis-server", "redis-server");
const VALKEY_SERVER: (&str, &str) = ("valkey-server", "valkey-server");

/// One of the two, as it is by default.
const fn redis_settings(program: (&'static str, &'static str)) -> redis::Settings {
    redis::Settings {
        program,
        tls: false,
        io_threads: 1,
        append_only: false,
    }
}

/// The same ways for Redis and for Valkey.
macro_rules! redis_ways {
    ($program:ident) => {{
        const PLAIN: redis::Settings = redis_settings($program);
        const TLS: redis::Settings = redis::Settings { tls: true, ..PLAIN };
        const THREADS: redis::Settings = redis::Settings {
            io_threads: 2,
            ..PLAIN
        };
        const LOG: redis::Settings = redis::Settings {
            append_only: true,
            ..PLAIN
        };
        const WAY: Way = Way {
            name: "plain",
            start: |site| redis::start(site, &PLAIN),
            stream: &Resp,
            tests: groups::REDIS,
            ..COMMON
        };
        [
            WAY,
            Way {
                name: "tls",
                start: |site| redis::start(site, &TLS),
                transport: Transport::Tls(&TLS13),
                ..WAY
            },
            Way {
                name: "io-threads",
                start: |site| redis::start(site, &THREADS),
                ..WAY
            },
            Way {
                name: "appendonly",
                start: |site| redis::start(site, &LOG),
                tests: groups::REDIS_LOG,
                ..WAY
            },
        ]
    }};
}

const REDIS_WAYS: [Way; 4] = redis_ways!(REDIS_SERVER);
const VALKEY_WAYS: [Way; 4] = redis_ways!(VALKEY_SERVER);

fn start_memcached(site: &Site, threads: usize, tls: bool) -> Result<Process> {
    memcached::start(site, &memcached::Settings { threads, tls })
}

const MEMCACHED: Way = Way {
    name: "t1",
    start: |site| start_memcached(site, 1, false),
    stream: &Memcached,
    tests: groups::MEMCACHED,
    ..COMMON
};

const MEMCACHED_WAYS: [Way; 3] = [
    MEMCACHED,
    Way {
        name: "t4",
        start: |site| start_memcached(site, 4, false),
        ..MEMCACHED
    },
    Way {
        name: "tls",
        start: |site| start_memcached(site, 4, true),
        missing: || {
            let reason = "this memcached was built without TLS";
            (!memcached::has_tls()).then(|| reason.to_owned())
        },
        // What OpenSSL has read already it forgets when it turns to another connection: seen with 1.6.18.
        at_once: 1,
        tests: groups::MEMCACHED_TLS,
        transport: Transport::Tls(&TLS13),
        ..MEMCACHED
    },
];

const HAPROXY_WAY: Way = Way {
    name: "http",
    start: haproxy::start,
    stream: &STATIC,
    tests: groups::STATIC,
    reload: Some(Signal::SIGUSR2),
    answers_half_closed: false,
    ..COMMON
};
const HAPROXY_WAYS: [Way; 2] = [
    HAPROXY_WAY,
    Way {
        name: "retries",
        start: haproxy::start_with_dead,
        tests: groups::RETRIES,
        ..HAPROXY_WAY
    },
];

const APPLICATION_WAY: Way = Way {
    name: "http",
    start: node::start,
    stream: &APPLICATION,
    tests: groups::APPLICATION,
    answers_half_closed: false,
    ..COMMON
};

const UVICORN_WAYS: [Way; 2] = [
    Way {
        name: "asyncio",
        start: |site| uvicorn::start(site, "asyncio"),
        ..APPLICATION_WAY
    },
    Way {
        name: "uvloop",
        start: |site| uvicorn::start(site, "uvloop"),
        missing: || module("uvloop"),
        ..APPLICATION_WAY
    },
];

/// All servers.
pub static SUBJECTS: [Subject; 9] = [
    Subject {
        name: "nginx",
        missing: || program(nginx::PROGRAM),
        ways: &NGINX_WAYS,
    },
    Subject {
        name: "lighttpd",
        missing: || program(lighttpd::PROGRAM),
        ways: &LIGHTTPD_WAYS,
    },
    Subject {
        name: "redis",
        missing: || program(REDIS_SERVER),
        ways: &REDIS_WAYS,
    },
    Subject {
        name: "valkey",
        missing: || program(VALKEY_SERVER),
        ways: &VALKEY_WAYS,
    },
    Subject {
        name: "memcached",
        missing: || program(memcached::PROGRAM),
        ways: &MEMCACHED_WAYS,
    },
    Subject {
        name: "haproxy",
        missing: || program(haproxy::PROGRAM).or_else(|| program(nginx::PROGRAM)),
        ways: &HAPROXY_WAYS,
    },
    Subject {
        name: "node",
        missing: || program(node::PROGRAM),
        ways: &[Way {
            tells: true,
            ..APPLICATION_WAY
        }],
    },
    Subject {
        name: "uvicorn",
        missing: || module("uvicorn"),
        ways: &UVICORN_WAYS,
    },
    Subject {
        name: "echo",
        missing: || None,
        ways: &[Way {
            name: "echo",
            ..COMMON
        }],
    },
];

fn program((name, package): (&str, &str)) -> Option<String> {
    find(name)
        .is_none()
        .then(|| format!("{name} is not installed; install the package {package}"))
}

fn file((name, package): (&str, &str)) -> Option<String> {
    (!Path::new(name).exists())
        .then(|| format!("{name} is not there; install the package {package}"))
}

fn module(name: &str) -> Option<String> {
    uvicorn::python_with(name)
        .is_none()
        .then(|| format!("Python has no module {name}; install the package python3-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = SUBJECTS.iter().map(|subject| subject.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SUBJECTS.len());
        for subject in &SUBJECTS {
            let mut ways: Vec<&str> = subject.ways.iter().map(|way| way.name).collect();
            ways.sort_unstable();
            ways.dedup();
            assert_eq!(ways.len(), subject.ways.len(), "{}", subject.name);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let reason = program(("no-such-program", "some-package")).unwrap();
        assert!(reason.contains("install the package some-package"));
        assert!(program(("sh", "dash")).is_none());
        assert!(file(("/no/such/file", "x")).is_some());
    }
}
