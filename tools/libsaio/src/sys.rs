// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ABI as bindgen reads it from the UAPI header, and the bare system calls.
//!
//! The calls do not go through libc: its `syscall` sets `errno`, and in a preload
//! library it would be the interposed one.

use std::ffi::{c_int, c_long};
use std::io;
use std::ptr::NonNull;

pub use bindings::*;

#[allow(
    dead_code,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

/// Flags of an entry. The header writes them as shifts by an enumeration's value,
/// which bindgen does not evaluate.
pub const SQE_LINK: u16 = 1 << SAIO_SQE_LINK_BIT;
/// See [`SQE_LINK`].
pub const SQE_HARDLINK: u16 = 1 << SAIO_SQE_HARDLINK_BIT;
/// See [`SQE_LINK`].
pub const SQE_RESULT_TO_ARG: u16 = 1 << SAIO_SQE_RESULT_TO_ARG_BIT;
/// See [`SQE_LINK`].
pub const SQE_SKIP_SUCCESS: u16 = 1 << SAIO_SQE_SKIP_SUCCESS_BIT;
/// See [`SQE_LINK`].
pub const SQE_FLOW: u16 = 1 << SAIO_SQE_FLOW_BIT;

/// The control word of [`SQE_RESULT_TO_ARG`] (`SAIO_CTL`).
pub const fn ctl(arg: u8, back: u8) -> u32 {
    arg as u32 | (back as u32) << 8
}

/// Makes a system call and returns what the kernel does: a value, or a negated errno.
///
/// # Safety
///
/// The call may do whatever the kernel does for these arguments; pointers among
/// them must be good for that.
#[cfg(target_arch = "x86_64")]
#[inline]
pub unsafe fn syscall(nr: c_long, args: [usize; 6]) -> isize {
    let ret: isize;
    // SAFETY: the registers of the x86-64 system call convention; the kernel
    // changes only those named as outputs. The rest is the caller's contract.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") nr as isize => ret,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

/// Makes a system call and returns what the kernel does: a value, or a negated errno.
///
/// # Safety
///
/// The call may do whatever the kernel does for these arguments; pointers among
/// them must be good for that.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn syscall(nr: c_long, a: [usize; 6]) -> isize {
    // SAFETY: the caller's contract.
    let ret = unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if ret == -1 {
        return -(io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO) as isize);
    }
    ret as isize
}

/// A kernel result as a Rust one. Takes no memory.
#[inline]
pub fn check(ret: isize) -> io::Result<usize> {
    if (-4095..0).contains(&ret) {
        return Err(io::Error::from_raw_os_error(-ret as i32));
    }
    Ok(ret as usize)
}

/// What a kernel says to `saio_setup(NULL, 0)`: an errno, `ENOSYS` if it has no SAIO.
pub fn probe() -> i32 {
    // SAFETY: the kernel refuses a null pointer of size zero.
    let ret = unsafe { syscall(__NR_saio_setup as c_long, [0; 6]) };
    -ret as i32
}

