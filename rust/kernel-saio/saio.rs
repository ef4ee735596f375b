// SPDX-License-Identifier: GPL-2.0

//! SAIO: system calls in batches through shared memory.
//!
//! This file is the border to C: what the entry points and hooks in `entry.c` and `sock.c` call.
//!
//! | module | has |
//! |---|---|
//! | [`ring`] | the ring: queues, completions, table of flows, attachment to a pool |
//! | [`enter`] | dispatch of entries |
//! | [`flow`] | flows: order, parking, failure, what outlives their holder |
//! | [`pool`] | pools: their threads, their rings, their table |
//! | [`stats`], [`trace`] | what is counted and told |
//! | [`op`] | what can be done on a flow |
//! | [`send`] | doing it |
//! | [`mem`] | shared memory |
//! | [`glue`] | wrappers around C |
//! | [`logic`] | everything that needs no kernel; tested on the host |
//! | `kunit` | tests that run at boot, if the kernel has them |

mod enter;
mod errno;
mod flow;
mod glue;
#[cfg(CONFIG_SAIO_KUNIT_TEST)]
mod kunit;
// Both sides of the mapping are in there, and pub for the host crate; one is used here.
#[allow(dead_code, unreachable_pub)]
#[path = "logic/mod.rs"]
mod logic;
mod mem;
mod op;
mod pool;
mod ring;
mod send;
mod stats;
mod trace;

use core::{
    cell::{Cell, RefCell},
    ffi::{c_long, c_void},
    ptr,
};
use flow::{Flow, Runner};
use kernel::{
    bindings,
    prelude::*,
    sync::{Arc, ArcBorrow},
};
use logic::sched::Mode;
use mem::Layout;
use pool::{
    table::{self, Cpus},
    Pool,
};
use ring::Ring;

const __LOG_PREFIX: &[u8] = b"saio\0";

/// Most rings of one task.
const MAX_RINGS: usize = 16;

const _: () = {
    use logic::chain::{flags, MAX_BACK};

    assert!(flags::LINK == 1 << bindings::saio_sqe_flags_bit_SAIO_SQE_LINK_BIT);
    assert!(flags::HARDLINK == 1 << bindings::saio_sqe_flags_bit_SAIO_SQE_HARDLINK_BIT);
    assert!(flags::RESULT_TO_ARG == 1 << bindings::saio_sqe_flags_bit_SAIO_SQE_RESULT_TO_ARG_BIT);
    assert!(flags::SKIP_SUCCESS == 1 << bindings::saio_sqe_flags_bit_SAIO_SQE_SKIP_SUCCESS_BIT);
    assert!(flags::FLOW == 1 << bindings::saio_sqe_flags_bit_SAIO_SQE_FLOW_BIT);
    assert!(MAX_BACK == bindings::SAIO_MAX_BACK as usize);
    assert!(logic::ring::NEED_WAKEUP == bindings::SAIO_RING_NEED_WAKEUP);
};

/// The rings of a task; `task_struct::saio` points to it, and only that task looks.
///
/// Hooks look at it while an entry makes another ring, so it is changed through a shared reference.
#[derive(Default)]
struct TaskRings {
    slots: [RefCell<Option<Arc<Ring>>>; MAX_RINGS],
    /// How many slots were ever used.
    used: Cell<usize>,
}

impl TaskRings {
    /// Those of the current task, if it has any.
    fn current<'a>() -> Option<&'a Self> {
        // SAFETY: The pointer is null, or comes from a box that lives until the task ends, which
        // the current task does not do while this is used.
        unsafe { bindings::saio_current_rings().cast::<Self>().as_ref() }
    }

    /// Calls `f` for every ring, which must not make rings.
    fn each(&self, f: impl Fn(&Ring)) {
        for slot in &self.slots[..self.used.get()] {
            if let Some(ring) = &*slot.borrow() {
                f(ring);
            }
        }
    }
}

