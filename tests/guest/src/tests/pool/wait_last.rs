// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: waiting with a signal mask as the last entry of a batch works while threads take the
//! flow entries before it: the wait is never refused, lets the signal in, puts the mask back, and no
//! entry is lost.

use crate::harness::*;

const ROUNDS: usize = 200;
const PARTS: usize = 3;
const LEN: usize = 50;

pub fn run() {
    let _pool = Pool::new("wait", |p| p.workers(2).idle_us(20_000));
    let mut flow = Flow::on(RawRing::pooled("wait"), tcp_pair(0, 0));
    let bytes = pattern(1, PARTS * LEN);
    flow.ring.fill_arena(0, &bytes);
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let mut events: [libc::epoll_event; 1] = [zeroed()];
    let out = events.as_mut_ptr();

    count_signal(libc::SIGUSR1, 0);
    let blocked = mask_of(libc::SIGUSR1);
    change_mask(libc::SIG_BLOCK, blocked);
    let open = 0u64;
    let size = size_of::<u64>();
    let me = std::process::id();
    for round in 0..ROUNDS {
        for part in 0..PARTS {
            let entry = flow.write(part * LEN, LEN);
            flow.ring.push(entry.data(part as u64));
        }
        let wait = sqe!(libc::SYS_epoll_pwait, epoll, out, 1, -1, &open, size);
        flow.ring.push(wait.data(PARTS as u64));
        flow.ring.publish();
        // Every other time threads get at the entries before the owner does.
        if round % 2 == 0 {
            flow.ring.wake_if_needed();
        }
        expect_ok!(sys!(libc::SYS_kill, me, libc::SIGUSR1));
        let taken = expect_ok!(flow.ring.enter(PARTS as u32 + 1, 0));
        assert!((1..=PARTS as i64 + 1).contains(&taken), "{taken} taken");
        assert_eq!(signals_seen() as usize, round + 1, "the mask let it in");
        assert_eq!(current_mask() & blocked, blocked, "the mask is back");
        expect_bytes(flow.peer, &bytes);
        eventually("all complete", || flow.ring.unread() as usize == PARTS + 1);
        let sent = LEN as i64;
        let results = in_order(flow.ring.reap());
        expect_results(&results, &[sent, sent, sent, neg(libc::EINTR)]);
    }
    let info = flow.ring.info();
    assert_eq!(info.number("pooled"), (ROUNDS * PARTS) as u64);
    assert_eq!(info.number("calls"), ROUNDS as u64);
}
