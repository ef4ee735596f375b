// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the only CPU of a busy pool goes and comes back: the pool goes on elsewhere meanwhile,
//! and is back on its CPU after; no byte is lost.

use super::{load::Load, server::Manner};
use crate::harness::*;

const NAME: &str = "plug";
const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";
const ENTRIES: u64 = 200;

pub fn run() {
    need_cpus(2);
    if !exists(ONLINE) {
        skip("the kernel cannot take CPUs offline (CONFIG_HOTPLUG_CPU)");
    }
    let second = 0b10u64;
    let pool = Pool::new(NAME, |p| p.workers(2).max(3).cpus(&second));
    let manner = Manner {
        reads: true,
        wild: false,
    };
    let load = Load::start(NAME, 2, 3, manner);
    let _back = Back;
    for round in 0..4 {
        set_online(false);
        load.goes_on(ENTRIES);
        assert_eq!(pool_cpus(NAME), second, "what was set stays set");
        if round % 2 == 1 {
            // What is set while it is away counts when it is back; threads that are made too.
            pool.set(|p| p.cpus(&second).max(3 + round));
            load.goes_on(ENTRIES);
        }
        set_online(true);
        eventually("threads are back on their CPU", || {
            pool.threads().iter().all(|thread| thread.cpus() == "1")
        });
        load.goes_on(ENTRIES);
    }
    load.stop();
}

/// Later tests need the CPU, whatever becomes of this one.
struct Back;

impl Drop for Back {
    fn drop(&mut self) {
        // It may be online already.
        let _ = std::fs::write(ONLINE, "1");
    }
}

#[track_caller]
fn set_online(on: bool) {
    let text = if on { "1" } else { "0" };
    std::fs::write(ONLINE, text).unwrap_or_else(|error| panic!("{ONLINE}: {error}"));
}
