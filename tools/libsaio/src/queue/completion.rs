// SPDX-License-Identifier: MIT OR Apache-2.0

//! What became of entries.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use super::slots::{Kept, Key, Memory};
use super::Queue;
use crate::sys;

/// The end of an entry.
#[derive(Debug)]
pub struct Completion {
    /// As the entry was called.
    pub tag: u64,
    /// What the system call returned: mostly a number of bytes.
    ///
    /// Of entries of flows: the length when the bytes are in the socket's send buffer; `ECANCELED`
    /// if the flow had failed before, or the chain broke; any other error is what made the flow fail.
    pub result: io::Result<usize>,
    /// What the call gives back.
    pub output: Output,
}

/// What a call gives back with its completion.
#[derive(Default)]
pub enum Output {
    /// Nothing.
    #[default]
    None,
    /// A new descriptor, of a call that succeeded.
    Fd(OwnedFd),
    /// The buffer, also of a call that failed. One that was read into has grown by what was read.
    Bytes(Vec<u8>),
    /// The state of a file, of a call that succeeded.
    Stat(Box<libc::stat>),
    /// The events that there are; none if the call failed.
    Events(Vec<libc::epoll_event>),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Fd(fd) => f.debug_tuple("Fd").field(fd).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stat(stat) => write!(f, "Stat({} bytes)", stat.st_size),
            Self::Events(events) => write!(f, "Events({})", events.len()),
        }
    }
}

/// Takes completions until there are no more: [`Queue::completions`].
#[derive(Debug)]
pub struct Completions<'a>(pub(super) &'a mut Queue);

impl Iterator for Completions<'_> {
    type Item = Completion;

    fn next(&mut self) -> Option<Completion> {
        self.0.next_completion()
    }
}

impl Queue {
    /// Takes the oldest completion that is to be shown, if there is one. Makes no system call.
    ///
    /// Taking completions also makes room: for entries, and for bytes in the arena.
    pub fn next_completion(&mut self) -> Option<Completion> {
        loop {
            let cqe = self.ring.pop()?;
            // The kernel says what it was told, so there is such a thing.
            let Some(kept) = self.slots.remove(Key(cqe.user_data)) else {
                continue;
            };
            let hidden = kept.quiet && cqe.res >= 0;
            let done = self.complete(kept, cqe.res);
            if !hidden {
                return Some(done);
            }
        }
    }

    /// Takes all completions that are there, see [`Self::next_completion`].
    ///
    /// ```no_run
    /// # use saio::queue::{Options, Queue};
    /// # let mut queue = Queue::new(&Options::default()).unwrap();
    /// queue.submit()?;
    /// for done in queue.completions() {
    ///     if let Err(error) = done.result {
    ///         eprintln!("entry {}: {error}", done.tag);
    ///     }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn completions(&mut self) -> Completions<'_> {
        Completions(self)
    }

    fn complete(&mut self, kept: Kept, res: i64) -> Completion {
        if let Some(chunk) = kept.chunk {
            self.arena.free(chunk);
        }
        if let Some((flow, bytes)) = kept.held {
            let place = self.flows.get_mut(flow.index());
            if let Some(place) = place.filter(|place| place.flow == flow) {
                place.held = place.held.saturating_sub(bytes);
            }
        }
        let result = sys::check(res as isize);
        let n = result.as_ref().map_or(0, |n| *n);
        let output = match kept.memory {
            Memory::None => Output::None,
            Memory::Opened { closer, .. } => match closer {
                _ if result.is_err() => Output::None,
                Some(closer) => {
                    self.opened(closer, n);
                    Output::None
                }
                // SAFETY: just opened for this program, and nothing else has the number.
                None => Output::Fd(unsafe { OwnedFd::from_raw_fd(n as i32) }),
            },
            Memory::Read(mut buffer) => {
                let len = buffer.capacity().min(buffer.len() + n);
                // SAFETY: within the capacity, and the kernel has filled in that much.
                unsafe { buffer.set_len(len) };
                Output::Bytes(buffer)
            }
            Memory::Written(bytes) => Output::Bytes(bytes),
            Memory::Stat(stat) if result.is_ok() => Output::Stat(stat),
            Memory::Stat(_) => Output::None,
            Memory::Events(mut events) => {
                let len = events.capacity().min(n);
                // SAFETY: within the capacity, and the kernel has filled in that many.
                unsafe { events.set_len(len) };
                Output::Events(events)
            }
            Memory::Closed(file) => {
                if let Some(file) = file {
                    if ran(&result) {
                        // The number is free; it may be somebody else's already.
                        let _ = file.into_raw_fd();
                    }
                }
                Output::None
            }
        };
        Completion {
            tag: kept.tag,
            result,
            output,
        }
    }

    /// The entry that closes what was just opened gets the descriptor, so that it is closed if that
    /// entry does not run.
    fn opened(&mut self, closer: Key, fd: usize) {
        if let Some(kept) = self.slots.get(closer) {
            // SAFETY: just opened for this program; of all it has, only that entry has the number.
            let file = unsafe { OwnedFd::from_raw_fd(fd as i32) };
            kept.memory = Memory::Closed(Some(file));
        }
    }
}

/// Whether a `close` was made at all, and so has freed the number, whatever it returned.
fn ran(result: &io::Result<usize>) -> bool {
    let Err(error) = result else {
        return true;
    };
    !matches!(
        error.raw_os_error(),
        Some(
            libc::ECANCELED
                | libc::EINVAL
                | libc::EACCES
                | libc::EPERM
                | libc::EOPNOTSUPP
                | libc::ENOSYS
        )
    )
}

impl Drop for Queue {
    /// See [`Queue`].
    fn drop(&mut self) {
        if self.promised {
            // Nobody else could run them, and until they have run the flows could not be given up.
            let _ = self.submit();
        }
        // What has run gives back what it holds.
        while self.next_completion().is_some() {}
        for place in mem::take(&mut self.flows) {
            if place.fd >= 0 {
                // It may have ended by itself.
                let _ = self.ring.unregister(place.flow);
            }
        }
    }
}
