// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench peer`: programs written for io_uring, to stand beside the same under SAIO.

mod echo;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::echo::EchoArgs;

/// Arguments of `saio-bench peer`.
#[derive(Args)]
pub struct PeerArgs {
    #[command(subcommand)]
    program: Program,
}

#[derive(Subcommand)]
enum Program {
    /// Gives back what clients send, as echo does
    ///
    /// Serves until SIGTERM or SIGINT.
    Echo(EchoArgs),
}

/// Runs one.
///
/// # Errors
///
/// The kernel has no io_uring, or what the program needs is not there.
pub fn peer(args: &PeerArgs) -> Result<()> {
    match &args.program {
        Program::Echo(args) => echo::echo(args),
    }
}
