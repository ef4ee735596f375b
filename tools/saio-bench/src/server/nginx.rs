// SPDX-License-Identifier: MIT OR Apache-2.0

//! nginx with static files, or in front of another nginx.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};

use super::process::{Habits, Process};
use super::{need, template, Site, LOG};

/// The template within the directory of configurations.
const TEMPLATE: &str = "bench/nginx.conf.in";
/// The program and the package that brings it.
pub const PROGRAM: (&str, &str) = ("nginx", "nginx-light");

/// What tells one nginx from another.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Descriptors of files are kept: `open_file_cache`
    pub file_cache: bool,
    /// A line for each request: `access_log`
    pub log: bool,
    /// With TLS
    pub tls: Option<Tls>,
    /// In front of another one that has the files
    pub proxy: bool,
}

/// How nginx speaks TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tls {
    /// The kernel encrypts
    pub kernel: bool,
    /// HTTP/2 for clients that ask for it
    pub http2: bool,
}

/// Starts nginx and waits until it listens.
///
/// # Errors
///
/// The template cannot be read, or nginx does not start; its log is in the error.
pub fn start(site: &Site, settings: &Settings) -> Result<Process> {
    let upstream = match settings.proxy {
        true => Some(upstream_of(site)?),
        false => None,
    };
    let dir = site.make_dir()?;
    let mut values = vec![
        ("user", worker_user().to_owned()),
        ("workers", site.workers.to_string()),
        ("dir", dir.display().to_string()),
        ("docs", site.docs.display().to_string()),
        ("port", site.port.to_string()),
    ];
    // Without a buffer: a line is written when all of its response was.
    let log = dir.join(LOG).display().to_string();
    let logs = settings.log || site.log;
    values.push(("log", if logs { log } else { "off".into() }));
    values.extend(words(settings, site.tuned));
    let tls = match settings.tls {
        Some(tls) => {
            let identity = site.identity()?;
            format!(
                "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;{}",
                identity.certificate.display(),
                identity.key.display(),
                if tls.kernel {
                    " ssl_conf_command Options KTLS;"
                } else {
                    ""
                }
            )
        }
        None => String::new(),
    };
    values.push(("tls", tls));
    let location = upstream.as_ref().map(|upstream| {
        format!(
            "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}",
            upstream.address()
        )
    });
    values.push(("location", location.unwrap_or_default()));
    let config = template::write(site.configs, TEMPLATE, &dir, &values)?;

    let mut command = Command::new(need(PROGRAM.0, PROGRAM.1)?);
    command
        .arg("-c")
        .arg(&config)
        .arg("-p")
        .arg(&dir)
        .args(["-g", "daemon off;"]);
    let habits = Habits {
        software: "nginx",
        stop: Signal::SIGQUIT,
        has_master: true,
        bad: &["[alert]", "[crit]", "[emerg]"],
    };
    let server = Process::start(site, habits, command, None)?;
    Ok(match upstream {
        Some(upstream) => server.with_upstream(upstream),
        None => server,
    })
}

/// Says what is missing for TLS in the kernel, by asking for it; that loads its module, where there is one.
pub fn no_kernel_tls() -> Option<String> {
    let connected = || -> io::Result<(TcpListener, TcpStream)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        Ok((listener, stream))
    };
    let (_listener, stream) = match connected() {
        Ok(both) => both,
        Err(error) => return Some(format!("no connection on 127.0.0.1: {error}")),
    };
    match setsockopt(&stream, sockopt::TcpUlp::default(), b"tls") {
        Ok(()) => None,
        Err(error) => Some(format!(
            "the kernel has no TLS ({error}): it needs CONFIG_TLS, as a module tls or built in"
        )),
    }
}

/// A plain nginx that has the files, for a server in front of it. It does without SAIO.
///
/// # Errors
///
/// As [`start`].
pub fn upstream_of(site: &Site) -> Result<Process> {
    let site = Site {
        name: format!("{}-upstream", site.name),
        port: super::free_port()?,
        workers: 1,
        tuned: true,
        log: false,
        saio: None,
        ..site.clone()
    };
    start(&site, &Settings::default()).context("the server behind it")
}

/// Words of the template that follow from the settings alone.
fn words(settings: &Settings, tuned: bool) -> [(&'static str, String); 4] {
    let cache = "open_file_cache max=100; open_file_cache_valid 600s;";
    let listen = match settings.tls {
        Some(Tls { http2: true, .. }) => " ssl http2",
        Some(_) => " ssl",
        None => "",
    };
    [
        // Header and file in full segments.
        ("nopush", if tuned { "on" } else { "off" }.to_owned()),
        (
            "cache",
            if settings.file_cache { cache } else { "" }.to_owned(),
        ),
        ("listen", listen.to_owned()),
        // Each client of a proxy takes two.
        (
            "connections",
            if settings.proxy { "2048" } else { "1024" }.to_owned(),
        ),
    ]
}

/// Debian's user for web servers, or one that every system has.
fn worker_user() -> String {
    super::user(&["www-data"]).map_or_else(|| "nobody".to_owned(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_of_the_tree_has_no_unknown_word() {
        let text = include_str!("../../../../configs/bench/nginx.conf.in");
        let mut values: Vec<(&str, String)> = words(&Settings::default(), true).into();
        for word in ["user", "workers", "dir", "docs", "tls", "location", "log"] {
            values.push((word, format!("/{word}")));
        }
        values.push(("port", "8101".into()));
        let filled = template::fill(text, &values).unwrap();
        assert!(filled.contains("listen 127.0.0.1:8101 "), "{filled}");
        assert!(filled.contains("tcp_nopush on;"));
        assert!(filled.contains("root /docs;"));
        assert!(!filled.contains("open_file_cache"));
    }
}
