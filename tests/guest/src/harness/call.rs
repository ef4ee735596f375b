// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls as values: the same call can be made at once or put into a ring.

use super::{zeroed, Sqe, FLOW, RESULT_TO_ARG};

/// What can be an argument of a system call.
pub trait Arg {
    fn arg(self) -> u64;
}

impl Arg for i32 {
    fn arg(self) -> u64 {
        self as u64
    }
}

impl Arg for u32 {
    fn arg(self) -> u64 {
        self.into()
    }
}

impl Arg for i64 {
    fn arg(self) -> u64 {
        self as u64
    }
}

impl Arg for u64 {
    fn arg(self) -> u64 {
        self
    }
}

impl Arg for usize {
    fn arg(self) -> u64 {
        self as u64
    }
}

impl<T> Arg for *const T {
    fn arg(self) -> u64 {
        self as u64
    }
}

impl<T> Arg for *mut T {
    fn arg(self) -> u64 {
        self as u64
    }
}

impl<T> Arg for &T {
    fn arg(self) -> u64 {
        std::ptr::from_ref(self) as u64
    }
}

impl<T> Arg for &mut T {
    fn arg(self) -> u64 {
        std::ptr::from_mut(self) as u64
    }
}

/// A number and six arguments.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub nr: i64,
    pub args: [u64; 6],
}

impl Call {
    pub fn new(nr: i64, given: &[u64]) -> Self {
        let mut args = [0; 6];
        args[..given.len()].copy_from_slice(given);
        Self { nr, args }
    }

    /// Makes the call: its result, or a negated errno.
    pub fn run(&self) -> i64 {
        let [a, b, c, d, e, f] = self.args;
        // SAFETY: the tests hand over memory that they own, or that the kernel must refuse.
        let result = unsafe { libc::syscall(self.nr, a, b, c, d, e, f) };
        if result != -1 {
            return result;
        }
        let errno = std::io::Error::last_os_error().raw_os_error();
        -i64::from(errno.expect("the last error is one of the system"))
    }

    /// The entry that names the call, user data 0.
    pub fn sqe(&self) -> Sqe {
        let mut entry: Sqe = zeroed();
        entry.nr = self.nr as u16;
        entry.args = self.args;
        entry
    }
}

/// Adds to an entry.
pub trait SqeExt {
    fn flag(self, flags: u16) -> Self;
    fn data(self, user_data: u64) -> Self;
    /// Argument `arg` is the result of the entry `back` places back.
    fn result_to(self, arg: u32, back: u32) -> Self;
    /// Makes it an entry of a flow.
    fn on_flow(self) -> Self;
}

impl SqeExt for Sqe {
    fn flag(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    fn data(mut self, user_data: u64) -> Self {
        self.user_data = user_data;
        self
    }

    fn result_to(mut self, arg: u32, back: u32) -> Self {
        self.ctl = arg | back << 8;
        self.flag(RESULT_TO_ARG)
    }

    fn on_flow(self) -> Self {
        self.flag(FLOW)
    }
}

/// `call!(number, arguments…)`: a [`Call`].
macro_rules! call {
    ($nr:expr $(, $arg:expr)* $(,)?) => {
        $crate::harness::Call::new($nr, &[$($crate::harness::Arg::arg($arg)),*])
    };
}
pub(crate) use call;

/// `sys!(number, arguments…)`: makes the call and gives its result or a negated errno.
macro_rules! sys {
    ($($call:tt)*) => { $crate::harness::call!($($call)*).run() };
}
pub(crate) use sys;

/// `sqe!(number, arguments…)`: the entry that names the call.
macro_rules! sqe {
    ($($call:tt)*) => { $crate::harness::call!($($call)*).sqe() };
}
pub(crate) use sqe;
