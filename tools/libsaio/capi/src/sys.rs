// SPDX-License-Identifier: MIT OR Apache-2.0

//! The bare system calls.

use std::ffi::{c_int, c_long, c_void};

use rust_saio::sys::{self, saio_enter_arg, saio_params};

/// See `saio.h`.
///
/// # Safety
///
/// `params` must be null or have `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn saio_sys_setup(params: *mut saio_params, size: usize) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { call(sys::__NR_saio_setup, [params as usize, size, 0, 0, 0, 0]) }
}

/// See `saio.h`.
///
/// # Safety
///
/// `arg` must be null or have `size` bytes; what published entries point to must be good for them.
#[no_mangle]
pub unsafe extern "C" fn saio_sys_enter(
    fd: c_int,
    to_submit: u32,
    min_complete: u32,
    flags: u32,
    arg: *mut saio_enter_arg,
    size: usize,
) -> c_int {
    let args = [
        fd as usize,
        to_submit as usize,
        min_complete as usize,
        flags as usize,
        arg as usize,
        size,
    ];
    // SAFETY: the caller's contract.
    unsafe { call(sys::__NR_saio_enter, args) }
}

/// See `saio.h`.
///
/// # Safety
///
/// `arg` must be null or have `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn saio_sys_register(
    fd: c_int,
    op: u32,
    arg: *mut c_void,
    size: usize,
) -> c_int {
    let args = [fd as usize, op as usize, arg as usize, size, 0, 0];
    // SAFETY: the caller's contract.
    unsafe { call(sys::__NR_saio_register, args) }
}

/// See `saio.h`.
///
/// # Safety
///
/// `attr` must be null or have `size` bytes, with a mask as long as it says.
#[no_mangle]
pub unsafe extern "C" fn saio_sys_pool(cmd: u32, attr: *mut c_void, size: usize) -> c_int {
    let args = [cmd as usize, attr as usize, size, 0, 0, 0];
    // SAFETY: the caller's contract.
    unsafe { call(sys::__NR_saio_pool, args) }
}

/// # Safety
///
/// The arguments must be good for the call.
unsafe fn call(nr: u32, args: [usize; 6]) -> c_int {
    // SAFETY: the caller's contract. All of these return an `int`.
    unsafe { sys::syscall(nr as c_long, args) as c_int }
}
