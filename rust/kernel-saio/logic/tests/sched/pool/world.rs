// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Who takes the next step.
//!
//! Threads, owners, the network and the operator are actors, each a future. What one does between two
//! calls of [`step`] is atomic for the others: one access to what is shared. A tape of bytes decides
//! who is next, and all else that is left to chance; where it ends every chance falls out dull.

use super::{checks, rings::Ring, threads::Pool};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

pub type Actor = Pin<Box<dyn Future<Output = ()>>>;

/// Rounds in which everything has to come to rest.
const PATIENCE: usize = 3_000;

/// What all actors share.
pub struct World {
    pub pool: Pool,
    pub rings: Vec<Ring>,
    /// What the workqueue is to look after: ring and flow.
    pub queue: RefCell<VecDeque<(usize, usize)>>,
    /// Owners publish, and the operator operates.
    pub lively: Cell<bool>,
    /// Threads that are held up go on.
    pub releasing: Cell<bool>,
    /// Actors that are to be added.
    pub coming: RefCell<Vec<Actor>>,
    tape: RefCell<std::vec::IntoIter<u8>>,
    /// The actor that is at it could do nothing, as before.
    blocked: Cell<bool>,
}

impl World {
    pub fn new(pool: Pool, rings: Vec<Ring>) -> Rc<Self> {
        Rc::new(Self {
            pool,
            rings,
            queue: RefCell::default(),
            lively: Cell::new(true),
            releasing: Cell::new(true),
            coming: RefCell::default(),
            tape: RefCell::default(),
            blocked: Cell::new(false),
        })
    }

    fn byte(&self) -> Option<u8> {
        self.tape.borrow_mut().next()
    }

    /// A number below `n`; zero, the dull one, where the tape has ended.
    pub fn chance(&self, n: u32) -> u32 {
        self.byte().map_or(0, |byte| u32::from(byte) % n)
    }

    /// Waits for the others.
    pub async fn until(&self, mut is_so: impl FnMut() -> bool) {
        // Who gets here has moved.
        let mut again = false;
        while !is_so() {
            self.blocked.set(again);
            again = true;
            step().await;
        }
    }
}

/// Lets others go on.
pub async fn step() {
    let mut done = false;
    std::future::poll_fn(|_| {
        if core::mem::replace(&mut done, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Spinlocks and mutexes.
#[derive(Default)]
pub struct Lock(Cell<bool>);

pub struct Guard<'a>(&'a Lock);

impl Lock {
    pub async fn lock(&self, w: &World) -> Guard<'_> {
        step().await;
        w.until(|| !self.0.get()).await;
        self.0.set(true);
        Guard(self)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0 .0.set(false);
    }
}

/// A world and its actors.
pub struct Sim {
    pub world: Rc<World>,
    /// `None`: it has ended.
    actors: Vec<Option<Actor>>,
}

impl Sim {
    pub fn new(world: Rc<World>) -> Self {
        let actors = Vec::new();
        Self { world, actors }
    }

    pub fn add(&mut self, actor: impl Future<Output = ()> + 'static) {
        self.actors.push(Some(Box::pin(actor)));
    }

    /// One step of an actor: whether it could do anything.
    fn step(&mut self, who: usize) -> bool {
        let Some(actor) = &mut self.actors[who] else {
            return false;
        };
        self.world.blocked.set(false);
        let mut context = Context::from_waker(Waker::noop());
        if actor.as_mut().poll(&mut context).is_ready() {
            self.actors[who] = None;
        }
        let coming = self.world.coming.take();
        self.actors.extend(coming.into_iter().map(Some));
        checks::always(&self.world);
        !self.world.blocked.get()
    }

    /// Lets actors go on for bursts of different lengths, so that one may stand still anywhere
    /// while others come far.
    pub fn play(&mut self, tape: &[u8]) {
        *self.world.tape.borrow_mut() = Vec::from(tape).into_iter();
        while let (Some(who), Some(length)) = (self.world.byte(), self.world.byte()) {
            for _ in 0..1 << (length % 6) {
                if !self.step(usize::from(who) % self.actors.len()) {
                    break;
                }
            }
        }
    }

    /// Lets everybody go on at about the same pace; nobody is held up.
    pub fn stroll(&mut self, tape: &[u8]) {
        for byte in tape {
            for who in 0..self.actors.len() {
                self.step(who);
            }
            self.step(usize::from(*byte) % self.actors.len());
        }
    }

    /// Lets everybody go on in turn until nobody can.
    pub fn come_to_rest(&mut self) {
        for _ in 0..PATIENCE {
            let mut moved = false;
            for who in 0..self.actors.len() {
                moved |= self.step(who);
            }
            if !moved {
                return;
            }
        }
        panic!("no end");
    }
}
