// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a ring is attached to a pool, moved to another, and taken away; the words `mode` and
//! `pool` of its mapping and its fdinfo follow, as do the pools' counts of rings. Bad arguments and
//! tasks other than the owner are refused, and change nothing.

use crate::harness::*;

pub fn run() {
    let (first, second) = (Pool::new("first", |p| p), Pool::new("second", |p| p.max(3)));
    let ring = RawRing::new();
    expect_attachment(&ring, INLINE, None);
    moves(&ring, &first, &second);
    assert_eq!(ring.attach("first", POOLED), 0);
    refused(&ring);
    others(&ring);
    expect_attachment(&ring, POOLED, Some(&first));
    assert_eq!(first.rings(), 1);
    wakes_nobody();
}

/// The ring must say this of itself.
#[track_caller]
fn expect_attachment(ring: &RawRing, mode: u32, pool: Option<&Pool>) {
    let id = pool.map_or(0, |pool| pool.get().id);
    assert_eq!(ring.attachment(), (mode, id));
    let info = ring.info();
    let modes = ["inline", "auto", "pool"];
    assert_eq!(info.text("mode"), modes[mode as usize]);
    assert_eq!(info.text("pool"), pool.map_or("-", |pool| &pool.name));
    assert!(ring.needs_wakeup(), "nobody was woken");
}

fn moves(ring: &RawRing, first: &Pool, second: &Pool) {
    let rings = || (first.rings(), second.rings());
    for mode in [AUTO, POOLED, POOLED] {
        assert_eq!(ring.attach("first", mode), 0);
        expect_attachment(ring, mode, Some(first));
        assert_eq!(rings(), (1, 0));
    }
    assert_eq!((first.stat().threads, first.threads().len()), (2, 2));
    assert_eq!(second.stat().threads, 0);

    assert_eq!(ring.attach("second", AUTO), 0);
    expect_attachment(ring, AUTO, Some(second));
    assert_eq!(rings(), (0, 1));
    assert_eq!((second.stat().threads, second.threads().len()), (3, 3));
    for _ in 0..2 {
        assert_eq!(ring.attach("", INLINE), 0);
        expect_attachment(ring, INLINE, None);
        assert_eq!(rings(), (0, 0));
    }

    let before = pool_get("default").rings;
    assert_eq!(ring.attach("", POOLED), 0);
    assert_eq!(ring.attachment(), (POOLED, pool_get("default").id));
    assert_eq!(pool_get("default").rings, before + 1);
}

fn refused(ring: &RawRing) {
    expect_errno!(ring.attach("absent", POOLED), libc::ENOENT);
    expect_errno!(ring.attach("a b", POOLED), libc::EINVAL);
    for mode in [3, u32::MAX] {
        expect_errno!(ring.attach("second", mode), libc::EINVAL);
    }
    expect_errno!(ring.attach("second", INLINE), libc::EINVAL);

    let mut reg: RingPool = zeroed();
    reg.mode = POOLED;
    reg.flags = 1;
    expect_errno!(ring.attach_raw(&reg), libc::EINVAL);
    reg.flags = 0;
    reg.resv = 1;
    expect_errno!(ring.attach_raw(&reg), libc::EINVAL);
    reg.resv = 0;
    reg.name = [b'n'; 32];
    expect_errno!(ring.attach_raw(&reg), libc::EINVAL);

    let size = size_of::<RingPool>();
    let register = |address: u64, len: usize| sys!(REGISTER, ring.fd, REGISTER_POOL, address, len);
    let reg: RingPool = zeroed();
    expect_errno!(register(Arg::arg(&reg), size - 8), libc::EINVAL);
    expect_errno!(register(0, size), libc::EFAULT);
    expect_errno!(register(1, size), libc::EFAULT);
    let mut longer = [reg, reg];
    longer[1].resv = 1;
    expect_errno!(register(Arg::arg(&longer), 2 * size), libc::E2BIG);
    let null = fd(sys!(libc::SYS_open, c"/dev/null".as_ptr(), 0));
    let got = sys!(REGISTER, null, REGISTER_POOL, &reg, size);
    expect_errno!(got, libc::EOPNOTSUPP);
}

fn others(ring: &RawRing) {
    let number = ring.fd;
    let refused = move || {
        let reg: RingPool = zeroed();
        let size = size_of::<RingPool>();
        expect_errno!(
            sys!(REGISTER, number, REGISTER_POOL, &reg, size),
            libc::EPERM
        );
        expect_errno!(sys!(ENTER, number, 0, 0, WAKEUP), libc::EPERM);
    };
    in_child(refused);
    std::thread::spawn(refused)
        .join()
        .expect("the thread succeeds");
}

/// Without a pool a wake-up call does nothing, and what comes with it is done as ever.
fn wakes_nobody() {
    let mut ring = RawRing::new();
    ring.push(sqe!(libc::SYS_getuid));
    ring.publish();
    assert_eq!(ring.wake(), 0);
    assert_eq!(ring.queued(), 1);
    assert!(ring.needs_wakeup());
    assert_eq!(sys!(ENTER, ring.fd, 1, 1, WAKEUP), 1);
    expect_results(&in_order(ring.reap()), &[0]);
}
