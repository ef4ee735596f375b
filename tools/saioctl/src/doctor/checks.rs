// SPDX-License-Identifier: MIT OR Apache-2.0

//! The checks of `saioctl doctor`, in the order in which their failures should be mended.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{bail, Context, Result};
use nix::errno::Errno;
use nix::sys::resource::{getrlimit, Resource, RLIM_INFINITY};

use super::probe::{self, Outcome, Probe};
use super::{pools, system, Check};
use crate::preload;

/// Bytes of a ring with default parameters: control words, 256 entries, 512 completions, 1024 flow words and
/// 256 KiB of arena, in whole pages.
const DEFAULT_RING: u64 =
    (192 + 256 * 64 + 512 * 16 + 1024 * 4 + 256 * 1024_u64).next_multiple_of(4096);
/// Below this many rings a server with a few workers comes to the limit.
const FEW_RINGS: u64 = 4;

pub const BOOT_SAIO: &str =
    "boot a kernel built with CONFIG_SAIO=y (in the source tree of SAIO, ./x build makes one and ./x boot tries it in QEMU)";
const ALLOW_CALLS: &str =
    "let the seccomp filter allow system calls 1000 to 1002 by number; container profiles and SystemCallFilter= know names only, docs/security.md says what to do";
const RAISE_MEMLOCK: &str =
    "raise RLIMIT_MEMLOCK (ulimit -l; systemd unit: LimitMEMLOCK=8M; container: --ulimit memlock=8388608)";
const REPORT: &str = "look at the end of the kernel's log (dmesg) and report what it says";

/// Makes every check.
pub fn all(library: Option<&Path>) -> Vec<Check> {
    let filtered = system::status_field("Seccomp").as_deref() == Some("2");
    let calls = calls(probe::run(Probe::Calls), filtered);
    let present = calls.fix.is_none();
    let trial = |name, probe| {
        if present {
            result(name, probe::run(probe))
        } else {
            Check::fail(
                name,
                "not tried: saio_setup does not answer",
                "mend the check of the calls first",
            )
        }
    };
    let mut checks = vec![
        kernel(),
        calls,
        config(present),
        sysctl(),
        memlock(),
        seccomp(present),
        trial("ring", Probe::Ring),
        trial("batch", Probe::Batch),
        trial("flow", Probe::Flow),
        preloadable(library),
    ];
    let pools = present.then(|| probe::run(Probe::Pools));
    checks.extend(pools::checks(pools));
    checks
}

fn kernel() -> Check {
    let name = "kernel";
    if !cfg!(target_arch = "x86_64") {
        return Check::warn(
            name,
            format!("Linux on {}", env::consts::ARCH),
            "use an x86-64 machine: SAIO has been tested on no other",
        );
    }
    match system::release() {
        Some(release) => Check::ok(name, format!("Linux {release}")),
        None => Check::warn(name, "no /proc", "mount proc: mount -t proc proc /proc"),
    }
}

fn calls(outcome: Outcome, filtered: bool) -> Check {
    let name = "calls";
    match outcome {
        Outcome::Done(seen) => Check::ok(name, seen),
        Outcome::Errno { errno, .. } if errno == Errno::ENOSYS as i32 && filtered => Check::fail(
            name,
            "saio_setup: ENOSYS; a seccomp filter is active and may be what hides it",
            format!("try again outside the container or unit; if it fails there too, {BOOT_SAIO}; if not, {ALLOW_CALLS}"),
        ),
        Outcome::Errno { errno, .. } if errno == Errno::ENOSYS as i32 => {
            Check::fail(name, "saio_setup: ENOSYS, this kernel is without SAIO", BOOT_SAIO)
        }
        other => result(name, other),
    }
}

