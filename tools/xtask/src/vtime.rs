// SPDX-License-Identifier: MIT OR Apache-2.0

//! Virtual time: QEMU with the plugin of tools/vtime, and what it reports.

mod join;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context as _, Result};
use serde::Deserialize;

use crate::exec;
use crate::kbuild;
use crate::paths;
use crate::qemu::escape;

/// Kernel argument: a virtual CPU that halts has no time of its own.
pub const IDLE: &str = "idle=poll";

/// Instructions that a `pause` counts as: the cycles that it takes on many
/// processors. It is dear to emulate, and idle CPUs do nothing else.
const PAUSE: u64 = 40;

/// The oldest QEMU that has what the plugin needs: major and minor version.
const OLDEST: (u32, u32) = (9, 1);

/// Per cent of broken quanta above which the figures are worth nothing.
const MAX_BROKEN: f64 = 1.0;

/// Version of the plugin's report that is read here.
const SCHEMA: u32 = 1;

/// The plugin with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// The shared library.
    pub library: PathBuf,
    /// Instructions that a virtual CPU may be ahead of another.
    pub quantum: u64,
    /// Instructions that a `syscall` costs more.
    pub crossing: u64,
    /// Addresses of the kernel's idle code; none in a dry run.
    pub polling: Option<String>,
}

impl Plugin {
    /// The value of QEMU's option `-plugin`.
    pub fn option(&self, report: &Path) -> String {
        let mut option = format!(
            "{},quantum={},crossing={},pause={PAUSE},report={}",
            escape(&self.library),
            self.quantum,
            self.crossing,
            escape(report)
        );
        if let Some(polling) = &self.polling {
            option.push_str(&format!(",polling={polling}"));
        }
        option
    }
}

/// Checks that a QEMU can run the plugin.
///
/// # Errors
///
/// It cannot be run, is too old, or was built without plugins; the error says
/// where to get another one.
pub fn check(qemu: &Path) -> Result<()> {
    let text = exec::output(Command::new(qemu).arg("--version"))?;
    let help = exec::output(Command::new(qemu).arg("--help"))?;
    if let Err(problem) = judge_qemu(&text, &help) {
        bail!(
            "virtual time needs QEMU {}.{} or newer with plugins, and {} {problem}. \
             Debian 13 has one; on Debian 12, with bookworm-backports in apt's sources: \
             apt install -t bookworm-backports qemu-system-x86. \
             Another one: --qemu PATH, or SAIO_QEMU",
            OLDEST.0,
            OLDEST.1,
            qemu.display()
        );
    }
    Ok(())
}

/// Judges what QEMU says to `--version` and `--help`.
fn judge_qemu(version: &str, help: &str) -> Result<(), String> {
    let first = version.lines().next().unwrap_or_default();
    let Some(found) = qemu_version(first) else {
        return Err(format!("says {first:?}, which is no version of QEMU"));
    };
    if found < OLDEST {
        return Err(format!("is version {}.{}", found.0, found.1));
    }
    if !help.lines().any(|line| line.starts_with("-plugin ")) {
        return Err("was built without plugins".to_string());
    }
    Ok(())
}

