// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whether entries go to the pool.

use proptest::prelude::*;
use saio_logic::sched::{plan, Mode, Plan, Situation, Why, MOST_WAITING, WORTH_WAKING};

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Inline, Mode::Auto, Mode::Pool])
}

prop_compose! {
    fn situation()(
        mode in mode(),
        entries in prop_oneof![0..2 * WORTH_WAKING, any::<u32>()],
        polled in any::<bool>(),
        waiting in prop_oneof![0..2 * MOST_WAITING, any::<u32>()],
        filtered in any::<bool>(),
    ) -> Situation {
        Situation { mode, entries, polled, waiting, filtered }
    }
}

/// The plan, and whether it was asked for an idle CPU.
fn ask(s: Situation, idle: bool) -> (Plan, bool) {
    let mut asked = false;
    let plan = plan(s, || {
        asked = true;
        idle
    });
    (plan, asked)
}

proptest! {
    /// What only the owner may run stays with the owner.
    #[test]
    fn some_entries_are_the_owners(s in situation(), idle in any::<bool>()) {
        let (plan, asked) = ask(s, idle);
        if s.mode == Mode::Inline || s.filtered {
            let why = if s.mode == Mode::Inline { Why::Mode } else { Why::Filter };
            prop_assert_eq!(plan, Plan { hand_over: 0, why, wake: false });
            prop_assert!(!asked);
        }
    }

    /// Somebody is woken only if nobody looks, and for something.
    #[test]
    fn nobody_is_woken_for_nothing(s in situation(), idle in any::<bool>()) {
        let (plan, _) = ask(s, idle);
        if plan.wake {
            prop_assert!(!s.polled && s.entries != 0 && plan.hand_over != 0);
        }
        // And what is handed over is looked at by somebody.
        prop_assert!(plan.hand_over == 0 || s.entries == 0 || s.polled || plan.wake);
    }

    /// In mode pool all goes there, idle CPU or not.
    #[test]
    fn a_pool_takes_all(s in situation(), idle in any::<bool>()) {
        let (plan, asked) = ask(s, idle);
        if s.mode == Mode::Pool && !s.filtered {
            prop_assert_eq!((plan.hand_over, plan.why), (u32::MAX, Why::Chain));
            prop_assert!(!asked);
        }
    }

    /// In mode auto the owner helps when much waits, and a thread is woken only where that costs
    /// nobody anything.
    #[test]
    fn auto_takes_what_pays(s in situation(), idle in any::<bool>()) {
        if s.mode != Mode::Auto || s.filtered {
            return Ok(());
        }
        let (plan, asked) = ask(s, idle);
        if s.polled {
            let room = MOST_WAITING.saturating_sub(s.waiting);
            prop_assert_eq!(plan, Plan { hand_over: room, why: Why::Busy, wake: false });
        } else if s.entries < WORTH_WAKING {
            prop_assert_eq!(plan, Plan { hand_over: 0, why: Why::Small, wake: false });
        } else if idle {
            prop_assert_eq!(plan, Plan { hand_over: MOST_WAITING, why: Why::Busy, wake: true });
        } else {
            prop_assert_eq!(plan, Plan { hand_over: 0, why: Why::Idle, wake: false });
        }
        // Looking for an idle CPU is dear.
        prop_assert_eq!(asked, !s.polled && s.entries >= WORTH_WAKING);
    }
}

/// Modes have the numbers of `SAIO_MODE_*`, and there are no others.
#[test]
fn modes_have_numbers() {
    for (number, mode) in [Mode::Inline, Mode::Auto, Mode::Pool]
        .into_iter()
        .enumerate()
    {
        assert_eq!(Mode::from_number(number as u32), Some(mode));
    }
    assert_eq!(Mode::from_number(3), None);
    assert_eq!(Mode::from_number(u32::MAX), None);
}
