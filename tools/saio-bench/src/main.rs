// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures servers with and without SAIO, and compares what they answer.

mod arrivals;
mod client;
mod crossings;
mod demo;
mod docs;
mod echo;
mod http;
mod ktap;
mod load;
mod machine;
mod mark;
mod measure;
mod open_loop;
mod peer;
mod places;
mod processors;
mod profile;
mod progress;
mod run;
mod schedstat;
mod server;
mod stage;
mod stats;
mod tls;
mod verify;
mod vtime;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit status where a file of the user's cannot be used.
const WRONG_USAGE: u8 = 2;

/// Measures servers with and without SAIO, and compares what they answer
#[derive(Parser)]
#[command(
    name = "saio-bench",
    version,
    help_expected = true,
    max_term_width = 80,
    arg_required_else_help = true,
    after_long_help = "demo, run and verify need root and a kernel with SAIO.\n\n\
        Examples:\n  \
        Measure nginx with static files:\n    saio-bench demo --out nginx.json\n  \
        Compare its responses with and without SAIO:\n    saio-bench verify nginx"
)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Measures nginx: throughput, server CPU and kernel crossings a request
    ///
    /// Every variant is measured side by side, in changing order, and the results are written as a file for
    /// bench-report. Needs wrk.
    #[command(after_long_help = "Examples:\n  \
        In a guest whose clock counts instructions:\n    saio-bench demo --out nginx.json --instrument icount\n  \
        A short one:\n    saio-bench demo --out nginx.json --quick --connections 64 --sizes 1k")]
    Demo(demo::DemoArgs),

    /// Checks that a server answers the same, byte for byte, with SAIO and without
    ///
    /// Each server is started twice, and both get the same requests. Writes KTAP to stdout; what is not installed is
    /// skipped, with the reason. Exit status 0 if no test failed, 1 otherwise.
    #[command(after_long_help = "Examples:\n  \
        Everything, with numbers that repeat:\n    saio-bench verify all --seed 1\n  \
        One test:\n    saio-bench verify nginx --only range-multi\n  \
        Four workers, whose sends three threads take over:\n    \
        saio-bench verify nginx --mode pool --workers 4 --threads 3\n  \
        100 000 answers of Redis over TLS:\n    \
        saio-bench verify redis --way tls --only volume --responses 100000\n  \
        Is this program right? Both sides without SAIO:\n    saio-bench verify all --mode none --quick")]
    Verify(verify::VerifyArgs),

    /// Kills servers under load, or lets their allocations fail, and looks whether anything is lost or left
    ///
    /// nginx and Redis in turn, without SAIO and in every mode. Needs root, a guest that may break, and for `faults` a kernel with
    /// fault injection. Writes KTAP to stdout and a line for each round to stderr. Exit status 0 if nothing failed, 1
    /// otherwise.
    #[command(after_long_help = "Examples:\n  \
        Twenty minutes of each on the kernel that checks itself:\n    \
        ./x boot --config debug --memory 4G --time-limit 5000 -- saio-bench storm --seconds 1200\n  \
        Only kill -9, a minute:\n    ./x boot -- saio-bench storm kill")]
    Storm(verify::storm::StormArgs),

    /// Measures what a request costs servers, with and without SAIO
    ///
    /// Processor time of all of a server's threads and of the kernel's own, and kernel crossings. In a guest whose clock counts
    /// instructions the time is instructions.
    #[command(after_long_help = "Examples:\n  \
        All servers, in a guest that counts instructions:\n    ./x boot --icount -- saio-bench cost all\n  \
        Redis with 16 commands at once:\n    saio-bench cost redis --way plain --pipeline 16")]
    Cost(verify::cost::CostArgs),

    /// Measures the figures that files describe
    ///
    /// Every variant is measured side by side, in changing order. Results are written after each sample, as files for
    /// bench-report. Exit status 1: something could not be measured; 2: a file cannot be used.
    #[command(after_long_help = "Examples:\n  \
        All figures of a file, on a machine that runs the kernel itself:\n    \
        saio-bench run configs/bench/redis.toml\n  \
        One, in a guest whose clock counts instructions:\n    \
        ./x bench --icount -- run configs/bench/redis.toml --figure redis --quick")]
    Run(run::RunArgs),

    /// Runs a program that is written for io_uring
    Peer(peer::PeerArgs),

    /// Gives back what clients send: the plainest server on epoll, for verify
    ///
    /// Serves until SIGTERM or SIGINT.
    Echo(echo::EchoArgs),

    /// Runs nginx in two variants for a profile of their instructions
    ///
    /// For a guest of `./x profile`, which counts and shows them.
    Profile(profile::ProfileArgs),

    /// Measures a command in virtual time, in instructions
    ///
    /// For a guest of `./x bench --virtual-time`, which completes the results.
    #[command(after_long_help = "Examples:\n  \
        On four CPUs, a system call for 1000 instructions more:\n    \
        ./x bench --virtual-time --cpus 4 --crossing 1000 -- vtime -- dd if=/dev/zero of=/dev/null bs=64 count=1000\n  \
        Is the instrument right?\n    ./x bench --virtual-time -- vtime --calibrate")]
    Vtime(vtime::VtimeArgs),
}

fn main() -> ExitCode {
    let result = match &Cli::parse().command {
        Action::Demo(args) => demo::demo(args).map(|()| 0),
        Action::Verify(args) => verify::verify(args),
        Action::Storm(args) => verify::storm::storm(args),
        Action::Cost(args) => verify::cost::cost(args).map(|()| 0),
        Action::Run(args) => run::run(args),
        Action::Peer(args) => peer::peer(args).map(|()| 0),
        Action::Echo(args) => echo::echo(args).map(|()| 0),
        Action::Profile(args) => profile::profile(args).map(|()| 0),
        Action::Vtime(args) => vtime::vtime(args).map(|()| 0),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("saio-bench: {error:#}");
            if error.is::<run::Bad>() {
                return ExitCode::from(WRONG_USAGE);
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
