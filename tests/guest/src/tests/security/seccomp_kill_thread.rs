// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: if a filter kills the thread of an entry alone, the thread ends and with it its ring,
//! nothing behind the entry runs, and the other threads of the process go on. An entry that was handed
//! over by a hook, which cannot end a thread, ends the process.

use crate::harness::*;
use std::{
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
    thread,
};

/// How the thread meets the entry that kills it.
#[derive(Clone, Copy, Debug)]
enum Way {
    Ordinary,
    Flow,
    Pool,
}

pub fn run() {
    let _pool = Pool::new("thread", |p| p);
    for way in [Way::Ordinary, Way::Flow, Way::Pool] {
        in_child(|| others_go_on(way));
        assert!(exists("before") && !exists("behind"), "{way:?}");
        std::fs::remove_dir("before").expect("it was just there");
    }
    for joined in [false, true] {
        let exit = child(|| by_hook(joined)).wait();
        assert_eq!(exit, Exit::Signal(libc::SIGSYS), "joined: {joined}");
    }
}

static THREAD: AtomicI32 = AtomicI32::new(0);
static RING: AtomicI32 = AtomicI32::new(0);
static LIVES: AtomicBool = AtomicBool::new(false);

fn kill_sendto() {
    let kill = libc::SECCOMP_RET_KILL_THREAD;
    install_filter(&[
        Rule::new(libc::SYS_sendto, kill),
        Rule::new(libc::SYS_getppid, kill),
    ]);
}

fn send(flow: &Flow) -> Sqe {
    sqe!(libc::SYS_sendto, flow.target(), 0, 4, 0).on_flow()
}

fn others_go_on(way: Way) {
    let pair = tcp_pair(0, 0);
    thread::spawn(move || {
        let ring = match way {
            Way::Pool => RawRing::pooled("thread"),
            _ => flow_ring(),
        };
        let mut flow = Flow::on(ring, pair);
        flow.ring.fill_arena(0, b"text");
        kill_sendto();
        RING.store(flow.ring.fd, Ordering::SeqCst);
        THREAD.store(sys!(libc::SYS_gettid) as i32, Ordering::SeqCst);
        let judged = match way {
            Way::Ordinary => sqe!(libc::SYS_getppid),
            _ => send(&flow),
        };
        let make = |name: &'static std::ffi::CStr| sqe!(libc::SYS_mkdir, name.as_ptr(), 0o755);
        flow.ring
            .submit(&[make(c"before"), judged, make(c"behind")]);
        LIVES.store(true, Ordering::SeqCst);
    });
    eventually("the thread meets its filter", || {
        THREAD.load(Ordering::SeqCst) != 0
    });
    let gone = format!("/proc/self/task/{}", THREAD.load(Ordering::SeqCst));
    eventually("the thread ends", || !exists(&gone));
    assert!(!LIVES.load(Ordering::SeqCst), "the entry did not kill");

    expect_errno!(
        sys!(ENTER, RING.load(Ordering::SeqCst), 1, 0, 0, 0, 0),
        libc::EPERM
    );
    match way {
        Way::Ordinary => write_all(pair.ours, b"after"),
        _ => assert!(expect_reset(pair.peer).is_empty()),
    }
    if let Way::Ordinary = way {
        expect_bytes(pair.peer, b"after");
    }
    expect_alive(&mut RawRing::new());
}

/// `joined`: the entry that kills is a file that goes behind bytes in one message.
fn by_hook(joined: bool) {
    set_limit(libc::RLIMIT_CORE, 0);
    thread::spawn(move || {
        let mut flow = Flow::on(flow_ring(), tcp_pair(0, 0));
        let spare = fd(sys!(libc::SYS_dup, 2));
        if joined {
            let source = file("source", b"file");
            let kill = libc::SECCOMP_RET_KILL_THREAD;
            install_filter(&[Rule::new(libc::SYS_sendfile, kill)]);
            flow.ring.push(flow.write(0, 4));
            flow.ring.push(flow.sendfile(source, 0, 4));
        } else {
            kill_sendto();
            flow.ring.push(send(&flow));
        }
        flow.ring.publish();
        sys!(libc::SYS_close, spare);
    });
    wait_for_death();
}
