// SPDX-License-Identifier: MIT OR Apache-2.0

//! Events of SAIO, and those about new tasks.

use std::fmt;
use std::str::FromStr;

use saio::flow::FlowRef;

use super::line::Entry;

/// Who ran an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// The owner, in its crossing.
    Inline,
    /// A thread of a pool.
    Pool,
    /// The kernel's workqueue.
    Queue,
}

/// An entry begins to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Number of the system call.
    pub nr: u16,
    /// `SAIO_SQE_*` bits.
    pub flags: u16,
    /// What the owner called it.
    pub user_data: u64,
    /// Its flow, if it is one of a flow.
    pub flow: Option<FlowRef>,
    /// Its arguments.
    pub args: [u64; 6],
    /// Who runs it.
    pub place: Where,
}

/// An entry has its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complete {
    /// Number of the system call.
    pub nr: u16,
    /// What the owner called it.
    pub user_data: u64,
    /// Its flow, if it is one of a flow.
    pub flow: Option<FlowRef>,
    /// A value, or a negated errno.
    pub result: i64,
    /// Who finished it.
    pub place: Where,
}

/// What happened on a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnRing<'a> {
    /// The owner entered the kernel.
    Submit {
        /// Entries that it asked to be taken.
        to_submit: u32,
        /// Entries that were published.
        published: u32,
    },
    /// An entry begins to run.
    Dispatch(Dispatch),
    /// An entry has its result.
    Complete(Complete),
    /// A flow waits for its peer.
    Park {
        /// The flow.
        flow: FlowRef,
        /// Bytes of the entry that have not left.
        left: u64,
    },
    /// A flow goes on with another thread.
    Steal {
        /// The flow.
        flow: FlowRef,
        /// Name of the pool.
        pool: &'a str,
        /// The thread before.
        from: u32,
        /// The thread now.
        to: u32,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// On a ring.
    Ring {
        /// Its number.
        ring: u64,
        /// The thread that owns it.
        owner: u32,
        /// What.
        what: OnRing<'a>,
    },
    /// To a thread of a pool.
    Thread {
        /// start, sleep or wake.
        what: &'a str,
        /// Name of the pool.
        pool: &'a str,
        /// Number of the thread in the pool.
        thread: u32,
    },
    /// A task made another one.
    Fork {
        /// The one that was there.
        parent: u32,
        /// The new one.
        child: u32,
    },
}

impl<'a> Event<'a> {
    /// Reads the fields of a line; `None` if it is another event, or not as it should be.
    pub fn parse(entry: &Entry<'a>) -> Option<Self> {
        let fields = Fields(entry.fields);
        let Some(name) = entry.name.strip_prefix("saio_") else {
            return Self::fork(entry);
        };
        if let Some(what) = name.strip_prefix("thread_") {
            return Some(Self::Thread {
                what,
                pool: fields.text("pool")?,
                thread: fields.number("thread")?,
            });
        }
        let what = match name {
            "submit" => OnRing::Submit {
                to_submit: fields.number("to_submit")?,
                published: fields.number("published")?,
            },
            "dispatch" => OnRing::Dispatch(Dispatch {
                nr: fields.number("nr")?,
                flags: u16::try_from(fields.hex("flags")?).ok()?,
                user_data: fields.hex("user_data")?,
                flow: fields.maybe_flow()?,
                args: args(fields.text("args")?)?,
                place: fields.number("where")?,
            }),
            "complete" => OnRing::Complete(Complete {
                nr: fields.number("nr")?,
                user_data: fields.hex("user_data")?,
                flow: fields.maybe_flow()?,
                result: fields.number("result")?,
                place: fields.number("where")?,
            }),
            "park" => OnRing::Park {
                flow: fields.flow()?,
                left: fields.number("left")?,
            },
            "steal" => OnRing::Steal {
                flow: fields.flow()?,
                pool: fields.text("pool")?,
                from: fields.number("from")?,
                to: fields.number("to")?,
            },
            _ => return None,
        };
        Some(Self::Ring {
            ring: fields.number("ring")?,
            owner: fields.number("owner")?,
            what,
        })
    }

    /// Names stand unquoted before the numbers, so only the last field can be relied on; the parent is who is running.
    fn fork(entry: &Entry<'_>) -> Option<Self> {
        if entry.name != "sched_process_fork" {
            return None;
        }
        let (_, child) = entry.fields.rsplit_once(" child_pid=")?;
        Some(Self::Fork {
            parent: entry.pid,
            child: child.parse().ok()?,
        })
    }
}

struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0
            .split_ascii_whitespace()
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    }

    fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    fn hex(&self, name: &str) -> Option<u64> {
        hex(self.text(name)?)
    }

    fn flow(&self) -> Option<FlowRef> {
        let raw = u32::try_from(self.hex("flow")?).ok()?;
        Some(FlowRef::from_raw(raw))
    }

    /// The outer `None`: not understood; the inner one: an ordinary entry.
    fn maybe_flow(&self) -> Option<Option<FlowRef>> {
        let flow = self.flow()?;
        Some((flow.raw() != 0).then_some(flow))
    }
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn args(text: &str) -> Option<[u64; 6]> {
    let args: Option<Vec<u64>> = text.split(',').map(hex).collect();
    args?.try_into().ok()
}

impl FromStr for Where {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "inline" => Ok(Self::Inline),
            "pool" => Ok(Self::Pool),
            "queue" => Ok(Self::Queue),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inline => "inline",
            Self::Pool => "pool",
            Self::Queue => "queue",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(name: &'a str, fields: &'a str) -> Option<Event<'a>> {
        Event::parse(&Entry {
            pid: 50,
            cpu: 1,
            time_us: 0,
            name,
            fields,
        })
    }

    fn on_ring<'a>(name: &'a str, fields: &'a str) -> OnRing<'a> {
        match parse(name, fields) {
            Some(Event::Ring {
                ring: 7,
                owner: 1234,
                what,
            }) => what,
            other => panic!("{name} {fields}: {other:?}"),
        }
    }

    #[test]
    fn every_event_of_a_ring() {
        let flow = FlowRef::from_raw(0x10002);
        assert_eq!(
            on_ring("saio_submit", "ring=7 owner=1234 to_submit=9 published=12"),
            OnRing::Submit {
                to_submit: 9,
                published: 12
            }
        );
        assert_eq!(
            on_ring(
                "saio_dispatch",
                "ring=7 owner=1234 nr=44 flags=0x18 user_data=0x12 flow=0x10002 args=0x1,0x2,0x3,0x4,0x5,0x6 where=pool"
            ),
            OnRing::Dispatch(Dispatch {
                nr: 44,
                flags: 0x18,
                user_data: 0x12,
                flow: Some(flow),
                args: [1, 2, 3, 4, 5, 6],
                place: Where::Pool,
            })
        );
        assert_eq!(
            on_ring(
                "saio_complete",
                "ring=7 owner=1234 nr=3 user_data=0xffffffffffffffff flow=0x0 result=-9 where=inline"
            ),
            OnRing::Complete(Complete {
                nr: 3,
                user_data: u64::MAX,
                flow: None,
                result: -9,
                place: Where::Inline,
            })
        );
        assert_eq!(
            on_ring("saio_park", "ring=7 owner=1234 flow=0x10002 left=4096"),
            OnRing::Park { flow, left: 4096 }
        );
        assert_eq!(
            on_ring(
                "saio_steal",
                "ring=7 owner=1234 flow=0x10002 pool=web from=0 to=1"
            ),
            OnRing::Steal {
                flow,
                pool: "web",
                from: 0,
                to: 1
            }
        );
    }

    #[test]
    fn events_of_threads_and_tasks() {
        for what in ["start", "sleep", "wake"] {
            let name = format!("saio_thread_{what}");
            let event = parse(&name, "pool=web thread=3");
            assert_eq!(
                event,
                Some(Event::Thread {
                    what,
                    pool: "web",
                    thread: 3
                })
            );
        }
        let fields = "comm=a pid=1 child_pid=2 pid=50 child_comm=b child_pid=51";
        assert_eq!(
            parse("sched_process_fork", fields),
            Some(Event::Fork {
                parent: 50,
                child: 51
            })
        );
    }

    #[test]
    fn what_is_not_understood() {
        for (name, fields) in [
            ("saio_new", "ring=7 owner=1234"),
            ("sched_switch", "prev_pid=1"),
            ("saio_park", "ring=7 owner=1234 flow=0x10002"),
            ("saio_park", "ring=7 owner=x flow=0x10002 left=1"),
            ("saio_park", "ring=7 owner=1234 flow=10002 left=1"),
            ("saio_thread_wake", "pool=web"),
            (
                "saio_complete",
                "ring=7 owner=1234 nr=3 user_data=0x1 flow=0x0 result=0 where=moon",
            ),
            (
                "saio_dispatch",
                "ring=7 owner=1234 nr=44 flags=0x18 user_data=0x12 flow=0x10002 args=0x1,0x2 where=pool",
            ),
        ] {
            assert_eq!(parse(name, fields), None, "{name} {fields}");
        }
    }
}
