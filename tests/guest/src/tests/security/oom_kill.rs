// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: an owner that is killed because its control group has no more memory leaves nothing
//! behind and holds nobody up: what was parked on a flow leaves, as does what was published, and then
//! the connections end.

use crate::harness::*;

const LIMIT: u64 = 24 << 20;
/// More than the limit.
const TOO_MUCH: usize = 64 << 20;

pub fn run() {
    let group = Cgroup::new("memory");
    group.write("memory.max", &LIMIT.to_string());
    for _ in 0..3 {
        killed(&group);
    }
}

fn killed(group: &Cgroup) {
    let listener = Listener::new(8);
    let [tight, roomy] = [SMALL, 0].map(|size| listener.peer(size));
    let kills = group.counter("memory.events", "oom_kill");
    let child = child(|| {
        group.enter();
        // The sockets are the group's as well.
        let ours = listener.accept();
        set_option(ours, libc::SOL_SOCKET, libc::SO_SNDBUF, SMALL);
        let mut flow = Flow::on(flow_ring(), Pair { ours, peer: tight });
        let other = listener.accept();
        let other = target(flow.ring.register(other), other);
        flow.park();
        flow.ring.fill_arena(SPARE, b"text");
        for _ in 0..3 {
            flow.ring
                .push(sqe!(libc::SYS_write, other, SPARE, 4).on_flow());
        }
        flow.ring.publish();
        use_memory();
    });
    assert_eq!(child.wait(), Exit::Signal(libc::SIGKILL));
    assert_eq!(group.counter("memory.events", "oom_kill"), kills + 1);
    expect_bytes(roomy, b"texttexttext");
    expect_eof(roomy);
    expect_bytes(tight, &park_bytes());
    expect_eof(tight);
    eventually("the memory is given back", || {
        group.number("memory.current") < LIMIT / 8
    });
    for end in [listener.socket, tight, roomy] {
        expect_ok!(sys!(libc::SYS_close, end));
    }
}

/// Uses memory until there is no more.
fn use_memory() -> ! {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let base = expect_ok!(sys!(libc::SYS_mmap, 0, TOO_MUCH, access, flags, -1, 0));
    for page in (0..TOO_MUCH).step_by(4096) {
        // SAFETY: the page lies in the mapping, which is nobody else's.
        unsafe { (base as *mut u8).add(page).write_volatile(1) };
    }
    panic!("{TOO_MUCH} bytes were not too much");
}
