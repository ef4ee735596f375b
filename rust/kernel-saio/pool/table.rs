// SPDX-License-Identifier: GPL-2.0

//! All pools, and the commands of `saio_pool`.

use super::{Name, Pool, Settings, NO_NAME};
use crate::{logic::sched::Mode, ring::Ring};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};
use kernel::{
    bindings,
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{Arc, ArcBorrow, Mutex},
};

const DEFAULT_NAME: &[u8] = b"default";
const DEFAULTS: Settings = Settings {
    workers: 1,
    max: 2,
    gid: 0,
    idle_ns: 200_000,
};

/// Pools, and places where some were. The first is the default one: it is made at boot and cannot
/// be removed.
struct List {
    pools: KVec<Option<Arc<Pool>>>,
    next_id: u32,
}

#[pin_data]
struct Pools {
    #[pin]
    list: Mutex<List>,
}

/// Set once, at boot.
static POOLS: AtomicPtr<Pools> = AtomicPtr::new(ptr::null_mut());

/// Cpus that user space has given.
pub(crate) struct Cpus(*mut bindings::cpumask);

impl Cpus {
    /// # Safety
    ///
    /// `raw` must be null or a mask that the caller gives away.
    pub(crate) unsafe fn from_raw(raw: *mut bindings::cpumask) -> Option<Self> {
        (!raw.is_null()).then_some(Self(raw))
    }

    fn give(self, pool: &Pool) {
        // SAFETY: The pool's side is set up, and the mask ours to give away.
        unsafe { bindings::saio_threads_swap_cpus(pool.raw(), self.0) };
        core::mem::forget(self);
        pool.place();
    }
}

impl Drop for Cpus {
    fn drop(&mut self) {
        // SAFETY: The mask is ours.
        unsafe { bindings::saio_cpus_free(self.0) };
    }
}

impl List {
    fn iter(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.iter().flatten()
    }

    fn find(&self, name: &Name) -> Result<&Arc<Pool>> {
        self.iter().find(|pool| pool.name == *name).ok_or(ENOENT)
    }

    fn create(&mut self, name: Name, settings: Settings) -> Result<Arc<Pool>> {
        if self.find(&name).is_ok() {
            return Err(EEXIST);
        }
        let pool = Pool::new(self.next_id, name, settings)?;
        match self.pools.iter().position(Option::is_none) {
            Some(place) => self.pools[place] = Some(pool.clone()),
            None if self.pools.len() >= bindings::SAIO_MAX_POOLS as usize => return Err(ENOSPC),
            None => self.pools.push(Some(pool.clone()), GFP_KERNEL_ACCOUNT)?,
        }
        self.next_id += 1;
        Ok(pool)
    }

    fn remove(&mut self, name: &Name, force: bool) -> Result {
        let pool = self.find(name)?.clone();
        if is_default(name) {
            return Err(EBUSY);
        }
        let rings = pool.close()?;
        if !force && !rings.is_empty() {
            pool.reopen();
            return Err(EBUSY);
        }
        let default = self.find(&default_name())?;
        for ring in &rings {
            if let Err(err) = Ring::move_on(ring.as_arc_borrow(), &pool, default.clone()) {
                pool.reopen();
                return Err(err);
            }
        }
        pool.stop();
        let is_it = |place: &&mut Option<Arc<Pool>>| {
            place
                .as_ref()
                .is_some_and(|other| Arc::ptr_eq(other, &pool))
        };
        if let Some(place) = self.pools.iter_mut().find(is_it) {
            *place = None;
        }
        Ok(())
    }
}

fn is_default(name: &Name) -> bool {
    name.starts_with(DEFAULT_NAME) && name[DEFAULT_NAME.len()] == 0
}

fn default_name() -> Name {
    core::array::from_fn(|i| DEFAULT_NAME.get(i).copied().unwrap_or(0))
}

/// A name from user space, if it is one.
fn check_name(name: &Name) -> Result {
    let len = name.iter().position(|c| *c == 0).ok_or(EINVAL)?;
    let good = |c: &u8| c.is_ascii_alphanumeric() || b"-_.".contains(c);
    if len == 0 || !name[..len].iter().all(good) || name[len..].iter().any(|c| *c != 0) {
        return Err(EINVAL);
    }
    Ok(())
}

