// SPDX-License-Identifier: MIT OR Apache-2.0

//! A worker: runs one case after the other, each in a process tree of its own.

use std::ffi::CString;
use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::guest::{mark, DIRECTORY};
use crate::plan::Case;
use crate::run::{self, address, call};
use crate::stats::{End, Stats};
use crate::Cli;

/// Time for a case; then it is killed. Most that take so long wait for something that never comes:
/// on slow machines they get less than the factor would give them.
pub fn case_limit(factor: u32) -> Duration {
    Duration::from_secs(1) * factor.div_ceil(4)
}

/// Time for a process that was killed, and for its files to be closed.
const STUCK: Duration = Duration::from_secs(30);

/// Bytes that the files of a case can have in all.
const TMPFS: &std::ffi::CStr = c"size=32m,mode=777";

/// Runs these cases; the exit status: 1 if one has failed.
pub fn run(
    cli: &Cli,
    worker: usize,
    cases: impl Iterator<Item = u64>,
    deadline: Option<Instant>,
    stats: &'static Stats,
) -> i32 {
    let directory = format!("{DIRECTORY}/{worker}");
    if let Err(error) = fs::create_dir_all(&directory) {
        println!("saio-fuzz: FAILED: cannot make {directory}: {error}");
        return 1;
    }
    let Ok(directory) = CString::new(directory) else {
        return 1;
    };
    for number in cases {
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if over || stats.stop.load(Relaxed) != 0 {
            break;
        }
        stats.current[worker].store(number, Relaxed);
        mark(number);
        let case = super::chosen(cli, number);
        if let Err(why) = one(case, &directory, cli.time_factor, stats) {
            println!("saio-fuzz: FAILED: case {number}: {why}");
            println!("repeat with: ./x fuzz --seed {} --case {number}", cli.seed);
            show_stacks();
            return 1;
        }
    }
    0
}

/// Runs a case.
fn one(case: Case, directory: &CString, factor: u32, stats: &'static Stats) -> Result<(), String> {
    let path = directory.as_ptr() as usize;
    let flags = (libc::MS_NODEV | libc::MS_NOSUID) as usize;
    let tmpfs = address(c"tmpfs");
    if call(
        libc::SYS_mount,
        &[tmpfs, path, tmpfs, flags, address(TMPFS)],
    ) < 0
    {
        return Err("cannot mount a tmpfs for it".to_owned());
    }
    let mut flags = libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::SIGCHLD;
    if case.own_net {
        flags |= libc::CLONE_NEWNET;
    }
    let pid = call(libc::SYS_clone, &[flags as usize, 0, 0, 0, 0]);
    if pid == 0 {
        run::case_init(case, directory, stats);
    }
    if pid < 0 {
        return Err(format!("cannot clone: errno {}", -pid));
    }
    let pid = pid as usize;
    let mut killed = false;
    let mut status = wait(pid, case_limit(factor));
    if status.is_none() {
        killed = true;
        call(libc::SYS_kill, &[pid, libc::SIGKILL as usize]);
        status = wait(pid, STUCK * factor);
    }
    let Some(status) = status else {
        return Err(format!("process {pid} does not end although it was killed"));
    };
    stats.ended(match status {
        _ if killed => End::Killed,
        0 => End::Exited,
        _ => End::Signal,
    });
    let last = Instant::now() + STUCK * factor;
    while call(libc::SYS_umount2, &[path, 0]) < 0 {
        if Instant::now() > last {
            return Err("somebody still holds a file of its tmpfs".to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Waits for a process to end; its wait status, or none if it takes too long.
fn wait(pid: usize, limit: Duration) -> Option<i32> {
    let pidfd = call(libc::SYS_pidfd_open, &[pid, 0]);
    let item = libc::pollfd {
        fd: pidfd as i32,
        events: libc::POLLIN,
        revents: 0,
    };
    let time = [limit.as_secs(), u64::from(limit.subsec_nanos())];
    call(libc::SYS_ppoll, &[address(&item), 1, address(&time), 0, 8]);
    call(libc::SYS_close, &[pidfd as usize]);
    let mut status = 0i32;
    let args = [pid, &raw mut status as usize, libc::WNOHANG as usize, 0];
    (call(libc::SYS_wait4, &args) == pid as isize).then_some(status)
}

/// Prints where tasks of SAIO and those that cannot be interrupted are; where CPUs are is told to
/// the kernel's log.
pub fn show_stacks() {
    // Who spins may not be on a CPU just now.
    for _ in 0..5 {
        let _ = fs::write("/proc/sysrq-trigger", "l");
        std::thread::sleep(Duration::from_millis(70));
    }
    let Ok(processes) = fs::read_dir("/proc") else {
        return;
    };
    for process in processes.flatten() {
        let Ok(tasks) = fs::read_dir(process.path().join("task")) else {
            continue;
        };
        for task in tasks.flatten().map(|task| task.path()) {
            let read = |name: &str| fs::read_to_string(task.join(name)).unwrap_or_default();
            let stat = read("stat");
            let state = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .trim_start()
                .chars()
                .next();
            let comm = read("comm");
            if comm.starts_with("saio") || matches!(state, Some('D')) {
                println!(
                    "{} {} {state:?}\n{}",
                    task.display(),
                    comm.trim(),
                    read("stack")
                );
            }
        }
    }
}
