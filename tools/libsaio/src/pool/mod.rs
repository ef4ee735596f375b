// SPDX-License-Identifier: MIT OR Apache-2.0

//! Worker pools: kernel threads, shared by the whole system, that run the entries of flows.
//!
//! For programs that manage pools. Unlike the rest of the crate it takes memory, so it is not
//! for the preload library.

mod cpus;
mod name;

use std::ffi::c_long;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::sys::{self, saio_pool_attr, saio_pool_cmd, saio_pool_stat};
use cpus::MASK_WORDS;

pub use cpus::Cpus;
pub use name::Name;

/// Buckets of [`Stat::waits`].
pub const WAIT_BUCKETS: usize = sys::SAIO_HIST_BUCKETS as usize;

/// A text is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// Who may attach rings to a pool, besides those with CAP_SYS_ADMIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Everybody
    Anybody,
    /// Members of the group with this number
    Id(u32),
}

impl Group {
    fn raw(self) -> u32 {
        match self {
            Self::Anybody => sys::SAIO_POOL_ANYBODY,
            Self::Id(gid) => gid,
        }
    }

    /// From the kernel's number.
    pub fn from_raw(gid: u32) -> Self {
        match gid {
            sys::SAIO_POOL_ANYBODY => Self::Anybody,
            gid => Self::Id(gid),
        }
    }
}

/// What a pool is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Threads that may be runnable at a time
    pub workers: u32,
    /// Threads in all: one that waits for the disk is replaced meanwhile
    pub max: u32,
    /// How long a thread looks for work before it sleeps
    pub idle: Duration,
    /// Where the threads may run
    pub cpus: Cpus,
    /// Who may attach
    pub group: Group,
}

/// The attributes that are to be set; the others are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// See [`Attributes::workers`]
    pub workers: Option<u32>,
    /// See [`Attributes::max`]
    pub max: Option<u32>,
    /// See [`Attributes::idle`]
    pub idle: Option<Duration>,
    /// See [`Attributes::cpus`]
    pub cpus: Option<Cpus>,
    /// See [`Attributes::group`]
    pub group: Option<Group>,
}

/// A pool as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name
    pub name: Name,
    /// Its number, 1 and up, never used again
    pub id: u32,
    /// Rings that are attached
    pub rings: u32,
    /// What it is set to
    pub attributes: Attributes,
}

/// Counters of a pool since it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Threads there are
    pub threads: u32,
    /// Of these, awake and not held up
    pub runnable: u32,
    /// Entries that the threads have run
    pub entries: u64,
    /// Bytes that these entries have sent
    pub bytes: u64,
    /// Times that a flow had to wait for its peer
    pub parks: u64,
    /// Times that a flow went on with another thread than before
    pub steals: u64,
    /// Times that a thread was woken
    pub wakeups: u64,
    /// Times that a thread went to sleep
    pub sleeps: u64,
    /// Times that a thread was held up in an entry and another woken
    pub replaced: u64,
    /// Time that threads had work
    pub run: Duration,
    /// Time that threads looked for work
    pub spin: Duration,
    /// How many operations waited how long before they first ran: bucket i counts those
    /// from 2^i to 2^(i+1) - 1 nanoseconds
    pub waits: [u64; WAIT_BUCKETS],
}

/// Makes a pool, with the kernel's defaults for what `change` leaves out.
///
/// # Errors
///
/// Those of `saio_pool` (`ENOSYS`: no pools in this kernel; `EPERM`; `EEXIST`; `ENOSPC`).
pub fn create(name: &Name, change: &Change) -> io::Result<()> {
    write(sys::SAIO_POOL_CREATE, name, change)
}

/// Changes a pool, at once.
///
/// # Errors
///
/// Those of `saio_pool` (`ENOSYS`: no pools in this kernel; `EPERM`; `ENOENT`).
pub fn set(name: &Name, change: &Change) -> io::Result<()> {
    write(sys::SAIO_POOL_SET, name, change)
}

