// SPDX-License-Identifier: MIT OR Apache-2.0

//! Settings from the environment, read once when the library is loaded: servers
//! empty their environment later.

use std::ffi::{c_char, c_int, CStr};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::sync::OnceLock;

use saio::pool;
use saio::preload::rules as list;
use saio::ring::HIGH_FD;
use saio::sys;

use crate::fds::{self, State};
use crate::{rules, say};

/// Who runs what is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Nothing is queued.
    Off,
    /// The thread itself.
    Inline,
    /// A pool where that pays, otherwise the thread.
    Auto,
    /// A pool.
    Pool,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Inline, Self::Auto, Self::Pool, Self::Off];

    /// As in the environment.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Inline => "inline",
            Self::Auto => "auto",
            Self::Pool => "pool",
        }
    }

    fn parse(text: Option<&str>) -> Option<Self> {
        let text = text.filter(|text| !text.is_empty()).unwrap_or("inline");
        Self::ALL.into_iter().find(|mode| mode.name() == text)
    }
}

/// What becomes of a write that is all of a response, if this thread would run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alone {
    /// It is queued as all others.
    Queue,
    /// It goes straight through.
    Pass,
    /// What costs less.
    Measure,
}

impl Alone {
    const ALL: [(Self, &str); 3] = [
        (Self::Measure, "measure"),
        (Self::Queue, "queue"),
        (Self::Pass, "pass"),
    ];

    fn parse(text: Option<&str>) -> Option<Self> {
        let text = text.filter(|text| !text.is_empty()).unwrap_or("measure");
        let found = Self::ALL.into_iter().find(|(_, name)| *name == text);
        found.map(|(alone, _)| alone)
    }
}

static ALONE: AtomicU8 = AtomicU8::new(Alone::Queue as u8);
static MODE: AtomicU8 = AtomicU8::new(Mode::Off as u8);
static POOL: OnceLock<pool::Name> = OnceLock::new();
static VERBOSE: AtomicBool = AtomicBool::new(false);
static EAGER: AtomicBool = AtomicBool::new(false);
static STATS: AtomicI32 = AtomicI32::new(-1);

/// Whether calls may be deferred. Once off it stays off.
#[inline]
pub fn on() -> bool {
    MODE.load(Ordering::Relaxed) != Mode::Off as u8
}

/// What is in force.
pub fn mode() -> Mode {
    let mode = MODE.load(Ordering::Relaxed);
    let found = Mode::ALL.into_iter().find(|other| *other as u8 == mode);
    found.unwrap_or(Mode::Off)
}

/// The pool that rings are to be attached to, and how (`SAIO_MODE_*`), if any.
pub fn pool() -> Option<(&'static pool::Name, u32)> {
    let how = match mode() {
        Mode::Off | Mode::Inline => return None,
        Mode::Auto => sys::SAIO_MODE_AUTO,
        Mode::Pool => sys::SAIO_MODE_POOL,
    };
    Some((POOL.get()?, how))
}

/// Whether to say what is being done.
pub fn verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Whether a connection becomes a flow with its first response already.
pub fn eager() -> bool {
    EAGER.load(Ordering::Relaxed)
}

/// What becomes of a write that is all of a response.
pub fn alone() -> Alone {
    let alone = ALONE.load(Ordering::Relaxed);
    let found = Alone::ALL.into_iter().find(|(it, _)| *it as u8 == alone);
    found.map_or(Alone::Queue, |(it, _)| it)
}

/// Where statistics go, if anywhere.
pub fn stats() -> Option<c_int> {
    let fd = STATS.load(Ordering::Relaxed);
    (fd >= 0).then_some(fd)
}

/// Turns everything off for good: no ring can be had.
pub fn turn_off(error: &io::Error) {
    if MODE.swap(Mode::Off as u8, Ordering::Relaxed) == Mode::Off as u8 {
        return;
    }
    let errno = error.raw_os_error().unwrap_or(0);
    match errno {
        libc::ENOSYS => no_saio(),
        libc::ENOMEM => say::stderr(format_args!(
            "no memory for a ring (saio_setup: ENOMEM; RLIMIT_MEMLOCK is charged, raise it: ulimit -l); running without it"
        )),
        libc::EPERM | libc::EACCES => say::stderr(format_args!(
            "rings are not allowed here (saio_setup: errno {errno}); running without it"
        )),
        _ => say::stderr(format_args!(
            "no ring (saio_setup: errno {errno}); running without it"
        )),
    }
}

/// Goes on without the pool, which a ring could not be attached to. Rings that are stay so.
pub fn leave_pool(pool: &pool::Name, error: &io::Error) {
    if MODE.fetch_min(Mode::Inline as u8, Ordering::Relaxed) <= Mode::Inline as u8 {
        return;
    }
    let errno = error.raw_os_error().unwrap_or(0);
    match errno {
        libc::ENOENT => say::stderr(format_args!(
            "there is no pool {pool} (make it: saioctl pool set {pool}); running inline"
        )),
        libc::EACCES => say::stderr(format_args!(
            "the pool {pool} is not for the group of this process (let it in: saioctl pool set {pool} --group GROUP); running inline"
        )),
        libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP => say::stderr(format_args!(
            "this kernel has no pools (saio_register: errno {errno}; SAIO_MODE=inline needs none); running inline"
        )),
        _ => say::stderr(format_args!(
            "no ring in the pool {pool} (saio_register: errno {errno}); running inline"
        )),
    }
}