/// Reads `QEMU emulator version 10.0.2 (Debian ...)`.
fn qemu_version(line: &str) -> Option<(u32, u32)> {
    let (_, rest) = line.split_once("QEMU emulator version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Addresses of the idle code of a kernel, `arch/x86/boot/bzImage` in its build
/// directory, as the plugin takes them.
///
/// # Errors
///
/// The kernel's symbol table is not there or does not have it.
pub fn idle_code(image: &Path) -> Result<String> {
    let file = kbuild::system_map(image)?;
    let symbols = paths::read(&file)?;
    idle_range(&symbols).with_context(|| format!("no idle code in {}", file.display()))
}

fn idle_range(symbols: &str) -> Option<String> {
    let address = |name: &str| {
        symbols.lines().find_map(|line| {
            let (address, rest) = line.split_once(' ')?;
            rest.ends_with(name).then_some(address)
        })
    };
    let start = address(" __cpuidle_text_start")?;
    let end = address(" __cpuidle_text_end")?;
    Some(format!("{start}-{end}"))
}

/// What the plugin wrote. All times are instructions.
#[derive(Debug, Deserialize)]
struct Report {
    schema: u32,
    quantum: u64,
    crossing: u64,
    pause: u64,
    quanta: u64,
    broken: u64,
    marks: Vec<Mark>,
}

/// One execution of the marker.
#[derive(Debug, Deserialize)]
struct Mark {
    nr: u8,
    cpu: usize,
    cpus: Vec<CpuTime>,
}

/// How far a virtual CPU was.
#[derive(Debug, Deserialize)]
struct CpuTime {
    time: u64,
    halted: u64,
    polling: u64,
}

impl CpuTime {
    /// Instructions that were neither slept nor spent on waiting for work.
    fn busy(&self) -> u64 {
        self.time
            .saturating_sub(self.halted)
            .saturating_sub(self.polling)
    }
}

impl Report {
    fn parse(text: &str) -> Result<Report> {
        let report: Report = serde_json::from_str(text)?;
        ensure!(
            report.schema == SCHEMA,
            "it has version {}, and {SCHEMA} is supported: run cargo clean -p vtime",
            report.schema
        );
        Ok(report)
    }

    /// Quanta that were broken, in per cent.
    fn broken_percent(&self) -> f64 {
        100.0 * self.broken as f64 / self.quanta.max(1) as f64
    }

    /// How it was measured, in half a sentence.
    fn detail(&self) -> String {
        format!(
            "quantum {}, crossing {}, pause {} instructions; lock-step broken in {:.3} % of the quanta",
            self.quantum,
            self.crossing,
            self.pause,
            self.broken_percent()
        )
    }
}

/// Reads the plugin's report, says how good it is, and puts its figures into
/// the results files of `out` that wait for them.
///
/// # Errors
///
/// There is no report, the lock-step was broken too often, or results name
/// marks that were not made.
pub fn finish(report: &Path, out: &Path) -> Result<()> {
    let text = paths::read(report)?;
    let about = || format!("the plugin's report {}", report.display());
    let report = Report::parse(&text).with_context(about)?;
    let percent = report.broken_percent();
    exec::step(&format!(
        "virtual time: {} quanta, lock-step broken {} times ({percent:.3} %)",
        report.quanta, report.broken
    ));
    ensure!(report.quanta > 0, "{}: nothing was counted", about());
    ensure!(
        percent <= MAX_BROKEN,
        "the lock-step was broken in more than {MAX_BROKEN} % of the quanta, so the figures are \
         not used: leave the machine to the measurement, or use fewer --cpus"
    );
    let entries = fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            join::file(&path, &report)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "-foo x\n-plugin [file=]<file>[,<argname>=<argvalue>]\n   load a plugin\n";

    #[test]
    fn versions_of_qemu() {
        let of = |text| qemu_version(text);
        assert_eq!(
            of("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"),
            Some((10, 0))
        );
        assert_eq!(of("QEMU emulator version 9.1.0-rc1"), Some((9, 1)));
        assert_eq!(of("qemu-img version 10.0.2"), None);
        assert_eq!(of("QEMU emulator version ten"), None);
    }

    #[test]
    fn an_old_qemu_or_one_without_plugins_is_refused() {
        let judge = |version: &str, help| {
            judge_qemu(&format!("QEMU emulator version {version}\nCopyright"), help)
        };
        assert_eq!(judge("9.1.0", HELP), Ok(()));
        assert_eq!(judge("10.0.2 (Debian)", HELP), Ok(()));
        assert_eq!(judge("9.0.4", HELP), Err("is version 9.0".to_string()));
        assert_eq!(judge("7.2.22", HELP), Err("is version 7.2".to_string()));
        assert!(judge("10.0.2", "-foo x\n").is_err());
        assert!(judge_qemu("hello", HELP).is_err());
    }

    #[test]
    fn the_error_says_what_to_do() {
        let error = check(Path::new("/bin/echo")).unwrap_err().to_string();
        for word in [
            "9.1",
            "/bin/echo",
            "--qemu",
            "SAIO_QEMU",
            "bookworm-backports",
        ] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn idle_code_is_found() {
        let map = "ffff01 t foo\nffff10 T __cpuidle_text_start\nffff90 T __cpuidle_text_end\n";
        assert_eq!(idle_range(map), Some("ffff10-ffff90".to_string()));
        assert_eq!(idle_range("ffff01 t foo\n"), None);
    }

    #[test]
    fn a_report_that_was_broken_too_often_is_refused() {
        let dir = std::env::temp_dir().join(format!("xtask-vtime-{}", std::process::id()));
        let file = dir.join("vtime.txt");
        let finish_with = |quanta: u64, broken: u64, schema: u32| {
            let text = format!(
                r#"{{"schema":{schema},"complete":true,"quantum":1,"crossing":0,"pause":1,
                    "quanta":{quanta},"broken":{broken},"cpus":[],"marks":[]}}"#
            );
            paths::write(&file, text).unwrap();
            finish(&file, &dir)
        };
        assert!(finish_with(1000, 10, 1).is_ok());
        let text = finish_with(1000, 11, 1).unwrap_err().to_string();
        assert!(text.contains("more than 1 %"), "{text}");
        assert!(finish_with(0, 0, 1).is_err());
        assert!(finish_with(1000, 0, 2).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