/// Reads a pool.
///
/// # Errors
///
/// Those of `saio_pool` (`ENOSYS`: no pools in this kernel; `ENOENT`).
pub fn get(name: &Name) -> io::Result<Pool> {
    let mut attr = named(name);
    read(sys::SAIO_POOL_GET, &mut attr)
}

/// Reads all pools, in the order in which they were made.
///
/// # Errors
///
/// Those of `saio_pool` (`ENOSYS`: no pools in this kernel).
pub fn list() -> io::Result<Vec<Pool>> {
    let mut pools = Vec::new();
    let mut id = 1;
    while let Some(pool) = next(id)? {
        id = pool.id + 1;
        pools.push(pool);
    }
    Ok(pools)
}

/// Reads the first pool whose number is at least `id`, if there is one.
fn next(id: u32) -> io::Result<Option<Pool>> {
    let mut attr = saio_pool_attr {
        id,
        ..Default::default()
    };
    match read(sys::SAIO_POOL_NEXT, &mut attr) {
        Ok(pool) => Ok(Some(pool)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a pool; with `force` also one that rings are attached to, which then go to the
/// pool `default`.
///
/// # Errors
///
/// Those of `saio_pool` (`ENOSYS`: no pools in this kernel; `EPERM`; `ENOENT`; `EBUSY`).
pub fn remove(name: &Name, force: bool) -> io::Result<()> {
    let mut attr = named(name);
    if force {
        attr.flags = sys::SAIO_POOL_FORCE;
    }
    call(sys::SAIO_POOL_REMOVE, &mut attr, &mut [])
}

/// Reads the counters of a pool.
///
/// # Errors
///
/// Those of `saio_pool` (`ENOSYS`: no pools in this kernel; `ENOENT`).
pub fn stat(name: &Name) -> io::Result<Stat> {
    let mut stat = saio_pool_stat {
        name: name.raw(),
        ..Default::default()
    };
    let addr = &raw mut stat as usize;
    let args = [
        sys::SAIO_POOL_STAT as usize,
        addr,
        size_of_val(&stat),
        0,
        0,
        0,
    ];
    // SAFETY: the structure is ours and as long as said.
    sys::check(unsafe { sys::syscall(sys::__NR_saio_pool as c_long, args) })?;
    Ok(Stat {
        threads: stat.threads,
        runnable: stat.runnable,
        entries: stat.entries,
        bytes: stat.bytes,
        parks: stat.parks,
        steals: stat.steals,
        wakeups: stat.wakeups,
        sleeps: stat.sleeps,
        replaced: stat.replaced,
        run: Duration::from_nanos(stat.run_ns),
        spin: Duration::from_nanos(stat.spin_ns),
        waits: stat.wait_hist,
    })
}

fn write(cmd: saio_pool_cmd, name: &Name, change: &Change) -> io::Result<()> {
    let (mut attr, mut mask) = request(name, change);
    call(cmd, &mut attr, &mut mask)
}

/// What the kernel is told, and the mask of CPUs that goes with it.
fn request(name: &Name, change: &Change) -> (saio_pool_attr, Vec<u64>) {
    let mut attr = named(name);
    let mut mask = Vec::new();
    if let Some(workers) = change.workers {
        attr.set |= sys::SAIO_POOL_SET_WORKERS;
        attr.workers = workers;
    }
    if let Some(max) = change.max {
        attr.set |= sys::SAIO_POOL_SET_MAX;
        attr.max = max;
    }
    if let Some(idle) = change.idle {
        attr.set |= sys::SAIO_POOL_SET_IDLE;
        // What does not fit is too long anyway, and the kernel says so.
        attr.idle_ns = u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX);
    }
    if let Some(cpus) = &change.cpus {
        attr.set |= sys::SAIO_POOL_SET_CPUS;
        mask = cpus.mask();
    }
    if let Some(group) = change.group {
        attr.set |= sys::SAIO_POOL_SET_GROUP;
        attr.gid = group.raw();
    }
    (attr, mask)
}

fn named(name: &Name) -> saio_pool_attr {
    saio_pool_attr {
        name: name.raw(),
        ..Default::default()
    }
}

fn read(cmd: saio_pool_cmd, attr: &mut saio_pool_attr) -> io::Result<Pool> {
    let mut mask = vec![0; MASK_WORDS];
    call(cmd, attr, &mut mask)?;
    described(attr, &mask)
}

fn described(attr: &saio_pool_attr, mask: &[u64]) -> io::Result<Pool> {
    Ok(Pool {
        name: Name::from_raw(&attr.name)?,
        id: attr.id,
        rings: attr.rings,
        attributes: Attributes {
            workers: attr.workers,
            max: attr.max,
            idle: Duration::from_nanos(attr.idle_ns),
            cpus: Cpus::from_mask(mask),
            group: Group::from_raw(attr.gid),
        },
    })
}

/// `saio_pool` with attributes; an empty `mask` is none.
fn call(cmd: saio_pool_cmd, attr: &mut saio_pool_attr, mask: &mut [u64]) -> io::Result<()> {
    if !mask.is_empty() {
        attr.cpus = mask.as_mut_ptr() as u64;
        attr.cpus_len = size_of_val(mask) as u32;
    }
    let addr = attr as *mut saio_pool_attr as usize;
    let args = [cmd as usize, addr, size_of::<saio_pool_attr>(), 0, 0, 0];
    // SAFETY: structure and mask are borrowed exclusively and as long as said.
    sys::check(unsafe { sys::syscall(sys::__NR_saio_pool as c_long, args) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn layout_is_that_of_the_header() {
        let attr = sys::SAIO_POOL_ATTR_SIZE_VER0 as usize;
        let stat = sys::SAIO_POOL_STAT_SIZE_VER0 as usize;
        assert_eq!(size_of::<saio_pool_attr>(), attr);
        assert_eq!(size_of::<saio_pool_stat>(), stat);
    }

    #[test]
    fn only_what_is_given_is_set() {
        let (attr, mask) = request(&name("web"), &Change::default());
        assert_eq!((attr.set, mask.len()), (0, 0));
        assert_eq!(&attr.name[..4], b"web\0");

        let change = Change {
            idle: Some(Duration::from_micros(500)),
            cpus: Some("1,64".parse().unwrap()),
            group: Some(Group::Anybody),
            ..Default::default()
        };
        let (attr, mask) = request(&name("web"), &change);
        let bits = sys::SAIO_POOL_SET_IDLE | sys::SAIO_POOL_SET_CPUS | sys::SAIO_POOL_SET_GROUP;
        assert_eq!(attr.set, bits);
        assert_eq!((attr.workers, attr.max), (0, 0));
        assert_eq!(attr.idle_ns, 500_000);
        assert_eq!(attr.gid, sys::SAIO_POOL_ANYBODY);
        assert_eq!(mask, [2, 1]);
    }

    #[test]
    fn what_is_told_comes_back() {
        let attributes = Attributes {
            workers: 2,
            max: 5,
            idle: Duration::from_nanos(7),
            cpus: "0,63-65".parse().unwrap(),
            group: Group::Id(33),
        };
        let change = Change {
            workers: Some(attributes.workers),
            max: Some(attributes.max),
            idle: Some(attributes.idle),
            cpus: Some(attributes.cpus.clone()),
            group: Some(attributes.group),
        };
        let (mut attr, mask) = request(&name("web"), &change);
        attr.id = 3;
        attr.rings = 4;
        let pool = described(&attr, &mask).unwrap();
        assert_eq!((pool.id, pool.rings), (3, 4));
        assert_eq!(pool.name, name("web"));
        assert_eq!(pool.attributes, attributes);
    }
}
