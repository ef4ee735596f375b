// SPDX-License-Identifier: MIT OR Apache-2.0

//! Batches of SAIO.

use anyhow::{ensure, Context, Result};
use nix::libc;
use saio::ring::Ring;
use saio::sys::{saio_params, saio_sqe};

use super::super::figure::Call;
use super::target::{self, Target};
use super::Caller;

/// Entries of the ring.
const ENTRIES: u32 = 256;

/// A ring.
pub struct Batch(Ring);

impl Batch {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// The kernel has no SAIO.
    pub fn new() -> Result<Self> {
        let params = saio_params {
            sq_entries: ENTRIES,
            cq_entries: ENTRIES,
            ..Default::default()
        };
        let ring = Ring::setup(params);
        Ok(Self(
            ring.context("no ring can be made; see saioctl doctor")?,
        ))
    }
}

impl Caller for Batch {
    fn batch(&mut self, call: Call, target: &mut Target, number: u32) -> Result<()> {
        let mut entry = saio_sqe {
            nr: nr(call) as u16,
            ..Default::default()
        };
        if let Some(arguments) = target.arguments(call) {
            // What follows are zeros: the position of a read, the flags and address of a send.
            entry.args[0] = arguments.fd as u64;
            entry.args[1] = arguments.address as u64;
            entry.args[2] = arguments.length as u64;
        }
        for _ in 0..number {
            ensure!(self.0.push(&entry), "the ring is full");
        }
        // SAFETY: the descriptor and the memory are the target's, which is borrowed until all calls are done.
        let taken = unsafe { self.0.enter(number, number) };
        ensure!(taken == number as isize, "saio_enter returned {taken}");
        for _ in 0..number {
            let done = self.0.pop().context("a completion is missing")?;
            target::check(call, done.res)?;
        }
        Ok(())
    }
}

fn nr(call: Call) -> libc::c_long {
    match call {
        Call::Getppid => libc::SYS_getppid,
        Call::Write => libc::SYS_write,
        Call::Read => libc::SYS_pread64,
        Call::Send => libc::SYS_sendto,
    }
}