/// The check that a trial stands for.
pub fn result(name: &'static str, outcome: Outcome) -> Check {
    match outcome {
        Outcome::Done(seen) => Check::ok(name, seen),
        Outcome::Errno { call, errno } => {
            let errno = Errno::from_raw(errno);
            Check::fail(name, format!("{call}: {errno:?}"), fix_of(errno))
        }
        Outcome::Wrong(seen) => Check::fail(name, seen, REPORT),
        Outcome::Killed(signal) if signal == libc::SIGSYS => Check::fail(
            name,
            "a seccomp filter kills processes that use SAIO",
            ALLOW_CALLS,
        ),
        Outcome::Killed(signal) => Check::fail(
            name,
            format!("the trial was killed by signal {signal}"),
            REPORT,
        ),
        Outcome::TimedOut => Check::fail(
            name,
            format!("no end after {} s", probe::LIMIT.as_secs()),
            REPORT,
        ),
        Outcome::NotStarted(seen) => Check::fail(
            name,
            seen,
            "run saioctl from a place where it may be executed, with /proc mounted",
        ),
    }
}

fn fix_of(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSYS => BOOT_SAIO,
        Errno::EPERM | Errno::EACCES => {
            "let the seccomp filter allow system calls 1000 to 1002 and what entries call; if there is no filter, set kernel.saio_disabled to 0 or join kernel.saio_group"
        }
        Errno::ENOMEM => RAISE_MEMLOCK,
        Errno::EMFILE | Errno::ENFILE => "raise the limit of open files (ulimit -n)",
        Errno::EADDRNOTAVAIL | Errno::ENETUNREACH => {
            "bring the loopback interface up: ip link set lo up"
        }
        Errno::EINVAL | Errno::E2BIG => {
            "use a saioctl that belongs to the running kernel: they disagree about the ABI"
        }
        _ => REPORT,
    }
}

fn config(present: bool) -> Check {
    let name = "config";
    match system::kernel_config() {
        Some((file, text)) if system::config_has(&text, "CONFIG_SAIO") => {
            Check::ok(name, format!("CONFIG_SAIO=y in {file}"))
        }
        // The calls answer, so the file is of another kernel.
        Some((file, _)) if present => Check::ok(name, format!("{file} does not fit the kernel")),
        Some((file, _)) => {
            Check::warn(name, format!("CONFIG_SAIO is not set in {file}"), BOOT_SAIO)
        }
        None => Check::ok(name, "neither /proc/config.gz nor a file in /boot"),
    }
}

fn sysctl() -> Check {
    let name = "sysctl";
    let Some(value) = system::kernel_sysctl("saio_disabled") else {
        return Check::ok(name, "no kernel.saio_disabled, so no restriction");
    };
    let seen = format!("kernel.saio_disabled = {value}");
    match value.as_str() {
        "0" => Check::ok(name, seen),
        "1" => Check::warn(
            name,
            format!("{seen}: only for the group kernel.saio_group and CAP_SYS_ADMIN"),
            "run the server in the group of kernel.saio_group, or sysctl kernel.saio_disabled=0",
        ),
        _ => Check::fail(
            name,
            format!("{seen}: for nobody"),
            "sysctl kernel.saio_disabled=0",
        ),
    }
}

fn memlock() -> Check {
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, hard)) => memlock_of(soft, hard, system::may_lock_memory()),
        Err(errno) => Check::warn("memlock", format!("getrlimit: {errno:?}"), RAISE_MEMLOCK),
    }
}

fn memlock_of(soft: u64, hard: u64, privileged: bool) -> Check {
    let name = "memlock";
    let limits = format!("RLIMIT_MEMLOCK {}, hard {}", amount(soft), amount(hard));
    if privileged {
        return Check::ok(name, format!("{limits}; CAP_IPC_LOCK: it does not apply"));
    }
    if soft == RLIM_INFINITY {
        return Check::ok(name, limits);
    }
    let rings = soft / DEFAULT_RING;
    let seen = format!(
        "{limits}: room for {rings} rings of {} for all processes of the user",
        amount(DEFAULT_RING)
    );
    match rings {
        0 => Check::fail(name, seen, RAISE_MEMLOCK),
        few if few < FEW_RINGS => Check::warn(name, seen, RAISE_MEMLOCK),
        _ => Check::ok(name, seen),
    }
}

