// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A pool, its rings and all who act on it, in any order of their steps.
//!
//! The words of the pool and of the rings are the real ones; what is done to them follows `pool.rs`,
//! `pool/worker.rs`, `ring/attach.rs`, `enter.rs` and `flow.rs` line by line, and has to be changed with
//! them. Here memory is in order: what happens if it is not, the tests under loom look at.

mod checks;
mod flows;
mod link;
mod others;
mod rings;
mod threads;
mod worker;
mod world;

use proptest::prelude::*;
use rings::Ring;
use saio_logic::sched::Mode;
use std::fmt;
use threads::Pool;
use world::{Sim, World};

#[derive(Clone, Debug)]
struct Setup {
    workers: u16,
    /// Threads besides.
    spare: u32,
    /// Mode, filter and flows of each.
    rings: Vec<(Mode, bool, usize)>,
}

fn setup() -> impl Strategy<Value = Setup> {
    let mode = prop::sample::select(vec![Mode::Auto, Mode::Pool]);
    let ring = (mode, prop::bool::weighted(0.1), 1usize..3);
    let rings = prop::collection::vec(ring, 1..5);
    (1u16..4, 0u32..3, rings).prop_map(|(workers, spare, rings)| Setup {
        workers,
        spare,
        rings,
    })
}

impl Setup {
    /// A pool that has its threads and nothing to do.
    fn build(&self) -> Sim {
        let max = u32::from(self.workers) + self.spare;
        let pool = Pool::new(self.workers, max, self.rings.len());
        let rings = self.rings.iter().enumerate();
        let rings =
            rings.map(|(i, (mode, filtered, flows))| Ring::new(i, *mode, *filtered, *flows));
        let mut sim = Sim::new(World::new(pool, rings.collect()));
        let w = sim.world.clone();
        sim.add(async move { assert!(Pool::staff(&w).await) });
        sim.come_to_rest();
        sim.add(others::network(sim.world.clone()));
        sim.add(others::workqueue(sim.world.clone()));
        sim
    }

    /// The same with its owners.
    fn build_with_owners(&self) -> Sim {
        let mut sim = self.build();
        for ring in 0..self.rings.len() {
            sim.add(others::owner(sim.world.clone(), ring));
        }
        sim
    }
}

/// What happens, until for a while nobody publishes any more.
#[derive(Clone)]
struct Part {
    tape: Vec<u8>,
    /// Then those that are held up go on.
    release: bool,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tape.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
        write!(f, " {}", self.release)
    }
}

fn tape() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = (tape(), any::<bool>()).prop_map(|(tape, release)| Part { tape, release });
    prop::collection::vec(part, 1..6)
}

fn play(sim: &mut Sim, parts: &[Part]) {
    let w = sim.world.clone();
    for part in parts {
        w.lively.set(true);
        sim.play(&part.tape);
        w.lively.set(false);
        w.releasing.set(false);
        sim.come_to_rest();
        checks::at_rest(&w);
        w.releasing.set(true);
        if part.release {
            sim.come_to_rest();
            checks::done(&w);
        }
    }
    sim.come_to_rest();
    checks::done(&w);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    /// Whatever comes when, every entry is served and every thread sleeps in the end.
    #[test]
    fn all_is_served(setup in setup(), parts in parts()) {
        play(&mut setup.build_with_owners(), &parts);
    }

    /// So it is if the number of threads changes.
    #[test]
    fn all_is_served_while_threads_come_and_go(setup in setup(), parts in parts()) {
        let mut sim = setup.build_with_owners();
        sim.add(others::operator(sim.world.clone()));
        play(&mut sim, &parts);
    }

    /// So it is if rings go from pool to pool besides.
    #[test]
    fn all_is_served_while_rings_move(setup in setup(), parts in parts()) {
        let mut sim = setup.build_with_owners();
        sim.add(others::operator(sim.world.clone()));
        sim.add(others::mover(sim.world.clone()));
        play(&mut sim, &parts);
    }

    /// Of a pool that is removed no thread is left, whatever it was at.
    #[test]
    fn a_pool_that_is_removed_ends(setup in setup(), before in tape(), after in tape()) {
        let mut sim = setup.build_with_owners();
        sim.play(&before);
        sim.add(others::remover(sim.world.clone()));
        sim.play(&after);
        sim.world.lively.set(false);
        sim.come_to_rest();
        checks::removed(&sim.world);
    }

    /// Owners that publish without end do not make anybody's entries wait for long: a turn of every
    /// ring for each entry before it, and some for turns in which a thread finds another one at it.
    #[test]
    fn no_entry_waits_long(
        workers in 1u16..4,
        rings in prop::collection::vec(1usize..3, 1..6),
        tape in tape(),
    ) {
        let due = u64::from(workers + 1) * rings.len() as u64;
        let ring = |flows: usize| (Mode::Pool, false, flows);
        let rings: Vec<_> = rings.into_iter().map(ring).collect();
        let n = rings.len();
        let mut sim = Setup { workers, spare: 0, rings }.build();
        for ring in 0..n {
            sim.add(others::eager(sim.world.clone(), ring, due));
        }
        sim.stroll(&tape);
        sim.world.lively.set(false);
        sim.come_to_rest();
        checks::done(&sim.world);
    }
}
