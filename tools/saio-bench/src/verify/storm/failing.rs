// SPDX-License-Identifier: MIT OR Apache-2.0

//! Allocations that fail for some tasks: the kernel's fault injection (`Documentation/fault-injection`).

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::docs::Random;
use crate::verify::Skip;

const DEBUGFS: &str = "/sys/kernel/debug";
/// What can fail: objects, and pages.
const KINDS: [&str; 2] = ["failslab", "fail_page_alloc"];
/// More than ever fail; the kernel counts down.
const MOST: i32 = i32::MAX;
/// Of so many allocations one fails, at the most and at the least.
const EVERY: (usize, usize) = (2, 80);

/// The kernel cannot repeat a FIN or a reset that it has no memory for: the peer never learns of the end of the connection,
/// with SAIO or without. There nothing fails.
const SPARED: [&str; 2] = ["tcp_send_fin", "tcp_send_active_reset"];
/// Marks functions' padding in the list of symbols.
const PADDING: &str = "__pfx_";

/// Fault injection, which is switched off when this is dropped. Tasks that were chosen stay so: it is for a machine that nobody keeps.
pub struct Failing(());

impl Failing {
    /// Sets it up; nothing fails yet.
    ///
    /// # Errors
    ///
    /// [`Skip`] if the kernel has none; otherwise, we are not root.
    pub fn new() -> Result<Self> {
        for kind in KINDS {
            if !Path::new(DEBUGFS).join(kind).join("reject-start").exists() {
                let reason = format!(
                    "the kernel has no {kind} with CONFIG_FAULT_INJECTION_STACKTRACE_FILTER: use ./x boot --config debug"
                );
                return Err(Skip(reason).into());
            }
        }
        let symbols = fs::read_to_string("/proc/kallsyms").context("cannot read /proc/kallsyms")?;
        let (start, end) = spared(&symbols).context("/proc/kallsyms")?;
        let failing = Self(());
        failing.stop()?;
        let most = MOST.to_string();
        for kind in KINDS {
            for (file, value) in [
                ("task-filter", "Y"),
                ("ignore-gfp-wait", "N"),
                ("times", &most),
                ("verbose", "0"),
            ] {
                set(kind, file, value)?;
            }
            set(kind, "reject-start", &format!("{start:#x}"))?;
            set(kind, "reject-end", &format!("{end:#x}"))?;
        }
        set("fail_page_alloc", "ignore-gfp-highmem", "N")?;
        set("fail_page_alloc", "min-order", "0")?;
        Ok(failing)
    }

    /// From now on allocations of these tasks, and of what they start, fail now and then.
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
            // Objects and pages, one of them, or neither: as it comes.
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

    /// How many have failed so far.
    ///
    /// # Errors
    ///
    /// As of the kernel's files.
    pub fn failed(&self) -> Result<u64> {
        let left = KINDS.map(|kind| {
            let path = Path::new(DEBUGFS).join(kind).join("times");
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            let left: i32 = text
                .trim()
                .parse()
                .with_context(|| format!("{}: {text:?}", path.display()))?;
            Ok(u64::from(MOST.abs_diff(left)))
        });
        left.into_iter().sum()
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

/// Where the functions of [`SPARED`] are: fault injection takes one range.
fn spared(symbols: &str) -> Result<(u64, u64)> {
    let mut places: Vec<(u64, &str)> = symbols
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let place = u64::from_str_radix(words.next()?, 16).ok()?;
            words.next().filter(|kind| matches!(*kind, "t" | "T"))?;
            Some((place, words.next()?))
        })
        .filter(|(_, name)| !name.starts_with(PADDING) && !name.starts_with('.'))
        .collect();
    places.sort_unstable();
    let first = places.iter().position(|(_, name)| *name == SPARED[0]);
    let found = first.and_then(|first| places.get(first..first + 3));
    match found {
        Some(&[(start, _), (_, second), (end, _)]) if second == SPARED[1] && start > 0 => {
            Ok((start, end))
        }
        _ => bail!(
            "{} are not there one behind the other",
            SPARED.join(" and ")
        ),
    }
}

fn set(kind: &str, file: &str, value: &str) -> Result<()> {
    let path = Path::new(DEBUGFS).join(kind).join(file);
    fs::write(&path, value).with_context(|| format!("cannot write {value:?} to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spared_functions_are_found() {
        let symbols = "ffffffff81000000 T a\nffffffff81000100 T __pfx_tcp_send_fin\nffffffff81000110 T tcp_send_fin\n\
                       ffffffff81000200 T __pfx_tcp_send_active_reset\nffffffff81000210 T tcp_send_active_reset\n\
                       ffffffff81000300 t .Ltmp7\nffffffff81000310 T b\nffffffffa0000000 t c\t[module]\n";
        let range = spared(symbols).unwrap();
        assert_eq!(range, (0xffff_ffff_8100_0110, 0xffff_ffff_8100_0310));
        assert!(spared(&symbols.replace("T tcp_send_active_reset", "T x")).is_err());
        let hidden = symbols.replace("ffffffff81000110", "0000000000000000");
        assert!(spared(&hidden).is_err());
    }
}
