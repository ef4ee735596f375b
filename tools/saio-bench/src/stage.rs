// SPDX-License-Identifier: MIT OR Apache-2.0

//! nginx with static files in its variants, with and without SAIO.

use std::path::PathBuf;

use anyhow::{bail, Context, Result};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::docs::Docs;
use crate::load::Load;
use crate::measure;
use crate::places::{self, Places};
use crate::server::nginx::{self, Settings};
use crate::server::{free_port, Process, Saio, Site};

/// Requests that fill caches before anything is measured.
const WARM_UP: u64 = 200;
/// Connections that warm up.
const WARM_CONNECTIONS: u32 = 16;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Variant {
    /// Without SAIO, as nginx comes
    Default,
    /// Without SAIO, with tcp_nopush on
    Nopush,
    /// Under SAIO, the server's own thread runs the batches; tcp_nopush on
    Inline,
}

impl Variant {
    /// As the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Nopush => "nopush",
            Self::Inline => "inline",
        }
    }

    /// Whether it is one that SAIO has to beat.
    pub fn is_baseline(self) -> bool {
        self != Self::Inline
    }

    fn settings(self) -> Settings {
        Settings {
            nopush: self != Self::Default,
            ..Settings::default()
        }
    }
}

/// Size of a file, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// As the user wrote it
    pub name: String,
    bytes: usize,
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

/// What all servers share.
pub struct Stage {
    base: TempDir,
    docs: Docs,
    configs: PathBuf,
    library: PathBuf,
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
        Ok(Self {
            docs: Docs::write(&base.path().join("docs"), &files, 1)?,
            base,
            configs: places.configs()?,
            library: places.library()?,
        })
    }

    /// Starts a server.
    ///
    /// # Errors
    ///
    /// As [`nginx::start`].
    pub fn start(&self, name: &str, variant: Variant) -> Result<Process> {
        let saio = Saio::inline(&self.library);
        let site = Site {
            name: name.to_owned(),
            base: self.base.path(),
            port: free_port()?,
            docs: &self.docs.dir,
            configs: &self.configs,
            identity: None,
            workers: 1,
            log: false,
            saio: (variant == Variant::Inline).then_some(&saio),
        };
        nginx::start(&site, &variant.settings())
    }

    /// So many requests for the file of a size.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub fn load(
        &self,
        server: &Process,
        size: &Size,
        connections: u32,
        requests: u64,
    ) -> Result<Load> {
        let path = self.docs.get(&size.name)?.path.clone();
        Ok(Load {
            address: server.address(),
            response_bytes: measure::response_bytes(server, &path)?,
            path,
            connections,
            requests,
        })
    }

    /// Fills the caches of a server and of the system.
    ///
    /// # Errors
    ///
    /// A request failed.
    pub fn warm_up(&self, server: &Process, size: &Size) -> Result<()> {
        let load = self.load(server, size, WARM_CONNECTIONS, WARM_UP)?;
        measure::sample(server, &load).context("warming up")?;
        Ok(())
    }
}

/// Stops a server and checks that it was well, and that it did not run without SAIO where it should have.
///
/// # Errors
///
/// It was not.
pub fn stop(server: &mut Process, variant: Variant) -> Result<()> {
    server.stop()?;
    server.check_log()?;
    if variant == Variant::Inline && server.stats()?.get("deferred") == 0 {
        bail!("the variant inline has deferred no call: it ran without SAIO; see saioctl doctor");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