/// `saio_setup`: makes a ring of the calling thread and returns its descriptor.
///
/// # Errors
///
/// Those of the call, see docs/abi.md.
pub fn setup(params: &mut saio_params) -> io::Result<c_int> {
    let args = [
        params as *mut saio_params as usize,
        size_of::<saio_params>(),
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the structure is ours and as long as said.
    check(unsafe { syscall(__NR_saio_setup as c_long, args) }).map(|fd| fd as c_int)
}

/// `saio_enter` without argument structure: how many entries were taken, or a negated errno.
/// `flags` are `SAIO_ENTER_*`.
///
/// # Safety
///
/// Entries are system calls: whatever those that are published point to must be
/// good for them until they complete.
#[inline]
pub unsafe fn enter(fd: c_int, to_submit: u32, min_complete: u32, flags: u32) -> isize {
    let args = [
        fd as usize,
        to_submit as usize,
        min_complete as usize,
        flags as usize,
        0,
        0,
    ];
    // SAFETY: the caller's contract.
    unsafe { syscall(__NR_saio_enter as c_long, args) }
}

/// As [`enter`], but the wait ends after `timeout_ns` nanoseconds; 0: no limit.
///
/// # Safety
///
/// As for [`enter`].
pub unsafe fn enter_timeout(
    fd: c_int,
    to_submit: u32,
    min_complete: u32,
    timeout_ns: u64,
) -> isize {
    let mut arg = saio_enter_arg {
        timeout_ns,
        ..Default::default()
    };
    let args = [
        fd as usize,
        to_submit as usize,
        min_complete as usize,
        0,
        &raw mut arg as usize,
        size_of::<saio_enter_arg>(),
    ];
    // SAFETY: the caller's contract; the structure is ours and as long as said.
    unsafe { syscall(__NR_saio_enter as c_long, args) }
}

/// `SAIO_REGISTER_FLOW`: makes a flow of the connected TCP socket `socket`.
///
/// # Errors
///
/// Those of the call, see docs/abi.md.
pub fn register_flow(ring: c_int, socket: c_int) -> io::Result<u32> {
    let mut reg = saio_flow_reg {
        fd: socket as u32,
        ..Default::default()
    };
    register(ring, SAIO_REGISTER_FLOW, &mut reg)?;
    Ok(reg.flow)
}

/// `SAIO_UNREGISTER_FLOW`: gives a flow up. What it holds still leaves.
///
/// # Errors
///
/// Those of the call, see docs/abi.md.
pub fn unregister_flow(ring: c_int, flow: u32) -> io::Result<()> {
    let mut reg = saio_flow_reg {
        flow,
        ..Default::default()
    };
    register(ring, SAIO_UNREGISTER_FLOW, &mut reg)
}

/// `SAIO_REGISTER_POOL`: attaches the ring to a pool.
///
/// # Errors
///
/// Those of the call, see docs/abi.md.
pub fn attach(ring: c_int, pool: &mut saio_ring_pool) -> io::Result<()> {
    register(ring, SAIO_REGISTER_POOL, pool)
}

/// `SAIO_REGISTER_RESTRICT`: takes from the ring what it can do without.
///
/// # Errors
///
/// Those of the call, see docs/abi.md.
pub fn restrict(ring: c_int, restriction: &mut saio_restriction) -> io::Result<()> {
    register(ring, SAIO_REGISTER_RESTRICT, restriction)
}

/// `reg` is the structure that belongs to `op`.
fn register<T>(ring: c_int, op: saio_register_op, reg: &mut T) -> io::Result<()> {
    let args = [
        ring as usize,
        op as usize,
        reg as *mut T as usize,
        size_of::<T>(),
        0,
        0,
    ];
    // SAFETY: the structure is ours and as long as said.
    check(unsafe { syscall(__NR_saio_register as c_long, args) })?;
    Ok(())
}

/// Maps `size` bytes of `fd` shared, or fresh private memory if there is no `fd`.
///
/// # Errors
///
/// Those of `mmap`.
pub fn map(fd: Option<c_int>, size: usize) -> io::Result<NonNull<u8>> {
    let (flags, fd) = match fd {
        Some(fd) => (libc::MAP_SHARED, fd),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let args = [0, size, prot as usize, flags as usize, fd as usize, 0];
    // SAFETY: a new mapping at an address of the kernel's choice harms nobody.
    let addr = check(unsafe { syscall(libc::SYS_mmap, args) })?;
    NonNull::new(addr as *mut u8).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Unmaps what [`map`] made.
///
/// # Safety
///
/// Nothing may use the memory any more.
pub unsafe fn unmap(addr: NonNull<u8>, size: usize) {
    let args = [addr.as_ptr() as usize, size, 0, 0, 0, 0];
    // SAFETY: the caller's contract. It fails only for arguments that make no sense.
    unsafe { syscall(libc::SYS_munmap, args) };
}

/// Closes a descriptor. Returns 0 or a negated errno.
pub fn close(fd: c_int) -> isize {
    // SAFETY: no memory is involved.
    unsafe { syscall(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) }
}

/// Moves a descriptor up to `min` or beyond, close-on-exec, out of the way of
/// programs that expect small numbers. It stays where it is if there is no room.
pub fn move_up(fd: c_int, min: c_int) -> c_int {
    let args = [
        fd as usize,
        libc::F_DUPFD_CLOEXEC as usize,
        min as usize,
        0,
        0,
        0,
    ];
    // SAFETY: no memory is involved.
    match check(unsafe { syscall(libc::SYS_fcntl, args) }) {
        Ok(high) => {
            close(fd);
            high as c_int
        }
        Err(_) => fd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_that_of_the_header() {
        assert_eq!(size_of::<saio_sqe>(), 64);
        assert_eq!(size_of::<saio_cqe>(), 16);
        assert_eq!(size_of::<saio_ring>(), 192);
        assert_eq!(size_of::<saio_params>(), SAIO_PARAMS_SIZE_VER0 as usize);
        assert_eq!(size_of::<saio_flow_reg>(), SAIO_FLOW_REG_SIZE_VER0 as usize);
        assert_eq!(
            size_of::<saio_enter_arg>(),
            SAIO_ENTER_ARG_SIZE_VER0 as usize
        );
        assert_eq!(
            size_of::<saio_ring_pool>(),
            SAIO_RING_POOL_SIZE_VER0 as usize
        );
        assert_eq!(
            size_of::<saio_restriction>(),
            SAIO_RESTRICTION_SIZE_VER0 as usize
        );
    }

    #[test]
    fn flags_are_those_of_the_logic() {
        use saio_logic::chain::flags;
        let here = [
            SQE_LINK,
            SQE_HARDLINK,
            SQE_RESULT_TO_ARG,
            SQE_SKIP_SUCCESS,
            SQE_FLOW,
        ];
        let there = [
            flags::LINK,
            flags::HARDLINK,
            flags::RESULT_TO_ARG,
            flags::SKIP_SUCCESS,
            flags::FLOW,
        ];
        assert_eq!(here, there);
    }

    #[test]
    fn wake_up_flag_is_that_of_the_logic() {
        assert_eq!(SAIO_RING_NEED_WAKEUP, saio_logic::ring::NEED_WAKEUP);
    }

    #[test]
    fn results_and_errors() {
        assert_eq!(check(7).unwrap(), 7);
        let error = check(-(libc::EBADF as isize)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        assert_eq!(close(-1), -(libc::EBADF as isize));
    }

    #[test]
    fn descriptor_moves_up() {
        let mut fds = [0; 2];
        // SAFETY: a new pipe into an array of two.
        assert_eq!(unsafe { libc::pipe(fds.as_mut_ptr()) }, 0);
        let high = move_up(fds[0], fds[1] + 10);
        assert!(high >= fds[1] + 10);
        assert_eq!(close(fds[0]), -(libc::EBADF as isize));
        assert_eq!(close(high), 0);
        assert_eq!(close(fds[1]), 0);
    }
}
