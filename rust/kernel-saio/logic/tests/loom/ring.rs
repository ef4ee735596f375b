// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The index protocol of the two queues.

use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc,
    },
    thread,
};
use saio_logic::ring::{prepare_sleep, Consumer, Poster, Producer, Reader};

const ENTRIES: u32 = 2;
const N: u32 = 3;

#[derive(Default)]
struct Shared {
    head: AtomicU32,
    tail: AtomicU32,
    flags: AtomicU32,
    /// Loom reports a slot that is written while it is read.
    slots: [UnsafeCell<u32>; ENTRIES as usize],
}

/// Entries arrive whole and in order; no slot is reused before it was copied.
#[test]
fn entries_arrive_whole_and_in_order() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let user = thread::spawn({
            let s = shared.clone();
            move || {
                let mut producer = Producer::new(ENTRIES);
                for i in 1..=N {
                    let slot = loop {
                        match producer.slot(&s.head) {
                            Some(slot) => break slot,
                            None => thread::yield_now(),
                        }
                    };
                    s.slots[slot as usize].with_mut(|p| unsafe { *p = i });
                    producer.publish(&s.tail);
                }
            }
        });
        let mut consumer = Consumer::new(ENTRIES);
        for want in 1..=N {
            while consumer.available(&shared.tail) == Ok(0) {
                thread::yield_now();
            }
            shared.slots[consumer.slot() as usize].with(|p| assert_eq!(unsafe { *p }, want));
            consumer.advance(&shared.head);
        }
        user.join().unwrap();
    });
}

/// Completions arrive whole, and a reservation is never given for a slot that is still unread.
#[test]
fn completions_arrive_whole() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let kernel = thread::spawn({
            let s = shared.clone();
            move || {
                let mut poster = Poster::new(ENTRIES);
                for i in 1..=N {
                    while poster.reserve(1, &s.head) == 0 {
                        thread::yield_now();
                    }
                    s.slots[poster.slot() as usize].with_mut(|p| unsafe { *p = i });
                    poster.post(&s.tail);
                }
            }
        });
        let mut reader = Reader::new(ENTRIES);
        for want in 1..=N {
            let slot = loop {
                match reader.slot(&shared.tail) {
                    Some(slot) => break slot,
                    None => thread::yield_now(),
                }
            };
            shared.slots[slot as usize].with(|p| assert_eq!(unsafe { *p }, want));
            reader.advance(&shared.head);
        }
        kernel.join().unwrap();
    });
}

/// The wake-up race: a server of the queue that goes to sleep, and a user that publishes and looks
/// whether it sleeps. Never both: an entry published, nobody awake, and no wake-up call made.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let woken = Arc::new(AtomicBool::new(false));
        let user = thread::spawn({
            let (s, woken) = (shared.clone(), woken.clone());
            move || {
                let mut producer = Producer::new(ENTRIES);
                producer.slot(&s.head).unwrap();
                producer.publish(&s.tail);
                if Producer::need_wakeup(&s.flags) {
                    woken.store(true, Ordering::SeqCst);
                }
            }
        });
        let consumer = Consumer::new(ENTRIES);
        let sleeps = prepare_sleep(&shared.flags, &shared.tail, consumer.head());
        user.join().unwrap();
        if sleeps {
            let published = consumer.available(&shared.tail) == Ok(1);
            assert!(
                !published || woken.load(Ordering::SeqCst),
                "asleep beside a published entry"
            );
        } else {
            let flags = shared.flags.load(Ordering::Relaxed);
            assert_eq!(flags, 0, "awake, and asks to be woken");
        }
    });
}
