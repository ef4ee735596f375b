// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is kept for each entry until its completion is taken.
//!
//! There are as many places as the ring has completions, so that the kernel always has room for
//! one: it never has to stop a batch for that.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use super::Entry;
use crate::arena::Chunk;
use crate::flow::FlowRef;

/// Names a kept thing: the `user_data` of its entry. The place in the low half, its generation in
/// the high half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u64);

/// Memory of the program that a call uses. Its second argument is the address.
pub enum Memory {
    /// None.
    None,
    /// A path, if there is one; the result is a new descriptor, which is the program's if `closer`
    /// does not name the entry that closes it.
    Opened {
        path: Option<CString>,
        closer: Option<Key>,
    },
    /// The spare capacity is filled.
    Read(Vec<u8>),
    /// The content is written.
    Written(Vec<u8>),
    /// The state of a file.
    Stat(Box<libc::stat>),
    /// The capacity is filled with events.
    Events(Vec<libc::epoll_event>),
    /// The descriptor is to be closed, if it is known.
    Closed(Option<OwnedFd>),
}

/// What an entry holds.
pub struct Kept {
    pub tag: u64,
    pub quiet: bool,
    /// The flow of an entry with bytes of the arena, and how many.
    pub held: Option<(FlowRef, u32)>,
    /// Its place in the arena.
    pub chunk: Option<Chunk>,
    pub memory: Memory,
    /// Stays open.
    pub file: Option<Rc<dyn AsFd>>,
}

impl Kept {
    /// What a call needs, or an entry of a flow to begin with.
    pub fn new(entry: Entry, memory: Memory) -> Self {
        Self {
            tag: entry.tag(),
            quiet: entry.is_quiet(),
            held: None,
            chunk: None,
            memory,
            file: None,
        }
    }
}

struct Slot {
    generation: u32,
    kept: Option<Kept>,
}

pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    pub fn new(places: u32) -> Self {
        let slot = |_| Slot {
            generation: 0,
            kept: None,
        };
        Self {
            slots: (0..places).map(slot).collect(),
            free: (0..places).rev().collect(),
        }
    }

    /// How many places are free.
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// Keeps something, or gives it back if there is no place.
    pub fn insert(&mut self, kept: Kept) -> Result<Key, Kept> {
        let Some(index) = self.free.pop() else {
            return Err(kept);
        };
        let slot = &mut self.slots[index as usize];
        slot.kept = Some(kept);
        Ok(Key(u64::from(slot.generation) << 32 | u64::from(index)))
    }

    /// What is kept under a name.
    pub fn get(&mut self, key: Key) -> Option<&mut Kept> {
        let (index, generation) = (key.0 as u32, (key.0 >> 32) as u32);
        let slot = self.slots.get_mut(index as usize)?;
        (slot.generation == generation).then_some(slot.kept.as_mut())?
    }

    /// Takes what is kept under a name.
    pub fn remove(&mut self, key: Key) -> Option<Kept> {
        self.get(key)?;
        let slot = &mut self.slots[key.0 as u32 as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.0 as u32);
        slot.kept.take()
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.slots.len() - self.free.len();
        write!(f, "{used} of {} in use", self.slots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(tag: u64) -> Kept {
        Kept::new(tag.into(), Memory::None)
    }

    #[test]
    fn name_is_good_once() {
        let mut slots = Slots::new(2);
        let (a, b) = (
            slots.insert(kept(1)).ok().unwrap(),
            slots.insert(kept(2)).ok().unwrap(),
        );
        assert_eq!(slots.insert(kept(3)).err().unwrap().tag, 3);
        assert_eq!(slots.remove(a).unwrap().tag, 1);
        assert!(slots.remove(a).is_none());
        let c = slots.insert(kept(4)).ok().unwrap();
        assert_ne!(a, c);
        assert!(slots.get(a).is_none());
        assert_eq!(slots.get(c).unwrap().tag, 4);
        assert_eq!(slots.remove(b).unwrap().tag, 2);
        assert_eq!(slots.room(), 1);
        assert!(slots.remove(Key(u64::MAX)).is_none());
    }
}