fn amount(bytes: u64) -> String {
    match bytes {
        RLIM_INFINITY => "unlimited".to_owned(),
        bytes => format!("{} KiB", bytes / 1024),
    }
}

fn seccomp(present: bool) -> Check {
    seccomp_of(system::status_field("Seccomp").as_deref(), present)
}

fn seccomp_of(mode: Option<&str>, present: bool) -> Check {
    let name = "seccomp";
    match mode {
        Some("0") => Check::ok(name, "no filter"),
        Some("1") => Check::fail(
            name,
            "strict mode: saio_enter kills the process",
            "start the server outside seccomp's strict mode",
        ),
        Some("2") if present => Check::ok(
            name,
            "a filter is active and lets saio_setup through; it sees every entry too",
        ),
        Some("2") => Check::warn(
            name,
            "a filter is active; EPERM or EACCES from saio_setup would be its answer",
            ALLOW_CALLS,
        ),
        _ => Check::ok(name, "the kernel has no seccomp"),
    }
}

fn preloadable(library: Option<&Path>) -> Check {
    let name = "preload";
    let fix = "build it (cargo build --release -p saio-preload) or name it with --preload FILE";
    match preload::find(library) {
        Ok(file) => match load(&file) {
            Ok(()) => Check::ok(name, file.display().to_string()),
            Err(error) => Check::fail(name, format!("{error:#}"), fix),
        },
        Err(error) => Check::fail(name, format!("{error:#}"), fix),
    }
}

/// Loads the library into a program that does nothing.
fn load(library: &Path) -> Result<()> {
    let output = Command::new(env::current_exe().context("cannot find saioctl itself")?)
        .args(["probe", "nothing"])
        .env("LD_PRELOAD", library)
        .env("SAIO_MODE", "off")
        .stdin(Stdio::null())
        .output()
        .context("cannot start a program with the library")?;
    // The dynamic linker complains and goes on.
    let complaints = String::from_utf8_lossy(&output.stderr);
    if let Some(line) = complaints.lines().find(|line| line.contains("ld.so")) {
        bail!("{line}");
    }
    if !output.status.success() {
        bail!("a program with the library ends with {}", output.status);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn errno(errno: Errno) -> Outcome {
        Outcome::Errno {
            call: "saio_setup".into(),
            errno: errno as i32,
        }
    }

    #[test]
    fn missing_calls_ask_for_another_kernel() {
        let check = calls(errno(Errno::ENOSYS), false);
        assert_eq!(check.status, Status::Fail);
        assert!(check.fix.unwrap().contains("CONFIG_SAIO=y"));
        let check = calls(errno(Errno::ENOSYS), true);
        assert!(check.fix.unwrap().contains("seccomp"));
    }

    #[test]
    fn refusals_name_the_filter() {
        for outcome in [errno(Errno::EPERM), Outcome::Killed(libc::SIGSYS)] {
            let check = calls(outcome, false);
            assert_eq!(check.status, Status::Fail);
            assert!(check.fix.unwrap().contains("seccomp"));
        }
    }

    #[test]
    fn memory_limits() {
        let status = |soft, privileged| memlock_of(soft, RLIM_INFINITY, privileged).status;
        assert_eq!(status(64 << 10, false), Status::Fail);
        assert_eq!(status(1 << 20, false), Status::Warn);
        assert_eq!(status(8 << 20, false), Status::Ok);
        assert_eq!(status(64 << 10, true), Status::Ok);
        assert_eq!(status(RLIM_INFINITY, false), Status::Ok);
    }

    #[test]
    fn seccomp_modes() {
        let status = |mode, present| seccomp_of(mode, present).status;
        assert_eq!(status(Some("0"), false), Status::Ok);
        assert_eq!(status(Some("1"), true), Status::Fail);
        assert_eq!(status(Some("2"), true), Status::Ok);
        assert_eq!(status(Some("2"), false), Status::Warn);
        assert_eq!(status(None, true), Status::Ok);
    }
}
