// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random orders of what a program, the pool and signals do.

use proptest::prelude::*;

use super::*;

/// What a program may do next.
#[derive(Clone, Debug)]
enum Step {
    Send(usize, usize),
    Option(usize),
    Call,
    Submit,
    Reap(usize),
    Take(u32),
    Work(u32),
    Look(bool),
    Interrupt(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..3, 0usize..3000).prop_map(|(flow, len)| Step::Send(flow, len)),
        1 => (0usize..3).prop_map(Step::Option),
        1 => Just(Step::Call),
        2 => Just(Step::Submit),
        2 => (0usize..10).prop_map(Step::Reap),
        2 => (0u32..10).prop_map(Step::Take),
        2 => (0u32..10).prop_map(Step::Work),
        1 => any::<bool>().prop_map(Step::Look),
        1 => (0u32..5).prop_map(Step::Interrupt),
    ]
}

proptest! {
    /// Whoever takes and runs entries, whenever: each flow sends the bytes that were accepted, in
    /// order, each shown entry completes once, and nothing is left over.
    #[test]
    fn accepted_bytes_leave_in_order(steps in prop::collection::vec(step(), 1..200)) {
        let (mut queue, kernel) = fake();
        queue.served = true;
        let free = granules(&queue);
        let flows: Vec<_> = (0..3).map(|_| register(&mut queue)).collect();
        let mut accepted = vec![Vec::new(); 3];
        let (mut expected, mut seen) = (Vec::new(), Vec::new());
        let mut next = 0u64;
        let file = Rc::new(File::open("/dev/null").unwrap());
        for step in steps {
            next += 1;
            match step {
                Step::Send(flow, len) => {
                    let bytes: Vec<u8> = (0..len).map(|i| (next as usize * 7 + i) as u8).collect();
                    // Half of them tell only of failures, of which there are none.
                    let entry = if next % 2 == 0 { Entry::new(next) } else { Entry::new(next).quiet() };
                    match queue.send(flows[flow], &bytes, entry) {
                        Ok(n) => {
                            prop_assert!(n > 0 || len == 0);
                            accepted[flow].extend_from_slice(&bytes[..n]);
                            if n > 0 && next % 2 == 0 {
                                expected.push(next);
                            }
                        }
                        Err(error) => prop_assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS)),
                    }
                }
                Step::Option(flow) => {
                    if queue.set_option(flows[flow], FlowOption::NoDelay(true), next).is_ok() {
                        expected.push(next);
                    }
                }
                Step::Call => {
                    if queue.push(Call::sync(&file), next).is_ok() {
                        expected.push(next);
                    }
                }
                Step::Submit => drop(queue.submit()),
                Step::Reap(n) => seen.extend(queue.completions().take(n).map(|done| done.tag)),
                Step::Take(n) => drop(kernel.take(n)),
                Step::Work(n) => kernel.work(n),
                Step::Look(true) => kernel.look(),
                Step::Look(false) => kernel.doze(),
                Step::Interrupt(n) => kernel.interrupt(n),
            }
            prop_assert!(queue.slots.room() <= PLACES as usize);
        }
        // The end of all that is under way.
        kernel.doze();
        while queue.submit().is_err() || queue.pending() > 0 || kernel.held() != (0, 0) {
            kernel.work(100);
            seen.extend(queue.completions().map(|done| done.tag));
        }
        seen.extend(queue.completions().map(|done| done.tag));
        seen.sort_unstable();
        prop_assert_eq!(seen, expected);
        for (flow, bytes) in flows.iter().zip(accepted) {
            prop_assert_eq!(kernel.sent(flow.reference.index()), bytes);
        }
        prop_assert_eq!(granules(&queue), free);
        prop_assert_eq!(queue.slots.room(), PLACES as usize);
        prop_assert_eq!(Rc::strong_count(&file), 1);
    }
}