fn pools() -> Result<&'static Pools> {
    // SAFETY: Null, or set at boot to what is never freed.
    unsafe { POOLS.load(Ordering::Acquire).as_ref() }.ok_or(EAGAIN)
}

/// At boot: there is a pool from the start.
pub(crate) fn init() -> Result {
    let pools = KBox::pin_init(
        pin_init!(Pools {
            list <- new_mutex!(List { pools: KVec::new(), next_id: 1 }, "saio::Pools::list"),
        }),
        GFP_KERNEL,
    )?;
    pools.list.lock().create(default_name(), DEFAULTS)?;
    // SAFETY: The box is leaked, and so never moved.
    let raw = KBox::into_raw(unsafe { Pin::into_inner_unchecked(pools) });
    POOLS.store(raw, Ordering::Release);
    Ok(())
}

/// The pool of that name, if the current task may attach rings to it; an empty one means the
/// default.
pub(crate) fn usable(name: &Name) -> Result<Arc<Pool>> {
    let name = if *name == NO_NAME {
        default_name()
    } else {
        check_name(name)?;
        *name
    };
    let pool = find(&name)?;
    let gid = pool.settings().gid;
    // SAFETY: No requirements.
    let may = gid == bindings::SAIO_POOL_ANYBODY
        || unsafe { bindings::saio_in_group(gid) || bindings::saio_admin() };
    if !may {
        return Err(EACCES);
    }
    Ok(pool)
}

fn find(name: &Name) -> Result<Arc<Pool>> {
    pools()?.list.lock().find(name).cloned()
}

/// `saio_pool`, but for the counters.
pub(crate) fn command(cmd: u32, attr: &mut bindings::saio_pool_attr, cpus: Option<Cpus>) -> Result {
    let changes = matches!(
        cmd,
        bindings::saio_pool_cmd_SAIO_POOL_CREATE | bindings::saio_pool_cmd_SAIO_POOL_SET
    );
    let removes = cmd == bindings::saio_pool_cmd_SAIO_POOL_REMOVE;
    let next = cmd == bindings::saio_pool_cmd_SAIO_POOL_NEXT;
    if attr.resv != [0; 2]
        || attr.set & !ALL_SET != 0
        || !changes && attr.set != 0
        || attr.flags
            & !(if removes {
                bindings::SAIO_POOL_FORCE
            } else {
                0
            })
            != 0
        || !next && attr.id != 0
        || attr.rings != 0
    {
        return Err(EINVAL);
    }
    if !next {
        check_name(&attr.name)?;
    }
    match cmd {
        bindings::saio_pool_cmd_SAIO_POOL_CREATE => {
            let settings = settings(attr, None)?;
            let pool = pools()?.list.lock().create(attr.name, settings)?;
            if let Some(cpus) = cpus {
                cpus.give(&pool);
            }
            attr.id = pool.id;
            Ok(())
        }
        bindings::saio_pool_cmd_SAIO_POOL_SET => {
            // Under the lock: two that change a pool do not mix.
            let list = pools()?.list.lock();
            let pool = list.find(&attr.name)?;
            Pool::set(pool, settings(attr, Some(pool.settings()))?)?;
            if let Some(cpus) = cpus {
                cpus.give(pool);
            }
            attr.id = pool.id;
            Ok(())
        }
        bindings::saio_pool_cmd_SAIO_POOL_REMOVE => {
            let force = attr.flags & bindings::SAIO_POOL_FORCE != 0;
            pools()?.list.lock().remove(&attr.name, force)
        }
        bindings::saio_pool_cmd_SAIO_POOL_GET => read(&*find(&attr.name)?, attr),
        bindings::saio_pool_cmd_SAIO_POOL_NEXT => {
            let list = pools()?.list.lock();
            let later = list.iter().filter(|pool| pool.id >= attr.id);
            let pool = later.min_by_key(|pool| pool.id).ok_or(ENOENT)?.clone();
            drop(list);
            read(&pool, attr)
        }
        _ => Err(EINVAL),
    }
}

