// SPDX-License-Identifier: MIT OR Apache-2.0

//! A pool of kernel threads for the servers of one run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use saio::pool::{self, Change, Cpus, Group, Name};

/// A pool that is removed when this value is dropped.
pub struct Crew(Name);

impl Crew {
    /// Makes a pool that everybody may use.
    ///
    /// # Errors
    ///
    /// We are not root, or the kernel has no SAIO.
    pub fn hire(threads: u32) -> Result<Self> {
        Self::hire_on(threads, None, None)
    }

    /// The same on some processors, with another time that threads look for work before they sleep.
    ///
    /// # Errors
    ///
    /// As [`Self::hire`].
    pub fn hire_on(threads: u32, cpus: Option<Cpus>, idle: Option<Duration>) -> Result<Self> {
        static HIRED: AtomicUsize = AtomicUsize::new(0);
        let number = HIRED.fetch_add(1, Ordering::Relaxed);
        let name: Name = format!("bench-{}-{number}", std::process::id()).parse()?;
        let change = Change {
            workers: Some(threads),
            group: Some(Group::Anybody),
            cpus,
            idle,
            ..Change::default()
        };
        pool::create(&name, &change).context(
            "no pool can be made (needs root and a kernel with SAIO; see saioctl doctor)",
        )?;
        Ok(Self(name))
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.0
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Servers that have not ended yet go on in the default pool.
        let _ = pool::remove(&self.0, true);
    }
}