fn answer(result: Result<u32>) -> c_long {
    match result {
        Ok(n) => n.into(),
        Err(err) => err.to_errno().into(),
    }
}

fn setup(params: &mut bindings::saio_params) -> Result<Arc<Ring>> {
    let ring = Ring::new(Layout::new(params)?)?;
    let rings = match TaskRings::current() {
        Some(rings) => rings,
        None => {
            let rings = KBox::new(TaskRings::default(), GFP_KERNEL_ACCOUNT)?;
            // SAFETY: The box lives until `saio_rs_task_end`.
            unsafe { bindings::saio_set_current_rings(KBox::into_raw(rings).cast()) };
            TaskRings::current().ok_or(ENOMEM)?
        }
    };
    let free = rings.slots.iter().position(|slot| slot.borrow().is_none());
    let free = free.ok_or_else(errno::eusers)?;
    *rings.slots[free].borrow_mut() = Some(ring.clone());
    rings.used.set(rings.used.get().max(free + 1));
    Ok(ring)
}

/// Makes a ring for the current task; returns a reference to it, or an error pointer.
///
/// # Safety
///
/// `params` must be valid.
#[no_mangle]
unsafe extern "C" fn saio_rs_setup(params: *mut bindings::saio_params) -> *mut c_void {
    // SAFETY: By the caller's promise.
    match setup(unsafe { &mut *params }) {
        Ok(ring) => Arc::into_raw(ring).cast_mut().cast(),
        Err(err) => err.to_ptr(),
    }
}

/// Takes a ring that could not be given to user space from the current task again.
#[no_mangle]
extern "C" fn saio_rs_setup_undo(ring: *mut c_void) {
    let Some(rings) = TaskRings::current() else {
        return;
    };
    for slot in &rings.slots {
        let is_it = |r: &Arc<Ring>| ptr::eq(&**r, ring.cast());
        if slot.borrow().as_ref().is_some_and(is_it) {
            drop(slot.take());
        }
    }
}

/// Drops the reference to a ring that its file has.
///
/// # Safety
///
/// `ring` must come from `saio_rs_setup`, and this must happen once.
#[no_mangle]
unsafe extern "C" fn saio_rs_ring_put(ring: *mut c_void) {
    // SAFETY: By the caller's promise.
    drop(unsafe { Arc::<Ring>::from_raw(ring.cast()) });
}

/// `saio_enter`.
///
/// # Safety
///
/// `ring` must be alive, `die` valid.
#[no_mangle]
unsafe extern "C" fn saio_rs_enter(
    ring: *mut c_void,
    to_submit: u32,
    min_complete: u32,
    flags: u32,
    timeout_ns: u64,
    die: *mut bool,
) -> c_long {
    // SAFETY: By the caller's promise.
    let (ring, die) = unsafe { (&*ring.cast::<Ring>(), &mut *die) };
    answer((|| {
        ring.check_owner()?;
        if min_complete > ring.mem.layout.cq_entries {
            return Err(EINVAL);
        }
        if flags & bindings::SAIO_ENTER_WAKEUP != 0 {
            ring.call_pool();
            if to_submit | min_complete == 0 {
                return Ok(0);
            }
        }
        let submitted = ring.submit(to_submit);
        *die = submitted.die;
        let mut outcome = submitted.stopped;
        if outcome.is_ok() && min_complete != 0 && !*die {
            if ring.mode() != Mode::Inline {
                // What threads have not taken yet counts as outstanding as well.
                ring.hand_over(glue::Caller::Current);
            }
            let timeout = (timeout_ns != 0).then(|| {
                // SAFETY: No requirements.
                (unsafe { bindings::saio_nsecs_to_jiffies(timeout_ns) }) as usize
            });
            outcome = ring.wait(min_complete, timeout);
        }
        if submitted.taken == 0 {
            outcome?;
        }
        Ok(submitted.taken)
    })())
}

