// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: orphans of a user are limited, in number and in bytes of the arena. The one that
//! passes a limit is reset at once, those before it are not touched, nor is one of another user;
//! when one has left there is room for another.

use crate::harness::*;
use std::time::Duration;

/// Most orphans of a user.
const MOST: usize = 4096;
/// Most bytes of the arena that those may hold.
const MOST_BYTES: usize = 64 << 20;

/// Buffers of thousands of connections, which would fill the kernel's memory for TCP otherwise.
const TINY: i32 = 2 << 10;
/// Longer than such a connection can hold.
const TINY_CHUNK: usize = 64 << 10;
/// Has no orphans.
const USER: u32 = 1001;
/// The largest flow limit.
const PART: usize = 4 << 20;

pub fn number() {
    // Both ends of each connection are open at one time.
    let files = 2 * MOST as u64 + 1024;
    let limit = libc::rlimit {
        rlim_cur: files,
        rlim_max: files,
    };
    expect_ok!(sys!(libc::SYS_setrlimit, libc::RLIMIT_NOFILE, &limit));
    let ring = RawRing::with(|p| {
        p.cq_entries = 2 * MOST as u32;
        p.flows = MOST as u32 + 2;
    });
    // Of a file, so that the other limit is out of sight.
    let bytes = pattern(11, TINY_CHUNK);
    let source = file("body", &bytes);
    let entry = Entry {
        sqe: sqe!(libc::SYS_sendfile, 0, source, 0, bytes.len()),
        bytes: &bytes,
    };
    expect_limit(ring, TINY, &vec![entry; MOST], entry);
}

pub fn bytes() {
    let bytes = pattern(12, PART);
    let ring = RawRing::with(|p| {
        p.arena_size = PART as u32;
        p.flow_limit = PART as u32;
    });
    ring.fill_arena(0, &bytes);
    let of_arena = |len: usize| Entry {
        sqe: sqe!(libc::SYS_write, 0, 0, len),
        bytes: &bytes[..len],
    };
    let mut allowed = vec![of_arena(PART); MOST_BYTES / PART];
    // A file's bytes take up nothing.
    let source = file("body", &bytes[..CHUNK]);
    allowed.push(Entry {
        sqe: sqe!(libc::SYS_sendfile, 0, source, 0, CHUNK),
        bytes: &bytes[..CHUNK],
    });
    expect_limit(ring, SMALL, &allowed, of_arena(CHUNK));
}

/// What a flow is to hold, and its peer to get.
#[derive(Clone, Copy)]
struct Entry<'a> {
    /// Names no flow yet.
    sqe: Sqe,
    bytes: &'a [u8],
}

/// One of many flows of a ring.
struct Member<'a> {
    flow: u32,
    ends: Pair,
    bytes: &'a [u8],
}

/// Orphans that hold the entries `allowed` must be as much as there may be, and `another` one
/// too many. `buffers` is the size of the sockets' buffers.
fn expect_limit(mut ring: RawRing, buffers: i32, allowed: &[Entry], another: Entry) {
    let files = Usage::now().files;
    let listener = Listener::new(1);
    let mut park = |entry| parked_flow(&mut ring, listener.pair(buffers, buffers), entry);
    let kept: Vec<Member> = allowed.iter().map(|entry| park(*entry)).collect();
    let refused = park(another);
    let admitted = park(another);

    // One right after the other: none may wait so long that it is reset for that.
    for member in kept.iter().chain([&refused]) {
        close(member.ends.ours);
    }
    let got = expect_reset(refused.ends.peer);
    assert!(got.len() <= refused.bytes.len());
    expect_same(&got, &refused.bytes[..got.len()]);
    // From here on it does not count any more.
    eventually("the flow ends", || !used(&ring, &refused));
    assert_eq!(resets(&kept), 0, "orphans within the limit were reset");
    // Who may not use the pool is no other than who may.
    if in_pool().is_none() {
        in_child(|| another_user(buffers, another));
    }

    let first = &kept[0];
    expect_bytes(first.ends.peer, first.bytes);
    expect_eof(first.ends.peer);
    close(admitted.ends.ours);
    std::thread::sleep(Duration::from_millis(200));
    expect_bytes(admitted.ends.peer, admitted.bytes);
    expect_eof(admitted.ends.peer);
    assert_eq!(resets(&kept), 0, "orphans within the limit were reset");

    // Later tests are to find no orphans: those that are left end with their peers.
    let all: Vec<Member> = kept.into_iter().chain([refused, admitted]).collect();
    for member in &all {
        close(member.ends.peer);
    }
    within(60, "every flow ends", || {
        all.iter().all(|member| !used(&ring, member))
    });
    within(60, "sockets of orphans are released", || {
        // The kernel counts for each CPU, and sums up roughly.
        Usage::now().files <= files + 256
    });
}

/// Another user's orphan has its own count.
fn another_user(buffers: i32, entry: Entry) {
    become_user(USER, USER, &[]);
    let mut ring = RawRing::with(|p| p.arena_size = entry.bytes.len().next_power_of_two() as u32);
    ring.fill_arena(0, entry.bytes);
    let listener = Listener::new(1);
    let member = parked_flow(&mut ring, listener.pair(buffers, buffers), entry);
    close(member.ends.ours);
    std::thread::sleep(Duration::from_millis(200));
    expect_bytes(member.ends.peer, member.bytes);
    expect_eof(member.ends.peer);
}

/// Makes a flow that holds this entry and waits for its peer.
#[track_caller]
fn parked_flow<'a>(ring: &mut RawRing, ends: Pair, entry: Entry<'a>) -> Member<'a> {
    let flow = ring.register(ends.ours);
    let mut sqe = entry.sqe.on_flow();
    sqe.args[0] = target(flow, ends.ours);
    assert_eq!(ring.submit(&[sqe]), 1, "the entry is taken");
    let full = || ring.status(flow) & FLOW_FULL != 0;
    if in_pool().is_some() {
        eventually("the flow is full", full);
    }
    assert!(full(), "status {:#x}", ring.status(flow));
    Member {
        flow,
        ends,
        bytes: entry.bytes,
    }
}

fn used(ring: &RawRing, member: &Member) -> bool {
    ring.status(member.flow) & FLOW_USED != 0
}

/// How many of the peers see a reset.
fn resets(members: &[Member]) -> usize {
    let mut items: Vec<libc::pollfd> = members
        .iter()
        .map(|member| libc::pollfd {
            fd: member.ends.peer,
            events: 0,
            revents: 0,
        })
        .collect();
    expect_ok!(sys!(libc::SYS_poll, items.as_mut_ptr(), items.len(), 0)) as usize
}

#[track_caller]
fn close(number: i32) {
    expect_ok!(sys!(libc::SYS_close, number));
}
