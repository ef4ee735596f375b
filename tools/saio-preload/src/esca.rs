// SPDX-License-Identifier: MIT OR Apache-2.0

//! The functions that servers patched for ESCA or for the original SAIO call, as their libraries
//! declared them:
//!
//! ```c
//! long esca_init(void);
//! void init_worker(int);
//! long batch_start(int);
//! long batch_flush(void);
//! void toggle_region(void);
//! ```
//!
//! There calls between `batch_start` and `batch_flush` (the *region*) were collected, all others
//! were made at once. So it is here, for the thread that calls these functions, and only as far as
//! a call may be answered early at all. A thread that calls none of them is all region.

use std::ffi::{c_int, c_long};

use crate::errno::Saved;
use crate::setup;
use crate::stats::Flush;
use crate::tls::{self, Region};

/// Once in each process or thread that serves. Rings are made when they are needed.
#[cfg_attr(not(test), no_mangle)]
pub extern "C" fn esca_init() -> c_long {
    0
}

/// A process or thread is about to serve: its ring is made now, often with more rights than it has
/// later. The number that it gives itself has no meaning here.
#[cfg_attr(not(test), no_mangle)]
pub extern "C" fn init_worker(_number: c_int) {
    let _errno = Saved::new();
    setup::ring_now();
    enter(Region::Outside);
}

/// The region begins. That is a turn of an event loop, whatever the loop waits with. How many events there
/// are, as ESCA says, has no meaning here.
#[cfg_attr(not(test), no_mangle)]
pub extern "C" fn batch_start(_events: c_int) -> c_long {
    tls::next_turn();
    enter(Region::Inside);
    0
}

/// The region ends: what was collected runs now, or is handed to the pool.
#[cfg_attr(not(test), no_mangle)]
pub extern "C" fn batch_flush() -> c_long {
    let _errno = Saved::new();
    setup::quiesce(Flush::Region);
    enter(Region::Outside);
    0
}

/// Leaves the region, or goes into it, and runs nothing. The first time it begins one.
#[cfg_attr(not(test), no_mangle)]
pub extern "C" fn toggle_region() {
    enter(match tls::region() {
        Region::Inside => Region::Outside,
        Region::Everywhere | Region::Outside => Region::Inside,
    });
}

fn enter(region: Region) {
    tls::set_region(region);
    if let Some(mut engine) = tls::engine() {
        engine.barred = tls::barred();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use saio::flow::FlowRef;

    use super::*;
    use crate::early::early;
    use crate::fixture::{what, Fixture};
    use crate::stats::{Call, Why};

    /// A write of the program to a flow, by the way of the hooks: whether it was queued.
    fn write(f: &Fixture, flow: FlowRef) -> bool {
        let fd = f.fd(flow.index() as u16);
        let answer = early(
            fd,
            Call::Write,
            true,
            || unreachable!(),
            |engine, flow| engine.send(fd, flow, 10, false, |_| ()),
        );
        answer == Some(10)
    }

    fn ran(f: &Fixture) -> Vec<&'static str> {
        f.kernel.ran().iter().map(what).collect()
    }

    #[test]
    fn calls_are_collected_in_the_region() {
        let mut f = Fixture::new(6000, false);
        let flow = f.flow(0);
        tls::set_engine(&raw mut *f.engine);
        assert!(write(&f, flow), "before the first call of the interface");

        let turn = tls::turn();
        assert_eq!(batch_start(3), 0);
        assert_eq!(tls::turn(), turn + 1);
        assert!(write(&f, flow));
        assert_eq!(ran(&f), [""; 0]);
        assert_eq!(batch_flush(), 0);
        assert_eq!(ran(&f), ["send", "send"]);
        assert!(!write(&f, flow), "behind the region");

        // As a server does around a call that it wants to be made at once.
        batch_start(0);
        assert!(write(&f, flow));
        toggle_region();
        assert!(!write(&f, flow));
        assert_eq!(ran(&f), ["send"], "what was collected comes first");
        toggle_region();
        assert!(write(&f, flow));
        batch_flush();
        assert_eq!(ran(&f), ["send"]);

        init_worker(7);
        assert!(!write(&f, flow), "before its first region");
        toggle_region();
        assert!(write(&f, flow));
        tls::set_engine(std::ptr::null_mut());
        tls::set_region(Region::Everywhere);

        let counters = f.engine.counters;
        let passed = &counters.passed[Call::Write as usize];
        assert_eq!(passed[Why::Region as usize].load(Ordering::Relaxed), 3);
        assert_eq!(
            counters.deferred[Call::Write as usize].load(Ordering::Relaxed),
            5
        );
        assert_eq!(
            counters.flushes[Flush::Region as usize].load(Ordering::Relaxed),
            2
        );
    }
}
