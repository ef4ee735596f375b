// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the kernel has given back all that cases have had.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use saio::sys;

use crate::plan::NOBODY;
use crate::run::{self, address, call};

/// How long the kernel may take: work that was put off, network namespaces. Two flows that send to
/// each other, and that nobody has any more, are reset after 60 s.
const PATIENCE: Duration = Duration::from_secs(80);

/// As much as the slowest machine takes for work that was put off, without a factor.
const SLOW: Duration = Duration::from_secs(10);

/// Open files of the system that may be more than before: the kernel counts them for each CPU, and
/// adds up now and then.
const FILES: u64 = 400;

const POOL: i64 = sys::__NR_saio_pool as i64;
const ATTR_SIZE: usize = size_of::<sys::saio_pool_attr>();

/// What there was before the first case.
pub struct Baseline {
    files: u64,
    sockets: u64,
}

impl Baseline {
    /// Counts.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn now() -> Result<Self> {
        Ok(Self {
            files: open_files().context("cannot read /proc/sys/fs/file-nr")?,
            sockets: tcp("alloc").context("cannot read /proc/net/sockstat")?,
        })
    }

    /// Removes the pools that cases have made, and says what is left of cases.
    ///
    /// # Errors
    ///
    /// Something is left for too long, or a pool cannot be removed.
    pub fn check(&self, factor: u32) -> Result<(), String> {
        let last = Instant::now() + PATIENCE.max(SLOW * factor);
        let wait = |look: &dyn Fn() -> Result<(), String>| loop {
            match look() {
                Ok(()) => return Ok(()),
                Err(left) if Instant::now() > last => return Err(left),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        };
        wait(&remove_pools)?;
        wait(&no_threads)?;
        wait(&no_rings)?;
        wait(&|| none_more("TCP orphans", tcp("orphan"), 0))?;
        wait(&|| none_more("TCP sockets", tcp("alloc"), self.sockets))?;
        wait(&|| none_more("open files", open_files(), self.files + FILES))?;
        for user in [NOBODY, NOBODY + 1] {
            wait(&|| uncharged(user))?;
        }
        Ok(())
    }
}

fn none_more(what: &str, there: Option<u64>, allowed: u64) -> Result<(), String> {
    match there {
        Some(count) if count > allowed => Err(format!("{count} {what}, {allowed} before")),
        _ => Ok(()),
    }
}

/// The first number of a text.
fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<u64> {
    number(&fs::read_to_string("/proc/sys/fs/file-nr").ok()?)
}

/// A figure of the line about TCP.
fn tcp(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text.lines().find(|line| line.starts_with("TCP:"))?;
    number(line.split_once(&format!(" {name} "))?.1)
}

/// Memory of rings is the only memory that functions of SAIO take by vmalloc.
fn no_rings() -> Result<(), String> {
    let text = fs::read_to_string("/proc/vmallocinfo").unwrap_or_default();
    let rings: Vec<&str> = text.lines().filter(|line| line.contains("saio")).collect();
    match rings[..] {
        [] => Ok(()),
        [first, ..] => Err(format!("{} rings still have memory: {first}", rings.len())),
    }
}

/// Threads of pools that were removed end.
fn no_threads() -> Result<(), String> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = names.filter_map(|process| fs::read_to_string(process.path().join("comm")).ok());
    let left: Vec<String> = names
        .filter(|name| name.starts_with("saio/") && !name.starts_with("saio/defaul"))
        .collect();
    match &left[..] {
        [] => Ok(()),
        [first, ..] => Err(format!(
            "{} threads of removed pools: {}",
            left.len(),
            first.trim()
        )),
    }
}

/// Removes all pools but the default, which gets its defaults again.
fn remove_pools() -> Result<(), String> {
    let mut id = 0;
    loop {
        let mut attr = sys::saio_pool_attr {
            id,
            ..Default::default()
        };
        let pointer = &raw mut attr as usize;
        let found = call(POOL, &[sys::SAIO_POOL_NEXT as usize, pointer, ATTR_SIZE]);
        if found == -(libc::ENOENT as isize) {
            return Ok(());
        }
        let name = String::from_utf8_lossy(&attr.name)
            .trim_end_matches('\0')
            .to_owned();
        if found < 0 {
            return Err(format!(
                "cannot read the pool behind number {id}: errno {}",
                -found
            ));
        }
        if attr.rings != 0 {
            return Err(format!(
                "pool {name} has {} rings although no case runs",
                attr.rings
            ));
        }
        id = attr.id + 1;
        let mut change = sys::saio_pool_attr {
            name: attr.name,
            ..Default::default()
        };
        let command = if name == "default" {
            change.set = sys::SAIO_POOL_SET_WORKERS
                | sys::SAIO_POOL_SET_MAX
                | sys::SAIO_POOL_SET_IDLE
                | sys::SAIO_POOL_SET_CPUS
                | sys::SAIO_POOL_SET_GROUP;
            (change.workers, change.max, change.idle_ns) = (1, 2, 200_000);
            sys::SAIO_POOL_SET
        } else {
            sys::SAIO_POOL_REMOVE
        };
        let mask = [u64::MAX; 16];
        if command == sys::SAIO_POOL_SET {
            change.cpus = address(&mask) as u64;
            change.cpus_len = size_of_val(&mask) as u32;
        }
        let changed = call(POOL, &[command as usize, address(&change), ATTR_SIZE]);
        if changed < 0 {
            return Err(format!(
                "command {command} on pool {name}: errno {}",
                -changed
            ));
        }
    }
}

/// Whether a user has no locked memory charged: a ring that takes all of the limit can be made.
fn uncharged(user: u32) -> Result<(), String> {
    let child = run::fork();
    if child == 0 {
        run::exit(try_ring(user));
    }
    let mut status = 0i32;
    while call(
        libc::SYS_wait4,
        &[child as usize, &raw mut status as usize, 0, 0],
    ) == -(libc::EINTR as isize)
    {}
    match libc::WEXITSTATUS(status) {
        0 => Ok(()),
        errno => Err(format!("user {user} cannot make a ring within the limit (errno {errno}): memory is still charged")),
    }
}

/// Makes a small ring as this user, with no more memory than it needs; 0 or an errno.
fn try_ring(user: u32) -> i32 {
    let small = sys::saio_params {
        sq_entries: 1,
        cq_entries: 1,
        flows: 1,
        arena_size: 4096,
        ..Default::default()
    };
    let mut params = small;
    let Ok(fd) = sys::setup(&mut params) else {
        return libc::EIO;
    };
    sys::close(fd);
    run::limit(libc::RLIMIT_MEMLOCK, params.map_size.into());
    let id = user as usize;
    call(libc::SYS_setresuid, &[id, id, id]);
    let mut params = small;
    match sys::setup(&mut params) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    }
}
