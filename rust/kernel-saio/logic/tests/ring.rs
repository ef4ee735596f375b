// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The index protocol against a model, one thread.

#![cfg(not(loom))]

use proptest::prelude::*;
use saio_logic::ring::{Consumer, Impossible, Poster, Producer, Reader};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU32, Ordering},
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Take,
    Reserve,
    Post,
    Cancel,
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{Cancel, Post, Push, Read, Reserve, Take};
    prop::collection::vec(
        prop_oneof![
            4 => Just(Push), 4 => Just(Take), 3 => Just(Reserve),
            3 => Just(Post), 1 => Just(Cancel), 3 => Just(Read),
        ],
        1..400,
    )
}

proptest! {
    /// What is pushed is taken once, in order, and never more than fits.
    #[test]
    fn submission_queue_is_a_bounded_fifo(steps in steps(), log in 0u32..6) {
        let entries = 1 << log;
        let (head, tail) = (AtomicU32::new(0), AtomicU32::new(0));
        let (mut producer, mut consumer) = (Producer::new(entries), Consumer::new(entries));
        let mut slots = vec![0u32; entries as usize];
        let mut model = VecDeque::new();
        let mut next = 0;
        for step in steps {
            match step {
                Step::Push => match producer.slot(&head) {
                    Some(slot) => {
                        prop_assert!(model.len() < entries as usize);
                        slots[slot as usize] = next;
                        producer.publish(&tail);
                        model.push_back(next);
                        next += 1;
                    }
                    None => prop_assert_eq!(model.len(), entries as usize),
                },
                Step::Take => {
                    prop_assert_eq!(consumer.available(&tail), Ok(model.len() as u32));
                    if let Some(want) = model.pop_front() {
                        prop_assert_eq!(slots[consumer.slot() as usize], want);
                        consumer.advance(&head);
                    }
                }
                _ => {}
            }
            prop_assert_eq!(producer.pending(&head), model.len() as u32);
        }
    }

    /// A reserved result always finds room, and every posted one is read once, in order.
    #[test]
    fn completion_queue_never_overflows(steps in steps(), log in 0u32..6) {
        let entries = 1 << log;
        let (head, tail) = (AtomicU32::new(0), AtomicU32::new(0));
        let (mut poster, mut reader) = (Poster::new(entries), Reader::new(entries));
        let mut slots = vec![None; entries as usize];
        let (mut reserved, mut next) = (0, 0u32);
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Reserve => {
                    let room = entries - (model.len() + reserved) as u32;
                    for n in [2, 1] {
                        let got = poster.reserve(n, &head);
                        prop_assert_eq!(got, n.min(room));
                        poster.cancel(got);
                    }
                    reserved += poster.reserve(1, &head) as usize;
                }
                Step::Post if reserved > 0 => {
                    let slot = &mut slots[poster.slot() as usize];
                    prop_assert!(slot.is_none(), "an unread completion is overwritten");
                    *slot = Some(next);
                    poster.post(&tail);
                    model.push_back(next);
                    reserved -= 1;
                    next += 1;
                }
                Step::Cancel if reserved > 0 => {
                    poster.cancel(1);
                    reserved -= 1;
                }
                Step::Read => match reader.slot(&tail) {
                    Some(slot) => {
                        prop_assert_eq!(slots[slot as usize].take(), model.pop_front());
                        reader.advance(&head);
                    }
                    None => prop_assert!(model.is_empty()),
                },
                _ => {}
            }
            prop_assert_eq!(poster.reserved() as usize, reserved);
            prop_assert_eq!(poster.unread(&head) as usize, model.len());
        }
    }

    /// Whatever a hostile reader stores, no more is reserved than there are slots.
    #[test]
    fn senseless_reader_index_is_a_full_queue(heads in prop::collection::vec(any::<u32>(), 1..50)) {
        let (head, tail) = (AtomicU32::new(0), AtomicU32::new(0));
        let mut poster = Poster::new(8);
        for value in heads {
            head.store(value, Ordering::Relaxed);
            prop_assert!(poster.unread(&head) <= 8);
            while poster.reserve(1, &head) == 1 {
                prop_assert!(poster.reserved() <= 8);
                if poster.reserved() == 8 {
                    break;
                }
            }
            while poster.reserved() > 0 {
                prop_assert!(poster.slot() < 8);
                poster.post(&tail);
            }
        }
    }

    /// Whatever a hostile producer stores, no more is available than there are slots.
    #[test]
    fn impossible_tail_is_refused(tail in any::<u32>(), taken in 0u32..20) {
        let (head, shared) = (AtomicU32::new(0), AtomicU32::new(0));
        let mut consumer = Consumer::new(8);
        for _ in 0..taken {
            consumer.advance(&head);
        }
        shared.store(tail, Ordering::Relaxed);
        let ahead = tail.wrapping_sub(taken);
        let want = if ahead <= 8 { Ok(ahead) } else { Err(Impossible) };
        prop_assert_eq!(consumer.available(&shared), want);
    }
}

/// Indices wrap at 2^32 without a seam.
#[test]
fn indices_wrap() {
    let (head, tail) = (AtomicU32::new(0), AtomicU32::new(0));
    let (mut producer, mut consumer) = (Producer::new(4), Consumer::new(4));
    // Four thousand million steps would take a minute; run to the seam from both sides instead,
    // the way `wrapping_add` sees it: the difference is all that counts.
    for i in 0..100_000u32 {
        assert_eq!(producer.slot(&head), Some(i & 3));
        producer.publish(&tail);
        assert_eq!(consumer.available(&tail), Ok(1));
        consumer.advance(&head);
    }
    assert_eq!(u32::MAX.wrapping_add(3).wrapping_sub(u32::MAX), 3);
}
