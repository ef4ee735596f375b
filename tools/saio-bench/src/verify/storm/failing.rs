// SPDX-License-Identifier: MIT OR Apache-2.0

//! Allocations that fail for some tasks: the kernel's fault injection (`Documentation/fault-injection`).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::docs::Random;
use crate::verify::Skip;

const DEBUGFS: &str = "/sys/kernel/debug";
/// What can fail: objects, and pages.
const KINDS: [&str; 2] = ["failslab", "fail_page_alloc"];
/// Of so many allocations one fails, at the most and at the least.
const EVERY: (usize, usize) = (3, 400);

/// Fault injection, which is switched off when this is dropped.
pub struct Failing(());

impl Failing {
    /// Sets it up; nothing fails yet.
    ///
    /// # Errors
    ///
    /// [`Skip`] if the kernel has none; otherwise, we are not root.
    pub fn new() -> Result<Self> {
        for kind in KINDS {
            if !Path::new(DEBUGFS).join(kind).exists() {
                let reason = format!(
                    "the kernel has no {kind}: CONFIG_FAULT_INJECTION_DEBUG_FS, as in ./x boot --config debug"
                );
                return Err(Skip(reason).into());
            }
        }
        let failing = Self(());
        failing.stop()?;
        for kind in KINDS {
            for (file, value) in [
                ("task-filter", "Y"),
                ("ignore-gfp-wait", "N"),
                ("times", "-1"),
                ("verbose", "0"),
            ] {
                set(kind, file, value)?;
            }
        }
        set("fail_page_alloc", "ignore-gfp-highmem", "N")?;
        set("fail_page_alloc", "min-order", "0")?;
        Ok(failing)
    }

    /// From now on allocations of these tasks, and of what they start, fail now and then. How often is said.
    ///
    /// # Errors
    ///
    /// As of the kernel's files.
    pub fn start(&self, tasks: &[u32], random: &mut Random) -> Result<()> {
        for task in tasks {
            // Those that have just ended have nothing to fail.
            let _ = fs::write(format!("/proc/{task}/make-it-fail"), "1");
        }
        for kind in KINDS {
            // All of it, objects only, pages only: as it comes.
            let every = EVERY.0 + random.below(EVERY.1 - EVERY.0);
            set(kind, "interval", &every.to_string())?;
            set(
                kind,
                "probability",
                if random.below(4) == 0 { "0" } else { "100" },
            )?;
        }
        Ok(())
    }

    /// From now on none fails.
    ///
    /// # Errors
    ///
    /// As of the kernel's files.
    pub fn stop(&self) -> Result<()> {
        KINDS
            .iter()
            .try_for_each(|kind| set(kind, "probability", "0"))
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn set(kind: &str, file: &str, value: &str) -> Result<()> {
    let path = Path::new(DEBUGFS).join(kind).join(file);
    fs::write(&path, value).with_context(|| format!("cannot write {value:?} to {}", path.display()))
}