/// `saio_register`.
///
/// # Safety
///
/// `ring` must be alive and come from `saio_rs_setup`, `reg` must be valid.
#[no_mangle]
unsafe extern "C" fn saio_rs_register(
    ring: *mut c_void,
    op: u32,
    reg: *mut bindings::saio_flow_reg,
) -> c_long {
    // SAFETY: By the caller's promise.
    let (ring, reg) = unsafe { (ArcBorrow::from_raw(ring.cast::<Ring>()), &mut *reg) };
    answer((|| {
        ring.check_owner()?;
        if reg.flags | reg.resv != 0 {
            return Err(EINVAL);
        }
        match op {
            bindings::saio_register_op_SAIO_REGISTER_FLOW => {
                if reg.flow != 0 {
                    return Err(EINVAL);
                }
                reg.flow = Ring::register(ring, reg.fd)?;
            }
            bindings::saio_register_op_SAIO_UNREGISTER_FLOW => {
                if reg.fd != 0 {
                    return Err(EINVAL);
                }
                ring.unregister(reg.flow)?;
            }
            _ => return Err(EINVAL),
        }
        Ok(0)
    })())
}

/// What is shown of a ring.
///
/// # Safety
///
/// `ring` must be alive, `info` valid.
#[no_mangle]
unsafe extern "C" fn saio_rs_ring_info(ring: *mut c_void, info: *mut bindings::saio_ring_info) {
    // SAFETY: By the caller's promise.
    let (ring, info) = unsafe { (&*ring.cast::<Ring>(), &mut *info) };
    *info = ring.info();
}

/// `SAIO_REGISTER_POOL`.
///
/// # Safety
///
/// `ring` must be alive and come from `saio_rs_setup`, `attach` must be valid.
#[no_mangle]
unsafe extern "C" fn saio_rs_attach(
    ring: *mut c_void,
    attach: *const bindings::saio_ring_pool,
) -> c_long {
    // SAFETY: By the caller's promise.
    let (ring, attach) = unsafe { (ArcBorrow::from_raw(ring.cast::<Ring>()), &*attach) };
    answer((|| {
        ring.check_owner()?;
        table::attach(ring, attach)?;
        Ok(0)
    })())
}

/// `SAIO_REGISTER_RESTRICT`.
///
/// # Safety
///
/// `ring` must be alive, `restriction` valid.
#[no_mangle]
unsafe extern "C" fn saio_rs_restrict(
    ring: *mut c_void,
    restriction: *const bindings::saio_restriction,
) -> c_long {
    // SAFETY: By the caller's promise.
    let (ring, restriction) = unsafe { (&*ring.cast::<Ring>(), &*restriction) };
    answer((|| {
        ring.check_owner()?;
        ring.restrict(restriction)?;
        Ok(0)
    })())
}

/// `saio_pool`, but for the counters.
///
/// # Safety
///
/// `attr` must be valid, `*cpus` null or a mask that is taken over; then it is null.
#[no_mangle]
unsafe extern "C" fn saio_rs_pool(
    cmd: u32,
    attr: *mut bindings::saio_pool_attr,
    cpus: *mut *mut bindings::cpumask,
) -> c_long {
    // SAFETY: By the caller's promise.
    let (attr, cpus) = unsafe {
        let cpus = Cpus::from_raw(ptr::replace(cpus, ptr::null_mut()));
        (&mut *attr, cpus)
    };
    answer(table::command(cmd, attr, cpus).map(|()| 0))
}

/// `SAIO_POOL_STAT`.
///
/// # Safety
///
/// `stat` must be valid.
#[no_mangle]
unsafe extern "C" fn saio_rs_pool_stat(stat: *mut bindings::saio_pool_stat) -> c_long {
    // SAFETY: By the caller's promise.
    answer(table::stat(unsafe { &mut *stat }).map(|()| 0))
}

