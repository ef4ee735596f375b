// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the kernel has given back all that cases have had.

use std::time::{Duration, Instant};

use saio::sys;
use saio_leaks::Baseline;

use crate::plan::NOBODY;
use crate::run::{self, address, call};

/// How long the kernel may take: work that was put off, network namespaces. Two flows that send to
/// each other, and that nobody has any more, are reset after 60 s.
const PATIENCE: Duration = Duration::from_secs(80);

/// As much as the slowest machine takes for work that was put off, without a factor.
const SLOW: Duration = Duration::from_secs(10);

const POOL: i64 = sys::__NR_saio_pool as i64;
const ATTR_SIZE: usize = size_of::<sys::saio_pool_attr>();

/// Removes the pools that cases have made, and says what is left of cases.
///
/// # Errors
///
/// Something is left for too long, or a pool cannot be removed.
pub fn check(baseline: &Baseline, factor: u32) -> Result<(), String> {
    let patience = PATIENCE.max(SLOW * factor);
    let last = Instant::now() + patience;
    saio_leaks::until(last, remove_pools)?;
    saio_leaks::until(last, saio_leaks::no_threads)?;
    baseline.check(patience)?;
    for user in [NOBODY, NOBODY + 1] {
        saio_leaks::until(last, || uncharged(user))?;
    }
    Ok(())
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
