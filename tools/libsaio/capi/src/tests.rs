// SPDX-License-Identifier: MIT OR Apache-2.0

//! The functions as C sees them, on a kernel for tests.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use libc::iovec;
use rust_saio::fake::Kernel;
use rust_saio::queue::{Options, Queue, MAX_SEND};
use rust_saio::sys;

use crate::calls::*;
use crate::flows::*;
use crate::header::{self, saio, saio_completion, saio_options};
use crate::ring::*;
use crate::sys::*;

/// That functions have the types that the header declares is seen by the compiler: an array holds
/// one type.
macro_rules! declared_alike {
    ($($name:ident)*) => {
        $(let _ = [$name, header::$name];)*
        /// Those of the header, in the order of this list.
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

#[test]
fn functions_are_declared_as_they_are() {
    declared_alike! {
        saio_ring_open saio_ring_close saio_pool_attach saio_restrict
        saio_flow_register saio_flow_unregister saio_flow_health
        saio_send saio_sendv saio_sendfile saio_setsockopt saio_shutdown
        saio_call saio_call_result
        saio_room saio_submit saio_wait saio_next_completion
        saio_sys_setup saio_sys_enter saio_sys_register saio_sys_pool
    }
    // The only safe one.
    let probe: unsafe extern "C" fn() -> c_int = saio_probe;
    let _ = [probe, header::saio_probe];
    let text = include_str!("../../include/saio.h");
    let declared = |name: &&str| text.contains(&format!("{name}("));
    assert!(NAMES.iter().all(declared));
}

#[test]
fn constants_are_those_of_the_abi() {
    assert_eq!(header::SAIO_MODE_AUTO, sys::SAIO_MODE_AUTO);
    assert_eq!(header::SAIO_MODE_POOL, sys::SAIO_MODE_POOL);
    assert_eq!(header::SAIO_RESTRICT_NO_POOL, sys::SAIO_RESTRICT_NO_POOL);
    assert_eq!(header::SAIO_SEND_MAX as usize, MAX_SEND);
    assert_eq!(size_of::<saio_options>(), 32);
    assert_eq!(size_of::<saio_completion>(), 16);
}

/// A handle without kernel.
fn fake() -> (*mut saio, Arc<Kernel>) {
    let (queue, kernel) = Queue::fake(&Options {
        sq_entries: 8,
        cq_entries: 16,
        flows: 2,
        arena_size: 8192,
        flow_limit: 4096,
    })
    .unwrap();
    (Box::into_raw(Box::new(queue)).cast(), kernel)
}

fn next(ring: *mut saio) -> Option<(u64, i64)> {
    let mut done = saio_completion::default();
    // SAFETY: a handle and a place.
    match unsafe { saio_next_completion(ring, &mut done) } {
        1 => Some((done.tag, done.result)),
        0 => None,
        error => panic!("{error}"),
    }
}

#[test]
fn null_is_refused() {
    let null: *mut saio = ptr::null_mut();
    let (ring, _kernel) = fake();
    let mut flow = 0;
    let args = [0u64; 6];
    let buffer = iovec {
        iov_base: null.cast(),
        iov_len: 1,
    };
    // SAFETY: null where it may be, otherwise good pointers.
    let answers = unsafe {
        saio_ring_close(null);
        [
            saio_ring_open(ptr::null_mut(), ptr::null()),
            saio_pool_attach(null, ptr::null(), 1),
            saio_restrict(null, ptr::null(), 0, 0),
            saio_flow_register(null, 0, &mut flow),
            saio_flow_register(ring, 0, ptr::null_mut()),
            saio_flow_unregister(null, 0),
            saio_flow_health(null, 0),
            saio_send(null, 0, b"x".as_ptr().cast(), 1, 0, 0) as c_int,
            saio_send(ring, 0, ptr::null(), 1, 0, 0) as c_int,
            saio_sendv(null, 0, &buffer, 1, 0, 0) as c_int,
            saio_sendv(ring, 0, ptr::null(), 1, 0, 0) as c_int,
            saio_sendv(ring, 0, &buffer, 1, 0, 0) as c_int,
            saio_sendv(ring, 0, &buffer, -1, 0, 0) as c_int,
            saio_sendfile(null, 0, 0, 0, 0, 0, 0),
            saio_setsockopt(null, 0, 0, 0, ptr::null(), 0, 0, 0),
            saio_setsockopt(ring, 0, 0, 0, ptr::null(), 4, 0, 0),
            saio_shutdown(null, 0, 0, 0, 0),
            saio_call(null, 0, args.as_ptr(), 0, 0),
            saio_call(ring, 0, ptr::null(), 0, 0),
            saio_call_result(null, 0, args.as_ptr(), 0, 1, 0, 0),
            saio_room(null),
            saio_submit(null),
            saio_wait(null, 1, -1),
            saio_next_completion(null, ptr::null_mut()),
            saio_next_completion(ring, ptr::null_mut()),
        ]
    };
    assert_eq!(answers, [-libc::EINVAL; 25]);
    // SAFETY: a handle.
    unsafe { saio_ring_close(ring) };
}

#[test]
fn bytes_go_out_and_completions_come_in() {
    let (ring, kernel) = fake();
    let mut flow = 0;
    // SAFETY: a handle and good pointers throughout.
    unsafe {
        assert_eq!(saio_flow_register(ring, -1, &mut flow), -libc::EBADF);
        assert_eq!(saio_flow_register(ring, 0, &mut flow), 0);
        assert_eq!(saio_flow_health(ring, flow), 0);
        assert_eq!(saio_room(ring), 8);

        assert_eq!(saio_send(ring, flow, b"one ".as_ptr().cast(), 4, 0, 1), 4);
        let buffers = [&b"two"[..], b"", b" three"].map(|bytes| iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        });
        let quiet = header::SAIO_QUIET;
        assert_eq!(saio_sendv(ring, flow, buffers.as_ptr(), 3, quiet, 2), 9);
        let on: c_int = 1;
        let value = (&raw const on).cast::<c_void>();
        assert_eq!(saio_setsockopt(ring, flow, 6, 3, value, 4, 0, 3), 0);
        assert_eq!(saio_sendfile(ring, flow, 0, 10, 20, 0, 4), 0);
        assert_eq!(saio_shutdown(ring, flow, libc::SHUT_WR, 0, 5), 0);
        assert_eq!(saio_call(ring, 39, [0; 6].as_ptr(), 0, 6), 0);
        assert_eq!(saio_room(ring), 2);
        assert_eq!(saio_submit(ring), 6);
        assert_eq!(kernel.sent(0), b"one two three");
        assert!(kernel.socket(0).corked);
        let seen: Vec<_> = std::iter::from_fn(|| next(ring)).collect();
        assert_eq!(seen, [(1, 4), (3, 0), (4, 20), (5, 0), (6, 0)]);

        kernel.refuse(libc::ETIME);
        assert_eq!(saio_wait(ring, 1, 1000), -libc::ETIME);
        assert_eq!(saio_flow_unregister(ring, flow), 0);
        assert_eq!(saio_flow_unregister(ring, flow), -libc::EBADF);
        assert_eq!(saio_flow_health(ring, flow), 3);
        let gone = saio_send(ring, flow, b"x".as_ptr().cast(), 1, 0, 1);
        assert_eq!(gone, -(libc::EBADF as isize));
        saio_ring_close(ring);
    }
}

#[test]
fn calls_are_made_and_chained() {
    let (ring, kernel) = fake();
    let mut fds = [0; 2];
    let mut read = [0u8; 4];
    // SAFETY: handle, pointers and what the calls are told are good until they have run.
    unsafe {
        kernel.run_calls();
        // A duplicate of the read end, through which what was written is read, and which is closed.
        assert_eq!(libc::pipe(fds.as_mut_ptr()), 0);
        let link = header::SAIO_LINK;
        let hard = header::SAIO_HARDLINK;
        let args = [fds[1] as u64, b"abc".as_ptr() as u64, 3, 0, 0, 0];
        assert_eq!(
            saio_call(ring, libc::SYS_write as u32, args.as_ptr(), link, 1),
            0
        );
        let args = [fds[0] as u64, 0, 0, 0, 0, 0];
        assert_eq!(
            saio_call(ring, libc::SYS_dup as u32, args.as_ptr(), link, 2),
            0
        );
        let args = [0, read.as_mut_ptr() as u64, 4, 0, 0, 0];
        let nr = libc::SYS_read as u32;
        assert_eq!(saio_call_result(ring, nr, args.as_ptr(), 0, 1, hard, 3), 0);
        let nr = libc::SYS_close as u32;
        assert_eq!(saio_call_result(ring, nr, [0; 6].as_ptr(), 0, 2, 0, 4), 0);
        assert_eq!(saio_submit(ring), 4);
        let seen: Vec<_> = std::iter::from_fn(|| next(ring)).collect();
        assert_eq!((seen[0], seen[2], seen[3]), ((1, 3), (3, 3), (4, 0)));
        assert_eq!(&read, b"abc\0");
        saio_ring_close(ring);
        libc::close(fds[0]);
        libc::close(fds[1]);
    }
}

#[test]
fn bad_numbers_are_refused() {
    let (ring, _kernel) = fake();
    let args = [0u64; 6];
    let both = header::SAIO_LINK | header::SAIO_HARDLINK;
    // SAFETY: a handle and good pointers; nothing is run.
    unsafe {
        for flags in [both, 1 << 4, u32::MAX] {
            assert_eq!(saio_call(ring, 39, args.as_ptr(), flags, 0), -libc::EINVAL);
        }
        assert_eq!(saio_call(ring, 65536, args.as_ptr(), 0, 0), -libc::ENOSYS);
        for (arg, back) in [(6, 1), (0, 0), (0, 9), (256, 257)] {
            let refused = saio_call_result(ring, 39, args.as_ptr(), arg, back, 0, 0);
            assert_eq!(refused, -libc::EINVAL);
        }
        assert_eq!(saio_shutdown(ring, 0, 3, 0, 0), -libc::EINVAL);
        assert_eq!(saio_pool_attach(ring, ptr::null(), 0), -libc::EINVAL);
        assert_eq!(saio_pool_attach(ring, c"a b".as_ptr(), 1), -libc::EINVAL);
        let mut other = ptr::null_mut();
        let options = saio_options {
            resv: [0, 0, 1],
            ..Default::default()
        };
        assert_eq!(saio_ring_open(&mut other, &options), -libc::EINVAL);
        assert!(other.is_null());
        // No rings: kernels without SAIO, and those with it by the null pointer.
        let refused = saio_sys_setup(ptr::null_mut(), 0);
        assert_eq!(refused == -libc::EINVAL, saio_probe() == 0);
        assert!(saio_sys_enter(-1, 0, 0, 0, ptr::null_mut(), 0) < 0);
        assert!(saio_sys_register(-1, 0, ptr::null_mut(), 0) < 0);
        assert!(saio_sys_pool(u32::MAX, ptr::null_mut(), 0) < 0);
        saio_ring_close(ring);
    }
}
