// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: `saio_enter` takes what it is asked to or what is published, whichever is less,
//! in order, each entry once, also after the indices have gone around the queue.

use crate::harness::*;

pub fn run() {
    let mut ring = RawRing::with(|p| p.sq_entries = 8);
    for number in 0..5 {
        ring.push(sqe!(libc::SYS_getpid).data(number));
    }
    assert_eq!(ring.enter(5, 0), 0, "nothing is published");
    ring.publish();
    assert_eq!(ring.enter(2, 0), 2);
    assert_eq!(numbers(&mut ring), [0, 1]);
    assert_eq!(ring.enter(0, 0), 0);
    assert_eq!(ring.enter(100, 0), 3, "more asked for than published");
    assert_eq!(numbers(&mut ring), [2, 3, 4]);
    assert_eq!(ring.enter(8, 0), 0);

    let mut rng = Rng::new(1);
    let mut next = 0;
    for _ in 0..1000 {
        let count = 1 + rng.below(8) as u64;
        for number in next..next + count {
            ring.push(sqe!(libc::SYS_getppid).data(number));
        }
        ring.publish();
        let first = rng.below(count as usize + 1) as u32;
        let rest = count as u32 - first;
        assert_eq!(ring.enter(first, 0), i64::from(first));
        assert_eq!(ring.enter(u32::MAX, 0), i64::from(rest));
        let expected: Vec<u64> = (next..next + count).collect();
        assert_eq!(numbers(&mut ring), expected);
        next += count;
    }
}

fn numbers(ring: &mut RawRing) -> Vec<u64> {
    ring.reap().iter().map(|cqe| cqe.user_data).collect()
}