/// Boot.
#[no_mangle]
extern "C" fn saio_rs_init() -> i32 {
    table::init().map_or_else(|err| err.to_errno(), |()| 0)
}

macro_rules! pool_hooks {
    ($($(#[$doc:meta])* fn $name:ident($pool:ident $(, $arg:ident: $ty:ty)*) $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// `pool` must be a pool that lives meanwhile.
            #[no_mangle]
            unsafe extern "C" fn $name(pool: *mut c_void $(, $arg: $ty)*) {
                // SAFETY: By the caller's promise.
                let $pool = unsafe { &*pool.cast::<Pool>() };
                $body
            }
        )*
    };
}

pool_hooks! {
    /// A flow of the ring in `slot` waits for a thread. In any context.
    fn saio_rs_pool_ready(pool, slot: u32) {
        pool.poll(slot as usize);
        pool.wake();
    }
    /// A thread waits within an entry. In the scheduler.
    fn saio_rs_pool_held_up(pool) { pool.held_up(); }
    /// It goes on. In the scheduler.
    fn saio_rs_pool_goes_on(pool) { pool.goes_on(); }
}

/// The current task ends, or gets another program.
///
/// # Safety
///
/// `rings` must be what the task had, and not be used any more.
#[no_mangle]
unsafe extern "C" fn saio_rs_task_end(rings: *mut c_void) {
    // SAFETY: `setup` made it from a box, and by the caller's promise nobody else has it.
    unsafe { KBox::from_raw(rings.cast::<TaskRings>()) }.each(Ring::end);
}

/// A hook is about to do something that what is published has to come before.
#[no_mangle]
extern "C" fn saio_rs_hand_over() {
    if let Some(rings) = TaskRings::current() {
        rings.each(|ring| {
            // Mostly by a close, in a batch or with nothing queued: cheaper than to find that out inside.
            if !ring.owner_inside() && !ring.nothing_published() {
                ring.hand_over(glue::Caller::Hook);
            }
        });
    }
}

macro_rules! flow_hooks {
    ($($(#[$doc:meta])* fn $name:ident($flow:ident $(, $arg:ident: $ty:ty)*) $(-> $ret:ty)? $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// `ss` must be the C side of a flow to which the caller has a reference.
            #[no_mangle]
            unsafe extern "C" fn $name(ss: *mut bindings::saio_sock $(, $arg: $ty)*) $(-> $ret)? {
                // SAFETY: By the caller's promise.
                let $flow = unsafe { Flow::from_raw(ss) };
                $body
            }
        )*
    };
}

flow_hooks! {
    /// Whether a write by another way has to wait.
    fn saio_rs_flow_busy(flow) -> bool { flow.busy() }
    /// Whether a write by another way waits for what only the writer can do.
    fn saio_rs_flow_stuck(flow) -> bool { flow.stuck() }
    /// Whether somebody is at what the flow holds, or about to be.
    fn saio_rs_flow_runs(flow) -> bool { flow.runs() }
    /// The workqueue runs the flow.
    fn saio_rs_flow_work(flow) { flow.work(Runner::Queue) }
    /// The last descriptor is closed; whether the socket lives on.
    fn saio_rs_flow_closed(flow) -> bool { flow.closed() }
    /// A descriptor in the owner's table is closed.
    fn saio_rs_flow_stale(flow) { flow.stale() }
    /// The end of the write side: 1 if queued, 0 if not needed, or an error.
    fn saio_rs_flow_shutdown(flow, how: i32) -> i32 {
        match flow.shutdown(how) {
            Ok(queued) => queued.into(),
            Err(err) => err.to_errno(),
        }
    }
}

/// The last reference to a flow is gone.
///
/// # Safety
///
/// To be called once, when that is so.
#[no_mangle]
unsafe extern "C" fn saio_rs_flow_drop(ss: *mut bindings::saio_sock) {
    // SAFETY: By the caller's promise.
    unsafe { Flow::free(ss) };
}
