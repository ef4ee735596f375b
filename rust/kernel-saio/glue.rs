// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers around C objects that have no abstraction in the kernel crate yet.
//!
//! C header: [`include/linux/saio_glue.h`](srctree/include/linux/saio_glue.h)

use crate::op;
use core::{
    mem::MaybeUninit,
    ptr::{self, NonNull},
};
use kernel::{alloc::Flags, bindings, prelude::*, types::Opaque};

/// A reference to a task.
pub(crate) struct Task(NonNull<bindings::task_struct>);

// SAFETY: References to tasks may be used and dropped anywhere.
unsafe impl Send for Task {}
// SAFETY: What is done through a shared reference, C allows anybody.
unsafe impl Sync for Task {}

impl Task {
    /// The current task.
    pub(crate) fn current() -> Self {
        // SAFETY: No requirements.
        let task = unsafe { bindings::saio_task_get_current() };
        // SAFETY: There always is a current task.
        Self(unsafe { NonNull::new_unchecked(task) })
    }

    /// Takes a reference over.
    ///
    /// # Safety
    ///
    /// `task` must be valid and the reference the caller's.
    pub(crate) unsafe fn from_raw(task: NonNull<bindings::task_struct>) -> Self {
        Self(task)
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::task_struct {
        self.0.as_ptr()
    }

    /// Whether it is the current one.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.0.as_ptr() == current()
    }

    /// Whether there is a seccomp filter that has to be asked about entries of flows, or audit to be told,
    /// which only the task can.
    pub(crate) fn filtered(&self) -> bool {
        let calls = &op::CALLS;
        // SAFETY: The task is valid, and so is the list for the call.
        !unsafe { bindings::saio_allows(self.0.as_ptr(), calls.as_ptr(), calls.len()) }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::saio_task_put(self.0.as_ptr()) };
    }
}

/// Whose call an entry is: whose descriptors it names, whose credentials it has.
#[derive(Clone, Copy)]
pub(crate) enum Caller<'a> {
    /// The current task is the owner.
    Current,
    /// It is, and in the middle of another system call.
    Hook,
    /// It is, and ends: what is promised has to be taken.
    Leaving,
    /// The owner, while somebody else dispatches.
    Owner(&'a Task),
}

impl<'a> Caller<'a> {
    /// The owner, if it is not the current task.
    pub(crate) fn absent(self) -> Option<&'a Task> {
        match self {
            Self::Current | Self::Hook | Self::Leaving => None,
            Self::Owner(task) => Some(task),
        }
    }

    /// Whether there is a seccomp filter that has to be asked, or audit to be told, and nobody here can.
    pub(crate) fn filtered(self) -> bool {
        self.absent().is_some_and(Task::filtered)
    }

    /// How memory for an entry is taken. At the end of an owner that a memory cgroup has killed there is
    /// none but what [`GFP_ATOMIC`] may take beyond the limit.
    pub(crate) fn gfp(self) -> Flags {
        match self {
            Self::Leaving => GFP_KERNEL_ACCOUNT | GFP_ATOMIC,
            _ => GFP_KERNEL_ACCOUNT,
        }
    }

    /// The credentials that it has now.
    pub(crate) fn cred(self) -> Cred {
        self.absent().map_or_else(Cred::current, Cred::of)
    }
}

/// Who goes on with the flows of a ring: [`struct saio_home`].
#[pin_data]
pub(crate) struct Home {
    #[pin]
    raw: Opaque<bindings::saio_home>,
}

// SAFETY: Everything in it is under its lock.
unsafe impl Send for Home {}
// SAFETY: As above.
unsafe impl Sync for Home {}

impl Home {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The memory is ours to initialise, and not moved after.
            raw <- Opaque::ffi_init(|home| unsafe { bindings::saio_home_init(home) }),
        })
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::saio_home {
        self.raw.get()
    }

    /// Whether a flow waits for a thread; a hint.
    pub(crate) fn has_ready(&self) -> bool {
        // SAFETY: It is set up.
        unsafe { bindings::saio_home_has_ready(self.raw.get()) }
    }
}
/// A reference to an open file, the source of a sendfile.
pub(crate) struct File(NonNull<bindings::file>);

// SAFETY: References to `struct file` may be used and dropped by any task.
unsafe impl Send for File {}

impl File {
    /// The regular file `fd` of a task, if it may be sent from `pos` for `len` bytes.
    pub(crate) fn get(whose: Caller<'_>, fd: u32, pos: i64, len: usize) -> Result<Self> {
        let task = whose.absent().map_or(ptr::null_mut(), Task::as_ptr);
        let mut err = 0;
        // SAFETY: `err` is valid for the call, and so is the task; the function checks the rest
        // itself.
        let file = unsafe { bindings::saio_file_get(task, fd, pos, len, &mut err) };
        NonNull::new(file)
            .map(Self)
            .ok_or_else(|| Error::from_errno(err))
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::saio_file_put(self.0.as_ptr()) };
    }
}

/// A reference to credentials.
pub(crate) struct Cred(NonNull<bindings::cred>);

// SAFETY: Credentials are immutable and reference counted atomically.
unsafe impl Send for Cred {}

