// SPDX-License-Identifier: MIT OR Apache-2.0

//! The machine: whether it may be broken, and how it is set up for that.

use std::ffi::CStr;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::run::{self, call};

/// Where cases have their directories.
pub const DIRECTORY: &str = "/tmp/saio-fuzz";

/// Directories of the host that the guest can write to.
const SHARED: [&CStr; 1] = [c"/mnt/out"];

/// Refuses a machine that somebody may want to keep: the guest of `./x` has its root from
/// another machine, read-only, over 9p.
///
/// # Errors
///
/// It is another one, or has no SAIO, or the caller is not root.
pub fn check(i_know: bool) -> Result<()> {
    // SAFETY: no memory is involved.
    if unsafe { libc::geteuid() } != 0 {
        bail!("only root can make pools and namespaces: run it as root");
    }
    if !saio_leaks::is_guest() && !i_know {
        bail!(
            "this is not a guest of ./x boot, whose root is read-only: cases may spoil files and \
             processes here. ./x fuzz starts a guest; --i-know runs it anyway"
        );
    }
    if saio::sys::probe() == libc::ENOSYS {
        bail!("this kernel has no SAIO");
    }
    Ok(())
}

/// Sets the machine up: nothing that cases do reaches the host, and the log can be read.
///
/// # Errors
///
/// It cannot be set up.
pub fn prepare() -> Result<()> {
    // SAFETY: no memory is involved.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        bail!(
            "cannot make a mount namespace: {}",
            std::io::Error::last_os_error()
        );
    }
    let flags = (libc::MS_REC | libc::MS_PRIVATE) as usize;
    call(libc::SYS_mount, &[0, run::address(c"/"), 0, flags, 0]);
    for path in SHARED {
        call(
            libc::SYS_umount2,
            &[path.as_ptr() as usize, libc::MNT_DETACH as usize],
        );
    }
    fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot make {DIRECTORY}"))?;
    let settings = [
        // Every case says its number there.
        ("/proc/sys/kernel/printk_devkmsg", "on\n"),
        // Namespaces and mounts of each case come and go.
        ("/sys/kernel/rcu_expedited", "1"),
        // Programs that die are none of the kernel's faults.
        ("/proc/sys/debug/exception-trace", "0"),
        ("/proc/self/oom_score_adj", "-1000"),
    ];
    for (path, value) in settings {
        set(path, value);
    }
    for (path, value) in run::SOON {
        set(path.to_str()?, value);
    }
    if Path::new(run::FAIL_NTH.to_str()?).exists() {
        for (path, value) in [
            ("failslab/ignore-gfp-wait", "N"),
            ("failslab/verbose", "0"),
            ("fail_page_alloc/ignore-gfp-wait", "N"),
            ("fail_page_alloc/ignore-gfp-highmem", "N"),
            ("fail_page_alloc/min-order", "0"),
            ("fail_page_alloc/verbose", "0"),
        ] {
            set(&format!("/sys/kernel/debug/{path}"), value);
        }
    } else {
        println!("saio-fuzz: no allocation fails: this kernel has no fault injection (debug has)");
    }
    Ok(())
}

/// Writes a setting; says so if the kernel does not have it, as cases go on without.
fn set(path: &str, value: &str) {
    if let Err(error) = fs::write(path, value) {
        println!("saio-fuzz: cannot write {value:?} to {path}: {error}");
    }
}

/// Switches the tracepoints of SAIO on or off: cases run with and without.
pub fn trace(on: bool) {
    let path = "/sys/kernel/tracing/events/saio/enable";
    if Path::new(path).exists() {
        set(path, if on { "1" } else { "0" });
    }
}

/// Takes a CPU away for a moment, so that threads of pools have to move, or what was read of
/// files, so that it has to be read anew: one of the two, in turn.
pub fn disturb(turn: u64) {
    let cpu = "/sys/devices/system/cpu/cpu1/online";
    if turn % 2 == 0 {
        let _ = fs::write("/proc/sys/vm/drop_caches", "1");
    } else if Path::new(cpu).exists() {
        for online in ["0", "1"] {
            let _ = fs::write(cpu, online);
        }
    }
}

/// Says in the kernel's log which case begins, for who reads a report there.
pub fn mark(case: u64) {
    if let Ok(mut log) = fs::OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = log.write_all(format!("<6>saio-fuzz: case {case}\n").as_bytes());
    }
}
