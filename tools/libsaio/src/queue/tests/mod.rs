// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the queue on a kernel for tests: flows and submissions here.

mod calls;
mod random;

use std::fs::File;
use std::io::IoSlice;
use std::net::Shutdown;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::slots::Memory;
use super::*;
use crate::sys::{SAIO_FLOW_FAILED, SAIO_FLOW_FULL, SAIO_FLOW_STALE, SAIO_FLOW_USED};

const ARENA: usize = 16 << 10;
const LIMIT: u32 = 8 << 10;
const ENTRIES: u32 = 16;
const PLACES: u32 = 32;

fn fake() -> (Queue, Arc<Kernel>) {
    Queue::fake(&Options {
        sq_entries: ENTRIES,
        cq_entries: PLACES,
        flows: 4,
        arena_size: ARENA as u32,
        flow_limit: LIMIT,
    })
    .unwrap()
}

/// A queue whose calls are really made.
fn real_calls() -> (Queue, Arc<Kernel>) {
    let (queue, kernel) = fake();
    // SAFETY: what a queue publishes is good for it, that is what the tests are about.
    unsafe { kernel.run_calls() };
    (queue, kernel)
}

/// Any descriptor will do for a flow of the fake.
fn register(queue: &mut Queue) -> Flow {
    queue.register(&std::io::stdin()).unwrap()
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

fn granules(queue: &Queue) -> usize {
    queue.arena.available()
}

/// Completions as tag and result.
fn done(queue: &mut Queue) -> Vec<(u64, Result<usize, i32>)> {
    queue
        .completions()
        .map(|done| {
            let result = done.result.map_err(|error| error.raw_os_error().unwrap());
            (done.tag, result)
        })
        .collect()
}

#[test]
fn bytes_leave_and_room_comes_back() {
    let (mut queue, kernel) = fake();
    let free = granules(&queue);
    let flow = register(&mut queue);
    assert_eq!(queue.send(flow, b"one ", 1).unwrap(), 4);
    let two = [IoSlice::new(b"t"), IoSlice::new(b""), IoSlice::new(b"wo")];
    let quiet = Entry::new(2).quiet();
    assert_eq!(queue.send_vectored(flow, &two, quiet).unwrap(), 3);
    assert_eq!(queue.send(flow, b"", 3).unwrap(), 0);
    assert_eq!(queue.pending(), 2);
    assert!(queue.next_completion().is_none());
    assert_eq!(queue.submit().unwrap(), 2);
    assert_eq!(done(&mut queue), [(1, Ok(4))]);
    assert_eq!(kernel.sent(0), b"one two");
    assert_eq!(granules(&queue), free);
    assert_eq!(queue.room(), ENTRIES as usize);
}

#[test]
fn long_send_is_short() {
    let (mut queue, _kernel) = fake();
    let flow = register(&mut queue);
    let bytes = vec![7; MAX_SEND + 1];
    // The arena is smaller than what one send may be.
    assert_eq!(queue.send(flow, &bytes, 1).unwrap(), ARENA);
    // The limit of the flow is passed by no more than one send.
    assert_eq!(errno(queue.send(flow, b"x", 2)), libc::ENOBUFS);
    queue.submit().unwrap();
    assert_eq!(done(&mut queue), [(1, Ok(ARENA))]);
    assert_eq!(queue.send(flow, b"x", 3).unwrap(), 1);
    // What is left, not all.
    let n = queue.send(flow, &bytes[..ARENA], 4).unwrap();
    assert_eq!(n, ARENA / 2);
}

#[test]
fn arena_of_others_is_no_reason_to_wait_for_this_flow() {
    let (mut queue, _kernel) = fake();
    let (slow, other) = (register(&mut queue), register(&mut queue));
    while queue.send(slow, &[0; 4096], 1).is_ok() {}
    while queue.arena.alloc(1).is_some() {}
    assert_eq!(errno(queue.send(other, b"x", 1)), libc::ENOBUFS);
    let option = FlowOption::Cork(true);
    assert_eq!(errno(queue.set_option(other, option, 1)), libc::ENOBUFS);
}

#[test]
fn status_word_says_what_can_be_sent() {
    let (mut queue, kernel) = fake();
    let flow = register(&mut queue);
    for (bits, health, refusal) in [
        (SAIO_FLOW_FULL, Health::Full, libc::EAGAIN),
        (SAIO_FLOW_STALE, Health::Gone, libc::EBADF),
        (SAIO_FLOW_FAILED, Health::Failed, libc::ECONNABORTED),
    ] {
        kernel.set_flow_word(0, 1 << 16 | SAIO_FLOW_USED | bits);
        assert_eq!(queue.health(flow), health);
        assert_eq!(errno(queue.send(flow, b"x", 1)), refusal);
        let shut = queue.shutdown(flow, Shutdown::Write, 2);
        // The end of the write side may wait behind what waits.
        assert_eq!(shut.is_ok(), health == Health::Full);
    }
    kernel.set_flow_word(0, 1 << 16 | SAIO_FLOW_USED);
    assert_eq!(queue.health(flow), Health::Usable);
    queue.send(flow, b"x", 1).unwrap();
}

#[test]
fn old_and_foreign_flows_are_refused() {
    let (mut queue, _kernel) = fake();
    let (mut other, _other_kernel) = fake();
    let flow = register(&mut queue);
    register(&mut other);
    assert_eq!(errno(other.send(flow, b"x", 1)), libc::EINVAL);
    assert_eq!(errno(other.unregister(flow)), libc::EINVAL);
    assert_eq!(other.health(flow), Health::Gone);
    assert_eq!(queue.flow(flow.raw()), flow);

    queue.unregister(flow).unwrap();
    assert_eq!(errno(queue.unregister(flow)), libc::EBADF);
    assert_eq!(errno(queue.send(flow, b"x", 1)), libc::EBADF);
    let again = register(&mut queue);
    assert_ne!(again, flow);
    assert_eq!(queue.health(flow), Health::Gone);
    assert_eq!(queue.health(again), Health::Usable);
    assert_eq!(queue.health(queue.flow(u32::MAX)), Health::Gone);
}

#[test]
fn flows_run_out() {
    let (mut queue, _kernel) = fake();
    for _ in 0..4 {
        register(&mut queue);
    }
    assert_eq!(errno(queue.register(&std::io::stdin())), libc::ENOSPC);
}

#[test]
fn entries_run_out_and_come_back() {
    let (mut queue, kernel) = fake();
    let flow = register(&mut queue);
    let free = granules(&queue);
    for i in 0..ENTRIES {
        queue.send(flow, b"x", u64::from(i)).unwrap();
    }
    assert_eq!(queue.room(), 0);
    assert_eq!(errno(queue.send(flow, b"x", 99)), libc::ENOBUFS);
    assert_eq!(granules(&queue), free - ENTRIES as usize);
    queue.submit().unwrap();
    for i in 0..ENTRIES {
        queue.send(flow, b"x", u64::from(i)).unwrap();
    }
    queue.submit().unwrap();
    // All places are taken up by completions that nobody has taken: the kernel never has to stop.
    assert_eq!((queue.room(), queue.pending()), (0, 0));
    let refused = queue.push(Call::sync(Rc::new(std::io::stdin())), 7);
    assert_eq!(
        refused.unwrap_err().error.raw_os_error(),
        Some(libc::ENOBUFS)
    );
    assert_eq!(done(&mut queue).len(), PLACES as usize);
    assert_eq!(granules(&queue), free);
    assert_eq!(kernel.sent(0).len(), PLACES as usize);
}

#[test]
fn options_are_those_of_the_socket() {
    let (mut queue, kernel) = fake();
    let free = granules(&queue);
    let flow = register(&mut queue);
    queue.set_option(flow, FlowOption::Cork(true), 1).unwrap();
    queue.submit().unwrap();
    assert!(kernel.socket(0).corked);
    let linger = FlowOption::Linger(Some(Duration::from_secs(3)));
    queue.set_option(flow, linger, 2).unwrap();
    queue.submit().unwrap();
    let ran = kernel.ran();
    assert_eq!(ran[0].args[1..3], [6, 3]);
    assert_eq!(ran[1].args[1..3], [1, 13]);
    assert_eq!(ran[1].args[4], 8);
    assert_eq!(done(&mut queue).len(), 2);
    assert_eq!(granules(&queue), free);
    let long = queue.set_raw_option(flow, 6, 3, &[0; 17], 1);
    assert_eq!(errno(long), libc::EINVAL);
}

#[test]
fn file_stays_open_until_it_is_sent() {
    let (mut queue, kernel) = fake();
    let flow = register(&mut queue);
    let file = Rc::new(File::open("/dev/null").unwrap());
    queue.send(flow, b"head", Entry::new(1).quiet()).unwrap();
    queue.send_file(flow, &file, 5, 100, 2).unwrap();
    assert_eq!(Rc::strong_count(&file), 2);
    queue.submit().unwrap();
    assert_eq!(done(&mut queue), [(2, Ok(100))]);
    assert_eq!(Rc::strong_count(&file), 1);
    assert_eq!(kernel.ran()[1].args[2..4], [5, 100]);
    for (offset, len) in [(0, 0x7fff_f001), (i64::MAX as u64, 1), (u64::MAX, 0)] {
        let refused = queue.send_file(flow, &file, offset, len, 3);
        assert_eq!(errno(refused), libc::EINVAL);
    }
}

#[test]
fn interrupted_batch_is_resumed() {
    let (mut queue, kernel) = fake();
    let file = Rc::new(File::open("/dev/null").unwrap());
    for i in 0..4 {
        queue.push(Call::sync(&file), i).unwrap();
    }
    kernel.interrupt(2);
    // A signal ends a call in the middle; the next one takes the rest.
    assert_eq!(queue.submit().unwrap(), 4);
    assert_eq!(done(&mut queue).len(), 4);

    queue.push(Call::sync(&file), 5).unwrap();
    kernel.interrupt(0);
    assert_eq!(errno(queue.submit()), libc::EINTR);
    assert_eq!(queue.pending(), 1);
    assert_eq!(queue.submit().unwrap(), 1);
    kernel.refuse(libc::ETIME);
    let waited = queue.submit_and_wait(9, Some(Duration::from_millis(1)));
    assert_eq!(errno(waited), libc::ETIME);
}

#[test]
fn what_others_put_aside_runs_with_the_next_submission() {
    let (mut queue, kernel) = fake();
    let flow = register(&mut queue);
    let file = Rc::new(File::open("/dev/null").unwrap());
    queue.push(Call::sync(&file), 1).unwrap();
    queue.send(flow, b"x", 2).unwrap();
    // A hook of the kernel, because of a close, say.
    assert_eq!(kernel.take(2), 2);
    assert_eq!(queue.pending(), 0);
    assert_eq!(queue.submit().unwrap(), 0);
    assert_eq!(done(&mut queue), [(1, Ok(0))]);
    // Nothing is left to cross for.
    kernel.refuse(libc::EIO);
    assert_eq!(queue.submit().unwrap(), 0);
}

#[test]
fn with_a_pool_flows_need_no_crossing() {
    let (mut queue, kernel) = fake();
    let flow = register(&mut queue);
    queue.served = true;
    kernel.look();
    queue.send(flow, b"x", 1).unwrap();
    kernel.refuse(libc::EIO);
    assert_eq!(queue.submit().unwrap(), 0);
    assert_eq!(kernel.take(1), 1);
    kernel.work(1);
    assert_eq!(done(&mut queue), [(1, Ok(1))]);
    // A link, an ordinary call or a pool that sleeps does need one.
    queue.send(flow, b"y", Entry::new(2).link()).unwrap();
    assert_eq!(errno(queue.submit()), libc::EIO);
    assert_eq!(queue.submit().unwrap(), 1);
    kernel.doze();
    queue.send(flow, b"z", 3).unwrap();
    assert_eq!(queue.submit().unwrap(), 1);
}

#[test]
fn promise_in_a_chain_is_kept() {
    let (mut queue, kernel) = fake();
    let flow = register(&mut queue);
    queue.send(flow, b"one ", Entry::new(1).link()).unwrap();
    queue.send(flow, b"two", 2).unwrap();
    drop(queue);
    assert_eq!(kernel.sent(0), b"one two");

    // Calls alone are dropped.
    let (mut queue, kernel) = fake();
    let file = Rc::new(File::open("/dev/null").unwrap());
    queue.push(Call::sync(&file), Entry::new(1).link()).unwrap();
    queue.push(Call::sync(&file), 2).unwrap();
    drop(queue);
    assert_eq!(kernel.ran().len(), 0);
    assert_eq!(Rc::strong_count(&file), 1);
}
