// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: `saio_setup` fills in defaults, accepts the limits, refuses what lies outside
//! them, and takes structures of other sizes as `clone3` does. A refusal leaves no descriptor.

use crate::harness::*;

const PAGE: usize = 4096;

pub fn run() {
    defaults();
    limits();
    invalid_fields();
    sizes();
    bad_pointers();
}

fn defaults() {
    let ring = RawRing::new();
    let p = ring.params;
    assert_eq!(p.flags, 0);
    assert_eq!((p.sq_entries, p.cq_entries, p.flows), (256, 512, 1024));
    assert_eq!((p.arena_size, p.flow_limit), (256 << 10, 256 << 10));
    let features =
        saio::sys::SAIO_FEAT_INLINE | saio::sys::SAIO_FEAT_FLOWS | saio::sys::SAIO_FEAT_POOLS;
    assert_eq!(p.features & features, features);
    expect_layout(&p);

    let half_given = RawRing::with(|p| p.sq_entries = 8);
    assert_eq!(half_given.params.cq_entries, 16, "twice sq_entries");
}

/// The parts lie in the mapping and do not overlap.
fn expect_layout(p: &Params) {
    let entries = |count: u32, size: usize| count as usize * size;
    let mut parts = [
        (0, size_of::<RingHeader>()),
        (p.sq_off, entries(p.sq_entries, size_of::<Sqe>())),
        (p.cq_off, entries(p.cq_entries, size_of::<Cqe>())),
        (p.flow_off, entries(p.flows, size_of::<u32>())),
        (p.arena_off, p.arena_size as usize),
    ];
    parts.sort_unstable();
    let mut end = 0;
    for (offset, len) in parts {
        assert!(offset as usize >= end, "overlap at {offset} in {p:?}");
        end = offset as usize + len;
    }
    assert!(end <= p.map_size as usize, "{p:?}");
    assert_eq!(p.map_size as usize % PAGE, 0);
    assert_eq!(p.sq_off as usize % size_of::<Sqe>(), 0, "one cache line");
}

fn limits() {
    let largest = RawRing::with(|p| {
        p.sq_entries = 4096;
        p.cq_entries = 16384;
        p.flows = 65536;
        p.arena_size = 16 << 20;
        p.flow_limit = 4 << 20;
    });
    expect_layout(&largest.params);
    let mut smallest = RawRing::with(|p| {
        p.sq_entries = 1;
        p.cq_entries = 1;
        p.flows = 1;
        p.arena_size = 4096;
        p.flow_limit = 1;
    });
    expect_layout(&smallest.params);
    assert!(smallest.run_one(sqe!(libc::SYS_getpid)) > 0);
}

fn invalid_fields() {
    type Set = fn(&mut Params);
    let invalid: [(&str, Set); 17] = [
        ("flags", |p| p.flags = 1),
        ("flags, top bit", |p| p.flags = 1 << 31),
        ("sq_entries, no power of two", |p| p.sq_entries = 3),
        ("sq_entries, too many", |p| p.sq_entries = 8192),
        ("sq_entries, top bit", |p| p.sq_entries = 1 << 31),
        ("cq_entries, no power of two", |p| p.cq_entries = 768),
        ("cq_entries, too many", |p| p.cq_entries = 32768),
        ("cq_entries < default sq_entries", |p| p.cq_entries = 128),
        ("cq_entries < sq_entries", |p| {
            p.sq_entries = 16;
            p.cq_entries = 8;
        }),
        ("flows, too many", |p| p.flows = 65537),
        ("flows, all ones", |p| p.flows = u32::MAX),
        ("arena_size, below a page", |p| p.arena_size = 100),
        ("arena_size, no multiple of a page", |p| p.arena_size = 4097),
        ("arena_size, too large", |p| {
            p.arena_size = (16 << 20) + 4096
        }),
        ("flow_limit, too large", |p| p.flow_limit = (4 << 20) + 1),
        ("resv[0]", |p| p.resv[0] = 1),
        ("resv[1]", |p| p.resv[1] = 1 << 63),
    ];
    let free = next_fd();
    for (what, set) in invalid {
        let mut params: Params = zeroed();
        set(&mut params);
        let got = setup(&mut params);
        assert_eq!(got, neg(libc::EINVAL), "{what}: {}", show(got));
    }
    assert_eq!(next_fd(), free, "a refusal left a descriptor");
}

fn sizes() {
    let size = size_of::<Params>();
    let mut params: Params = zeroed();
    for short in [0, 8, size - 1] {
        expect_errno!(sys!(SETUP, &mut params, short), libc::EINVAL);
    }

    let len = size_of::<Longer>();
    let mut longer = Longer {
        params: zeroed(),
        rest: [0; 4],
    };
    expect_ok!(sys!(SETUP, &mut longer, len));
    longer.params = zeroed();
    longer.rest[3] = 1;
    expect_errno!(sys!(SETUP, &mut longer, len), libc::E2BIG);
}

/// What a later version of the structure could look like.
#[repr(C)]
struct Longer {
    params: Params,
    rest: [u64; 4],
}

fn bad_pointers() {
    let size = size_of::<Params>();
    let free = next_fd();
    expect_errno!(sys!(SETUP, 0, size), libc::EFAULT);
    expect_errno!(sys!(SETUP, 1, size), libc::EFAULT);
    // Can be read, but what was used cannot be written back.
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let page = expect_ok!(sys!(
        libc::SYS_mmap,
        0,
        PAGE,
        libc::PROT_READ,
        anonymous,
        -1,
        0
    ));
    expect_errno!(sys!(SETUP, page, size), libc::EFAULT);
    assert_eq!(next_fd(), free, "a refusal left a descriptor");
}
