// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs tests, each in a process group of its own, and reports them as KTAP.

use super::{pool_for_every_ring, Exit, PANICKED};
use std::{
    fs,
    io::{self, Read, Write},
    os::fd::FromRawFd,
    panic::catch_unwind,
    thread,
    time::{Duration, Instant},
};

/// Exit status of a test that was skipped.
pub const SKIP_STATUS: i32 = 77;

/// One behaviour.
pub struct Test {
    /// `area.behaviour`.
    pub name: &'static str,
    /// Panics if the kernel misbehaves.
    pub run: fn(),
    /// Time limit in seconds.
    pub seconds: u32,
    /// Runs with every ring in a pool.
    pub pooled: bool,
}

enum Verdict {
    Ok,
    NotOk,
    Skip,
}

/// Runs the tests; `factor` stretches their time limits. Gives the number of failures.
pub fn run_all(tests: &[&Test], factor: u32) -> io::Result<usize> {
    let mut failures = 0;
    println!("KTAP version 1");
    println!("1..{}", tests.len());
    // A line for each test, however fast they are.
    let _ = fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
    for (index, test) in tests.iter().enumerate() {
        let number = index + 1;
        // Before the test, so that a crash of the whole guest has a name.
        println!("# running {}", test.name);
        mark(test.name);
        let (verdict, notes) = run_one(test, factor)?;
        match verdict {
            Verdict::Ok => println!("ok {number} {}", test.name),
            Verdict::Skip => println!("ok {number} {} # SKIP {}", test.name, notes.trim()),
            Verdict::NotOk => {
                failures += 1;
                println!("not ok {number} {}", test.name);
                for line in notes.lines() {
                    println!("# {line}");
                }
            }
        }
        io::stdout().flush()?;
    }
    mark("");
    Ok(failures)
}

/// Says in the kernel's log which test begins: `./x test` lets it fail if the kernel complains before the next one.
fn mark(test: &str) {
    if let Ok(mut log) = fs::OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = log.write_all(format!("<6>saio-selftest: {test}\n").as_bytes());
    }
}

/// Runs one test in a child, in an empty directory; gives what it wrote, too.
fn run_one(test: &Test, factor: u32) -> io::Result<(Verdict, String)> {
    let limit = Duration::from_secs(u64::from(test.seconds) * u64::from(factor));
    let directory = format!("/tmp/saio-selftest.{}", std::process::id());
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory)?;

    let mut ends = [0; 2];
    // SAFETY: the array has room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let [read, write] = ends;
    // SAFETY: only the reading end is non-blocking: the test may write as it likes.
    unsafe { libc::fcntl(read, libc::F_SETFL, libc::O_NONBLOCK) };
    io::stdout().flush()?;
    // SAFETY: this process has one thread only.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        become_test(test, &directory, write);
    }
    // SAFETY: both were made above; each is closed once.
    let mut output = unsafe {
        libc::close(write);
        fs::File::from_raw_fd(read)
    };

    let mut notes = Vec::new();
    let start = Instant::now();
    let exit = loop {
        drain(&mut output, &mut notes);
        let mut status = 0;
        // SAFETY: the status is an int.
        if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid {
            break Some(Exit::of_wait_status(status));
        }
        if start.elapsed() > limit {
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    drain(&mut output, &mut notes);
    let mut notes = String::from_utf8_lossy(&notes).into_owned();
    if exit.is_none() {
        notes.push_str(&where_it_hangs(pid));
    }
    // SAFETY: the group is the test's own; ends what it may have left behind.
    unsafe { libc::kill(-pid, libc::SIGKILL) };
    let verdict = match exit {
        Some(Exit::Status(0)) => Verdict::Ok,
        Some(Exit::Status(SKIP_STATUS)) => Verdict::Skip,
        Some(Exit::Status(PANICKED)) => Verdict::NotOk,
        Some(Exit::Status(status)) => {
            notes.push_str(&format!("\nended with status {status}"));
            Verdict::NotOk
        }
        Some(Exit::Signal(signal)) => {
            notes.push_str(&format!("\nkilled by signal {signal}"));
            Verdict::NotOk
        }
        None => {
            // SAFETY: the child was killed just now. If it cannot die, the guest's limit ends all.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            notes.push_str(&format!("\ntimed out after {} s", limit.as_secs()));
            Verdict::NotOk
        }
    };
    let _ = fs::remove_dir_all(&directory);
    Ok((verdict, notes.trim_start().to_owned()))
}

/// What the child does: run the test with its output going to `write`.
fn become_test(test: &Test, directory: &str, write: i32) -> ! {
    // SAFETY: plain system calls on this process and on descriptors that it owns.
    unsafe {
        libc::setpgid(0, 0);
        libc::dup2(write, 1);
        libc::dup2(write, 2);
        libc::close(write);
    }
    let run = || {
        let _pool = test.pooled.then(pool_for_every_ring);
        (test.run)();
    };
    let status = match std::env::set_current_dir(directory) {
        Ok(()) if catch_unwind(run).is_ok() => 0,
        Ok(()) => PANICKED,
        Err(error) => {
            eprintln!("{directory}: {error}");
            PANICKED
        }
    };
    let _ = io::stdout().flush();
    // SAFETY: ends the process, threads that the test left behind with it.
    unsafe { libc::_exit(status) }
}

/// Reads what is there.
fn drain(output: &mut fs::File, notes: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        notes.extend_from_slice(&buffer[..count]);
    }
}

/// Where the threads of a process wait in the kernel, as far as it says.
fn where_it_hangs(pid: i32) -> String {
    let mut text = String::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        for what in ["syscall", "wchan", "stack"] {
            if let Ok(content) = fs::read_to_string(task.path().join(what)) {
                text.push_str(&format!("\n{what}: {}", content.trim_end()));
            }
        }
    }
    text
}