fn no_saio() {
    say::stderr(format_args!(
        "this kernel has no SAIO (saio_setup: ENOSYS); running without it"
    ));
}

/// Reads the environment and asks the kernel.
pub fn read() {
    VERBOSE.store(switch(c"SAIO_VERBOSE"), Ordering::Relaxed);
    EAGER.store(switch(c"SAIO_EAGER"), Ordering::Relaxed);
    if let Some(file) = variable(c"SAIO_STATS") {
        open_stats(file);
    }
    if let Some(list) = variable(list::VARIABLE) {
        rules::read(list);
        if rules::off() {
            return;
        }
    }
    let text = variable(c"SAIO_MODE");
    let Some(mut mode) = Mode::parse(text) else {
        say::stderr(format_args!(
            "SAIO_MODE={} is not known (inline, auto, pool, off); running without it",
            text.unwrap_or_default()
        ));
        return;
    };
    if mode == Mode::Off {
        return;
    }
    let text = variable(c"SAIO_ALONE");
    match Alone::parse(text) {
        Some(alone) => ALONE.store(alone as u8, Ordering::Relaxed),
        None => say::stderr(format_args!(
            "SAIO_ALONE={} is not known (measure, queue, pass); writes that stand alone are queued",
            text.unwrap_or_default()
        )),
    }
    if sys::probe() != libc::ENOSYS {
        if mode != Mode::Inline && !read_pool() {
            mode = Mode::Inline;
        }
        MODE.store(mode as u8, Ordering::Relaxed);
        return;
    }
    // Once for a tree of processes is enough.
    if variable(c"SAIO_PROBED").is_none() {
        no_saio();
        // SAFETY: both are C strings. The program's threads are not there yet.
        unsafe { libc::setenv(c"SAIO_PROBED".as_ptr(), c"1".as_ptr(), 1) };
    }
}

fn switch(name: &CStr) -> bool {
    variable(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Reads the name of the pool. It takes memory, which the program's allocator can give by now.
fn read_pool() -> bool {
    let text = variable(c"SAIO_POOL").filter(|text| !text.is_empty());
    let name = match text.map(str::parse) {
        None => pool::Name::default_pool(),
        Some(Ok(name)) => name,
        Some(Err(error)) => {
            say::stderr(format_args!("SAIO_POOL: {error}; running inline"));
            return false;
        }
    };
    POOL.set(name).is_ok()
}

fn open_stats(file: &str) {
    if file.is_empty() {
        return;
    }
    if file == "stderr" {
        STATS.store(libc::STDERR_FILENO, Ordering::Relaxed);
        return;
    }
    // Now, as a server may lose the right to it later. From the environment, so it
    // ends with a zero byte.
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    let args = [
        libc::AT_FDCWD as usize,
        file.as_ptr() as usize,
        flags as usize,
        0o666,
        0,
        0,
    ];
    // SAFETY: the path is a C string.
    match sys::check(unsafe { sys::syscall(libc::SYS_openat, args) }) {
        Ok(fd) => {
            let fd = sys::move_up(fd as c_int, HIGH_FD);
            fds::set(fd, State::STATS);
            STATS.store(fd, Ordering::Relaxed);
        }
        Err(error) => say::stderr(format_args!(
            "SAIO_STATS={file} cannot be opened (errno {}); no statistics",
            error.raw_os_error().unwrap_or(0)
        )),
    }
}

/// A variable of the environment, if it is UTF-8. The text is followed by a zero byte.
fn variable(name: &CStr) -> Option<&'static str> {
    // SAFETY: a C string; the program's threads, which could change the environment,
    // are not there yet.
    let value: *const c_char = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a C string, which is not used beyond this module's `read`.
    unsafe { CStr::from_ptr(value) }.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_by_name() {
        assert_eq!(Mode::parse(None), Some(Mode::Inline));
        assert_eq!(Mode::parse(Some("")), Some(Mode::Inline));
        for mode in Mode::ALL {
            assert_eq!(Mode::parse(Some(mode.name())), Some(mode));
        }
        for unknown in ["Auto", "pools", " pool"] {
            assert_eq!(Mode::parse(Some(unknown)), None, "{unknown}");
        }
    }

    /// One test, as the settings are those of the whole process.
    #[test]
    fn modes_only_go_down() {
        let web: pool::Name = "web".parse().unwrap();
        let error = |errno| io::Error::from_raw_os_error(errno);
        assert!(!on());
        assert_eq!(pool(), None);

        POOL.set(web.clone()).unwrap();
        for (mode, how) in [
            (Mode::Auto, sys::SAIO_MODE_AUTO),
            (Mode::Pool, sys::SAIO_MODE_POOL),
        ] {
            MODE.store(mode as u8, Ordering::Relaxed);
            assert_eq!(pool(), Some((&web, how)));
            leave_pool(&web, &error(libc::ENOENT));
            assert_eq!((super::mode(), pool()), (Mode::Inline, None));
        }
        turn_off(&error(libc::ENOMEM));
        assert_eq!(super::mode(), Mode::Off);
        leave_pool(&web, &error(libc::EACCES));
        assert!(!on());
    }
}