const ALL_SET: u32 = bindings::SAIO_POOL_SET_WORKERS
    | bindings::SAIO_POOL_SET_MAX
    | bindings::SAIO_POOL_SET_IDLE
    | bindings::SAIO_POOL_SET_CPUS
    | bindings::SAIO_POOL_SET_GROUP;

/// What shall hold, given what holds.
fn settings(attr: &bindings::saio_pool_attr, now: Option<Settings>) -> Result<Settings> {
    let given = |bit, value: u32| (attr.set & bit != 0).then_some(value);
    let old = now.unwrap_or(DEFAULTS);
    let workers = given(bindings::SAIO_POOL_SET_WORKERS, attr.workers).unwrap_or(old.workers);
    if workers == 0 || workers > bindings::SAIO_POOL_MAX_THREADS {
        return Err(EINVAL);
    }
    let max = given(bindings::SAIO_POOL_SET_MAX, attr.max).unwrap_or(match now {
        Some(now) => now.max.max(workers),
        None => (2 * workers).min(bindings::SAIO_POOL_MAX_THREADS),
    });
    let idle_ns = if attr.set & bindings::SAIO_POOL_SET_IDLE != 0 {
        attr.idle_ns
    } else {
        old.idle_ns
    };
    if max < workers
        || max > bindings::SAIO_POOL_MAX_THREADS
        || idle_ns > bindings::SAIO_POOL_MAX_IDLE_NS.into()
    {
        return Err(EINVAL);
    }
    Ok(Settings {
        workers,
        max,
        gid: given(bindings::SAIO_POOL_SET_GROUP, attr.gid).unwrap_or(old.gid),
        idle_ns,
    })
}

fn read(pool: &Pool, attr: &mut bindings::saio_pool_attr) -> Result {
    let settings = pool.settings();
    attr.name = pool.name;
    attr.id = pool.id;
    attr.workers = settings.workers;
    attr.max = settings.max;
    attr.gid = settings.gid;
    attr.idle_ns = settings.idle_ns;
    attr.rings = pool.attached();
    // SAFETY: Both are valid; user memory is checked there.
    to_result(unsafe { bindings::saio_threads_get_cpus(pool.raw(), attr) })
}

/// The counters of a pool.
pub(crate) fn stat(stat: &mut bindings::saio_pool_stat) -> Result {
    if stat.resv != 0 {
        return Err(EINVAL);
    }
    check_name(&stat.name)?;
    let pool = find(&stat.name)?;
    let stats = &pool.stats;
    *stat = bindings::saio_pool_stat {
        name: pool.name,
        id: pool.id,
        threads: pool.alive(),
        runnable: pool.runnable(),
        resv: 0,
        entries: stats.entries.get(),
        bytes: stats.bytes.get(),
        parks: stats.parks.get(),
        steals: stats.steals.get(),
        wakeups: stats.wakeups.get(),
        sleeps: stats.sleeps.get(),
        replaced: stats.replaced.get(),
        run_ns: stats.run_ns.get(),
        spin_ns: stats.spin_ns.get(),
        wait_hist: stats.waits.get(),
    };
    Ok(())
}

/// Attaches a ring of the current task, or with `SAIO_MODE_INLINE` takes it away.
pub(crate) fn attach(ring: ArcBorrow<'_, Ring>, attach: &bindings::saio_ring_pool) -> Result {
    let mode = Mode::from_number(attach.mode).ok_or(EINVAL)?;
    if attach.flags != 0 || attach.resv != 0 {
        return Err(EINVAL);
    }
    if mode == Mode::Inline {
        if attach.name != NO_NAME {
            return Err(EINVAL);
        }
        ring.detach(false);
        return Ok(());
    }
    if !ring.permits_pool() {
        return Err(EACCES);
    }
    Ring::attach(ring, usable(&attach.name)?, mode)
}

/// CPUs have come: threads that had to leave theirs go back.
#[no_mangle]
extern "C" fn saio_rs_pools_set_cpus() {
    if let Ok(pools) = pools() {
        for pool in pools.list.lock().iter() {
            pool.place();
        }
    }
}
