// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs a case in a process that is made for it.

mod identity;
mod life;
mod memory;
mod raw;
mod ring;
mod sockets;
mod world;

use std::sync::atomic::Ordering::Relaxed;

use saio::sys;

use crate::plan::op::Op;
use crate::plan::Case;
use crate::stats::Stats;
use world::World;

pub use identity::{limit, FAIL_NTH};
pub use life::{after_exec, case_init, set_pace, AFTER_EXEC, SOON};
pub use raw::{address, call, exit, fork};

/// Runs the steps of a case and ends the process.
fn run(case: &'static Case, stats: &'static Stats) -> ! {
    memory::survive_unmapping();
    life::survive_signals();
    life::storm(life::HEARTBEAT);
    let world: &'static World = Box::leak(Box::new(World::new(stats)));
    World::populate();
    world.steps(&case.ops);
    raw::exit(0)
}

impl World {
    fn steps(&'static self, ops: &'static [Op]) {
        for op in ops {
            self.step(op);
        }
    }

    fn step(&'static self, op: &'static Op) {
        self.stats.steps.fetch_add(1, Relaxed);
        // What earlier calls have stored over the structures goes again, now and then.
        if self.cookie.load(Relaxed) % 8 == 0 {
            memory::fill_yard(self.yard);
        }
        match op {
            Op::Setup {
                ring,
                words,
                size,
                read_only,
            } => self.setup(*ring, words, *size, *read_only),
            Op::Map {
                ring,
                length,
                offset,
            } => self.map(*ring, *length, *offset),
            Op::Unmap { ring, page, pages } => self.unmap(*ring, *page, *pages),
            Op::Put { ring, entry } => self.put(*ring, entry),
            Op::Publish { ring, tail } => self.publish(*ring, *tail),
            Op::Enter {
                ring,
                submit,
                complete,
                flags,
                arg,
            } => {
                self.enter(*ring, *submit, *complete, *flags, *arg);
            }
            Op::Wake(ring) => self.wake(*ring),
            Op::Reap { ring, head } => self.reap(*ring, *head),
            Op::Scribble {
                ring,
                offset,
                value,
            } => self.scribble(*ring, *offset, *value),
            Op::Register {
                ring,
                fd,
                flow,
                read_only,
            } => self.register(*ring, *fd, *flow, *read_only),
            Op::Unregister { ring, flow, twist } => self.unregister(*ring, *flow, *twist),
            Op::RegisterRaw {
                ring,
                op,
                words,
                size,
            } => {
                self.register_raw(*ring, *op, words, *size);
            }
            Op::Attach { ring, name, mode } => self.attach(*ring, *name, *mode),
            Op::Pool(what) => self.pool(what),
            Op::Connect(connection) => self.connect(connection),
            Op::Peer { pair, what } => self.peer(*pair, *what),
            Op::Blocking { pair, on } => self.blocking(*pair, *on),
            Op::Open { fd, kind } => self.open(*fd, *kind),
            Op::Direct(what) => {
                let args = self.arguments(what).map(|arg| arg as usize);
                let result = raw::call(what.nr.into(), &args);
                if u32::from(what.nr) >= sys::__NR_saio_setup {
                    self.stats.result(what.nr.into(), result as i64);
                }
            }
            Op::Close(slot) => self.close(*slot),
            Op::Dup { from, onto } => self.dup(*from, *onto),
            Op::Pass { fd, take } => self.pass(*fd, *take),
            Op::Fdinfo(slot) => self.fdinfo(*slot),
            Op::Fork { ops, wait } => self.fork(ops, *wait),
            Op::Thread { ops, times } => self.thread(ops, *times),
            Op::Exec => life::exec(),
            Op::Exit => raw::exit(0),
            Op::Kill { who, signal } => {
                raw::call(libc::SYS_kill, &[self.pid(*who) as usize, (*signal).into()]);
            }
            Op::Storm { period } => life::storm(*period),
            Op::Filter(what) => identity::filter(what),
            Op::User(what) => identity::user(*what),
            Op::Fail { nth, op } => self.fail(*nth, op),
            Op::Sleep { us } => {
                let time = [0u64, u64::from(*us) * 1000];
                raw::call(libc::SYS_nanosleep, &[raw::address(&time), 0]);
            }
        }
    }
}
