// SPDX-License-Identifier: MIT OR Apache-2.0

//! Batches of io_uring.

use anyhow::{Context, Result};
use io_uring::{opcode, squeue, types, IoUring};

use super::super::figure::Call;
use super::target::{self, Target};
use super::Caller;

/// Entries of the ring.
const ENTRIES: u32 = 256;

/// A ring.
pub struct Batch(IoUring);

impl Batch {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// The kernel has no io_uring or permits none.
    pub fn new() -> Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(ENTRIES);
        let missing =
            "no io_uring; the kernel needs CONFIG_IO_URING, and kernel.io_uring_disabled to be 0";
        Ok(Self(ring.context(missing)?))
    }
}

impl Caller for Batch {
    fn batch(&mut self, call: Call, target: &mut Target, number: u32) -> Result<()> {
        let entry = entry(call, target);
        let mut queue = self.0.submission();
        for _ in 0..number {
            // SAFETY: the descriptor and the memory are the target's, which is borrowed until all calls are done.
            unsafe { queue.push(&entry) }.context("the ring is full")?;
        }
        drop(queue);
        self.0.submit_and_wait(number as usize)?;
        for _ in 0..number {
            let done = self.0.completion().next();
            target::check(
                call,
                done.context("a completion is missing")?.result().into(),
            )?;
        }
        Ok(())
    }
}

fn entry(call: Call, target: &mut Target) -> squeue::Entry {
    let Some(arguments) = target.arguments(call) else {
        return opcode::Nop::new().build();
    };
    let (fd, address) = (types::Fd(arguments.fd), arguments.address);
    let length = arguments.length as u32;
    match call {
        Call::Read => opcode::Read::new(fd, address, length).build(),
        Call::Send => opcode::Send::new(fd, address, length).build(),
        _ => opcode::Write::new(fd, address, length).build(),
    }
}
