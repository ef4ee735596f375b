// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a tracer sees `saio_enter` as any other call, and nothing of the entries: it stops
//! before and behind it, knows its number and its result, and can have it skipped, which leaves what is
//! published as it is. One that seizes and interrupts a task that waits there gets it, and lets it go on.

use crate::harness::*;

/// What stops a task at a system call adds to SIGTRAP.
const AT_SYSCALL: i32 = 0x80;
/// Where the number of the call stands in `struct user`.
const ORIG_RAX: usize = 15 * 8;

pub fn run() {
    calls();
    interrupted();
}

/// A call that a tracer has seen.
#[derive(Debug, PartialEq)]
struct Seen {
    nr: i64,
    result: i64,
}

fn trace(request: u32, pid: i32, address: usize, data: usize) -> i64 {
    sys!(libc::SYS_ptrace, request, pid, address, data)
}

/// Waits until the child stops or ends; its status.
fn next_status(pid: i32) -> i32 {
    let mut status = 0;
    let got = sys!(libc::SYS_wait4, pid, &mut status, libc::__WALL, 0);
    assert_eq!(got, i64::from(pid));
    status
}

fn calls() {
    let make = |name: &'static std::ffi::CStr| sqe!(libc::SYS_mkdir, name.as_ptr(), 0o755);
    let child = child(|| {
        let mut ring = RawRing::new();
        ring.push(make(c"made"));
        ring.push(sqe!(libc::SYS_close, -1));
        ring.push(sqe!(libc::SYS_getuid));
        ring.publish();
        expect_ok!(trace(libc::PTRACE_TRACEME, 0, 0, 0));
        expect_ok!(sys!(libc::SYS_kill, std::process::id(), libc::SIGSTOP));
        let skipped = sys!(ENTER, ring.fd, 3, 0, 0, 0, 0);
        let queued = ring.queued();
        let entered = sys!(ENTER, ring.fd, 3, 0, 0, 0, 0);
        assert_eq!((skipped, queued, entered), (neg(libc::ENOSYS), 3, 3));
        expect_results(&in_order(ring.reap()), &[0, neg(libc::EBADF), 0]);
    });
    let status = next_status(child.pid);
    assert!(libc::WIFSTOPPED(status), "{status:#x}");
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
    expect_ok!(trace(
        libc::PTRACE_SETOPTIONS,
        child.pid,
        0,
        options as usize
    ));

    let mut seen: Vec<Seen> = Vec::new();
    let mut nr = 0;
    let status = loop {
        expect_ok!(trace(libc::PTRACE_SYSCALL, child.pid, 0, 0));
        let status = next_status(child.pid);
        if !libc::WIFSTOPPED(status) {
            break status;
        }
        assert_eq!(libc::WSTOPSIG(status), libc::SIGTRAP | AT_SYSCALL);
        let mut info: libc::ptrace_syscall_info = zeroed();
        let (size, at) = (size_of_val(&info), &raw mut info);
        let request = libc::PTRACE_GET_SYSCALL_INFO;
        expect_ok!(trace(request, child.pid, size, at as usize));
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            // SAFETY: the kernel says that this one is filled in.
            nr = unsafe { info.u.entry.nr } as i64;
            if nr == ENTER && !seen.iter().any(|seen| seen.nr == ENTER) {
                expect_ok!(trace(
                    libc::PTRACE_POKEUSER,
                    child.pid,
                    ORIG_RAX,
                    usize::MAX
                ));
            }
        } else {
            // SAFETY: as above.
            let result = unsafe { info.u.exit.sval };
            seen.push(Seen { nr, result });
        }
    };
    let exit = Exit::of_wait_status(status);
    assert_eq!(exit, Exit::Status(0), "{seen:?}");
    let first = seen.iter().position(|seen| seen.nr == ENTER);
    let first = first.expect("the tracer sees the call");
    let want = [neg(libc::ENOSYS), 3].map(|result| Seen { nr: ENTER, result });
    assert_eq!(seen[first..first + 2], want);
    let of_entries = [libc::SYS_mkdir, libc::SYS_getuid];
    assert!(
        !seen.iter().any(|seen| of_entries.contains(&seen.nr)),
        "{seen:?}"
    );
    assert!(exists("made"));
}

fn interrupted() {
    let tight = tcp_pair(SMALL, SMALL);
    let is_parked = Gate::new();
    let child = child(|| {
        let mut flow = Flow::on(flow_ring(), tight);
        flow.park();
        is_parked.open();
        // As a stop and a continue do it to `epoll_wait`.
        expect_errno!(flow.ring.enter(0, 2), libc::EINTR);
        let all = [CHUNK as i64; 2];
        expect_results(&in_order(flow.ring.wait(2)), &all);
    });
    is_parked.pass();
    let waits = || {
        let at = std::fs::read_to_string(format!("/proc/{}/syscall", child.pid));
        at.is_ok_and(|text| text.starts_with(&format!("{ENTER} ")))
    };
    eventually("it waits in saio_enter", waits);
    expect_ok!(trace(libc::PTRACE_SEIZE, child.pid, 0, 0));
    expect_ok!(trace(libc::PTRACE_INTERRUPT, child.pid, 0, 0));
    let status = next_status(child.pid);
    assert_eq!(status >> 16, libc::PTRACE_EVENT_STOP, "{status:#x}");
    expect_ok!(trace(libc::PTRACE_DETACH, child.pid, 0, 0));
    eventually("it waits again", waits);
    expect_bytes(tight.peer, &park_bytes());
    assert_eq!(child.wait(), Exit::Status(0));
}
