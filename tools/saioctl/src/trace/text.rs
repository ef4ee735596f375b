// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines for people, as strace has them.

use saio::sys;

use super::call;
use super::event::{Event, OnRing};
use super::pending::Started;
use super::Finished;

/// Flags of an entry that say how it hangs together with others.
const CHAIN: [(u16, &str); 3] = [
    (sys::SQE_LINK, "LINK"),
    (sys::SQE_HARDLINK, "HARDLINK"),
    (sys::SQE_RESULT_TO_ARG, "RESULT_TO_ARG"),
];

/// An entry with its result.
pub fn finished(finished: &Finished) -> String {
    let complete = finished.complete;
    let place = complete.place.to_string();
    let (call, place, details) = match finished.started {
        Some(started) => (
            text(started),
            if started.entry.place == complete.place {
                place
            } else {
                format!("{}, then {place}", started.entry.place)
            },
            format!(
                ", {} us{}",
                finished.duration_us().unwrap_or_default(),
                chain(started.entry.flags)
            ),
        ),
        // Cancelled before it ran, or started before the trace.
        None => (
            call::unknown(complete.nr, complete.flow),
            place,
            String::new(),
        ),
    };
    format!(
        "{} {call} = {} <{place} cpu{}{details}>\n",
        head(finished.time_us, finished.owner, finished.ring),
        call::result(complete.result),
        finished.cpu,
    )
}

/// An entry whose result was not seen.
pub fn unfinished(started: &Started) -> String {
    format!(
        "{} {} = ? <{}, unfinished>\n",
        head(started.time_us, started.owner, started.ring),
        text(started),
        started.entry.place
    )
}

/// Everything else that has a line of its own.
pub fn event(time_us: u64, event: &Event) -> Option<String> {
    match event {
        Event::Ring { ring, owner, what } => {
            let what = on_ring(what)?;
            Some(format!("{} --- {what}\n", head(time_us, *owner, *ring)))
        }
        Event::Thread { what, pool, thread } => Some(format!(
            "{} --- pool {pool} thread {thread} {what}\n",
            time(time_us)
        )),
        Event::Fork { .. } => None,
    }
}

/// Events that the kernel had no room for.
pub fn lost(count: Option<u64>) -> String {
    match count {
        Some(count) => format!("--- {count} events lost\n"),
        None => "--- events lost\n".to_owned(),
    }
}

fn on_ring(what: &OnRing) -> Option<String> {
    match what {
        OnRing::Submit {
            to_submit,
            published,
        } => Some(format!("submit {to_submit}, {published} published")),
        OnRing::Park { flow, left } => {
            Some(format!("park flow {}, {left} bytes left", flow.index()))
        }
        OnRing::Steal {
            flow,
            pool,
            from,
            to,
        } => Some(format!(
            "steal flow {}, pool {pool} thread {from} to {to}",
            flow.index()
        )),
        // These make one line when they meet.
        OnRing::Dispatch(_) | OnRing::Complete(_) => None,
    }
}

fn text(started: &Started) -> String {
    let entry = &started.entry;
    call::text(entry.nr, entry.flow, &entry.args)
}

fn chain(flags: u16) -> String {
    let names = CHAIN.iter().filter(|(bit, _)| flags & bit != 0);
    names.map(|(_, name)| format!(", {name}")).collect()
}

fn head(time_us: u64, owner: u32, ring: u64) -> String {
    format!("{} {owner} ring{ring}", time(time_us))
}

fn time(us: u64) -> String {
    format!("[{:5}.{:06}]", us / 1_000_000, us % 1_000_000)
}

#[cfg(test)]
mod tests {
    use saio::flow::FlowRef;

    use super::super::event::{Complete, Dispatch, Where};
    use super::*;

    const FLOW: Option<FlowRef> = Some(FlowRef::from_raw(0x10002));

    fn started(flags: u16, place: Where) -> Started {
        Started {
            time_us: 5_000_000,
            ring: 7,
            owner: 1234,
            entry: Dispatch {
                nr: 44,
                flags,
                user_data: 0,
                flow: FLOW,
                args: [5, 0x200, 238, 0x40, 0, 0],
                place,
            },
        }
    }

    fn line(started: Option<&Started>, result: i64) -> String {
        finished(&Finished {
            time_us: 5_000_012,
            cpu: 3,
            ring: 7,
            owner: 1234,
            complete: &Complete {
                nr: 44,
                user_data: 0,
                flow: FLOW,
                result,
                place: Where::Pool,
            },
            started,
        })
    }

    #[test]
    fn entries() {
        assert_eq!(
            line(Some(&started(0x18, Where::Pool)), 238),
            "[    5.000012] 1234 ring7 sendto(5 flow 2, arena+0x200, 238, MSG_DONTWAIT) = 238 <pool cpu3, 12 us>\n"
        );
        let moved = line(Some(&started(0x15, Where::Inline)), -32);
        assert!(
            moved.ends_with(
                " = -1 EPIPE (Broken pipe) <inline, then pool cpu3, 12 us, LINK, RESULT_TO_ARG>\n"
            ),
            "{moved}"
        );
        assert_eq!(
            line(None, -125),
            "[    5.000012] 1234 ring7 sendto(? flow 2) = -1 ECANCELED (Operation canceled) <pool cpu3>\n"
        );
        assert_eq!(
            unfinished(&started(0, Where::Inline)),
            "[    5.000000] 1234 ring7 sendto(5 flow 2, arena+0x200, 238, MSG_DONTWAIT) = ? <inline, unfinished>\n"
        );
    }

    #[test]
    fn other_events() {
        let on_ring = |what| {
            let of = Event::Ring {
                ring: 7,
                owner: 1234,
                what,
            };
            event(1, &of)
        };
        let flow = FlowRef::from_raw(0x10002);
        assert_eq!(
            on_ring(OnRing::Park { flow, left: 4096 }).unwrap(),
            "[    0.000001] 1234 ring7 --- park flow 2, 4096 bytes left\n"
        );
        let steal = OnRing::Steal {
            flow,
            pool: "web",
            from: 0,
            to: 1,
        };
        assert_eq!(
            on_ring(steal).unwrap(),
            "[    0.000001] 1234 ring7 --- steal flow 2, pool web thread 0 to 1\n"
        );
        let submit = OnRing::Submit {
            to_submit: 9,
            published: 12,
        };
        assert_eq!(
            on_ring(submit).unwrap(),
            "[    0.000001] 1234 ring7 --- submit 9, 12 published\n"
        );
        let thread = Event::Thread {
            what: "wake",
            pool: "web",
            thread: 0,
        };
        assert_eq!(
            event(123_456_789, &thread).unwrap(),
            "[  123.456789] --- pool web thread 0 wake\n"
        );
        assert_eq!(lost(Some(3)), "--- 3 events lost\n");
        assert_eq!(lost(None), "--- events lost\n");
    }
}