impl Cred {
    /// Those of the current task.
    pub(crate) fn current() -> Self {
        // SAFETY: Always has credentials to return.
        let cred = unsafe { bindings::saio_cred_get() };
        // SAFETY: A task always has credentials.
        Self(unsafe { NonNull::new_unchecked(cred.cast_mut()) })
    }

    /// Those of a task.
    fn of(task: &Task) -> Self {
        // SAFETY: The task is valid, and always has credentials to return.
        let cred = unsafe { bindings::saio_cred_get_of(task.as_ptr()) };
        // SAFETY: A task always has credentials.
        Self(unsafe { NonNull::new_unchecked(cred.cast_mut()) })
    }

    /// Runs `f` with these credentials.
    pub(crate) fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        // SAFETY: The reference outlives the override, which ends below.
        let old = unsafe { bindings::saio_cred_override(self.0.as_ptr()) };
        let result = f();
        // SAFETY: `old` is what the override has returned.
        unsafe { bindings::saio_cred_revert(old) };
        result
    }
}

impl Drop for Cred {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::saio_cred_put(self.0.as_ptr()) };
    }
}

/// The current task, to be compared only.
pub(crate) fn current() -> *mut bindings::task_struct {
    // SAFETY: No requirements.
    unsafe { bindings::saio_current() }
}

/// Lets other tasks run, if they should. Whether a signal calls the current one back to user space. May sleep.
pub(crate) fn between_calls() -> bool {
    // SAFETY: It is called where a system call may be made.
    unsafe { bindings::saio_between_calls() }
}

/// Whether a signal calls the current task back to user space.
pub(crate) fn interrupted() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::saio_interrupted() }
}

/// Nanoseconds since some time, for differences.
pub(crate) fn clock() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::saio_clock() }
}

/// The current time in jiffies.
pub(crate) fn jiffies() -> usize {
    // SAFETY: No requirements.
    (unsafe { bindings::saio_jiffies() }) as usize
}

/// What the filter of the current task says of a call.
pub(crate) enum Verdict {
    /// It may run.
    Run,
    /// It may not, and returns this.
    Refused(i64),
    /// It may not, returns this, and the thread has to exit.
    Die(i64),
    /// It may not, returns this, and the process was killed.
    Killed(i64),
}

/// Whether the current task has a seccomp filter at all, or audit an eye on it.
pub(crate) fn watched() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::saio_watched() }
}

/// Whether the current task has a filter whose answer about this call depends on arguments.
pub(crate) fn filter_looks(nr: u32) -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::saio_filter_looks(nr as i32) }
}

/// Kills the process, whose thread ends anyway.
pub(crate) fn kill() {
    // SAFETY: No requirements.
    unsafe { bindings::saio_kill() };
}

/// Whether audit rules want to know of the entries that the current task takes in `saio_enter`.
pub(crate) fn audited() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::saio_audited() }
}

/// Tells audit of an entry that the current task has taken; only if [`audited`].
pub(crate) fn audit(nr: u32, args: &[u64; 6]) {
    // SAFETY: `args` is valid for the call.
    unsafe { bindings::saio_audit(nr, args.as_ptr()) };
}

/// Asks the seccomp filter of the current task.
pub(crate) fn seccomp(nr: u32, args: &[u64; 6]) -> Verdict {
    let mut result = 0;
    // SAFETY: `args` and `result` are valid for the call.
    match unsafe { bindings::saio_seccomp(nr, args.as_ptr(), &mut result) } {
        0 => Verdict::Run,
        1 => Verdict::Refused(result as i64),
        2 => Verdict::Die(result as i64),
        _ => Verdict::Killed(result as i64),
    }
}

/// Kills the process, because its filter wants its thread to end and this is no place to exit.
pub(crate) fn die() {
    // SAFETY: No requirements.
    unsafe { bindings::saio_die() };
}

/// The arguments of a system call, as it takes them.
pub(crate) struct Registers(MaybeUninit<bindings::pt_regs>);

impl Registers {
    #[inline]
    pub(crate) fn new(args: [u64; 6]) -> Self {
        let mut own = MaybeUninit::<bindings::pt_regs>::uninit();
        let regs = own.as_mut_ptr();
        // SAFETY: The fields lie in memory that is ours.
        unsafe {
            (&raw mut (*regs).di).write(args[0] as _);
            (&raw mut (*regs).si).write(args[1] as _);
            (&raw mut (*regs).dx).write(args[2] as _);
            (&raw mut (*regs).r10).write(args[3] as _);
            (&raw mut (*regs).r8).write(args[4] as _);
            (&raw mut (*regs).r9).write(args[5] as _);
        }
        Self(own)
    }
}

/// Runs a system call that the policy table allows for the current task.
#[inline]
pub(crate) fn call(nr: u32, mut registers: Registers) -> i64 {
    // SAFETY: The registers of arguments are set, and no others are looked at. What a system call may do to its
    // caller's address space it does to user memory only, as it would if it was called from there.
    (unsafe { bindings::saio_call(nr, registers.0.as_mut_ptr()) }) as i64
}

/// Whether something has to be looked at before the current task makes a call: a signal, another task, the filter.
#[inline]
pub(crate) fn attention() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::saio_attention() }
}
