// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls with whatever arguments a case has, and the words of shared memory. A process
//! that runs a case is made for that: nothing in it is worth keeping.

use saio::sys;

/// Makes a call: its result, or a negated errno.
pub fn call(nr: i64, given: &[usize]) -> isize {
    let mut args = [0; 6];
    args[..given.len()].copy_from_slice(given);
    // SAFETY: none. The call may spoil this process, which is what it is there for.
    unsafe { sys::syscall(nr, args) }
}

/// Address of a value, as an argument.
pub fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>() as usize
}

/// Stores a value at an address that may be anywhere.
pub fn store<T>(address: usize, value: T) {
    // SAFETY: if the address is bad the process ends, or the handler of SIGSEGV maps memory.
    unsafe { (address as *mut T).write_volatile(value) }
}

/// Loads a value from an address that may be anywhere.
pub fn load<T: Copy>(address: usize) -> T {
    // SAFETY: as for `store`; all types that are used are plain numbers.
    unsafe { (address as *const T).read_volatile() }
}

/// A structure of the C world with all fields zero.
pub fn zeroed<T: Copy>() -> T {
    // SAFETY: only used for plain C structures, of which all zeros is a valid value.
    unsafe { std::mem::zeroed() }
}

/// Ends this process at once.
pub fn exit(status: i32) -> ! {
    // SAFETY: nothing of the parent's runs at exit.
    unsafe { libc::_exit(status) }
}

/// Forks: 0 in the child.
pub fn fork() -> i32 {
    // SAFETY: the child of a threaded process only makes system calls and takes memory, which
    // glibc keeps usable across a fork.
    unsafe { libc::fork() }
}
