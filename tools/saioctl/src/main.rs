// SPDX-License-Identifier: MIT OR Apache-2.0

//! The operator's tool of SAIO.

mod doctor;
mod preload;
mod program;
mod run;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Starts servers under SAIO and says whether SAIO works here
#[derive(Parser)]
#[command(
    name = "saioctl",
    version,
    help_expected = true,
    max_term_width = 80,
    arg_required_else_help = true,
    after_long_help = "Examples:\n  \
        Start nginx under SAIO:\n    saioctl run -- nginx\n  \
        See whether SAIO works here, and what to do if not:\n    saioctl doctor\n  \
        The same for a script:\n    saioctl doctor --json\n  \
        Complete commands in bash:\n    saioctl completions bash > /etc/bash_completion.d/saioctl"
)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Runs a dynamically linked server under SAIO
    ///
    /// The command replaces saioctl. On a kernel without SAIO it runs as if nothing was there, with one line on
    /// stderr. Exit status: that of the command; 125 if saioctl fails, 126 if the command cannot be executed, 127
    /// if it is not found.
    #[command(after_long_help = "Examples:\n  \
        A server, with its counters written to a file:\n    saioctl run --stats /run/saio.jsonl -- nginx -g 'daemon off;'\n  \
        The same server without SAIO, everything else equal:\n    saioctl run --mode off -- nginx -g 'daemon off;'")]
    Run(run::RunArgs),

    /// Says whether kernel, limits and permissions let SAIO work
    ///
    /// One line a check: [ok], [warn] (works, but look at it) or [FAIL]. Exit status 0 if nothing failed, 1
    /// otherwise.
    #[command(after_long_help = "Examples:\n  \
        For people:\n    saioctl doctor\n  \
        Names of the checks that failed:\n    saioctl doctor --json | jq -r '.checks[] | select(.status == \"fail\") | .name'")]
    Doctor(doctor::DoctorArgs),

    /// Writes a completion script for a shell to stdout
    Completions {
        /// The shell
        shell: Shell,
    },

    /// One trial of the doctor, in a process of its own
    #[command(hide = true)]
    Probe {
        /// Which one
        #[arg(value_enum)]
        name: doctor::probe::Probe,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (result, on_error) = match &cli.command {
        Action::Run(args) => (run::run(args), run::EXIT_SELF),
        Action::Doctor(args) => (doctor::doctor(args), 1),
        Action::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "saioctl", &mut io::stdout());
            (Ok(0), 1)
        }
        Action::Probe { name } => (doctor::probe::child(*name), 1),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("saioctl: {error:#}");
            ExitCode::from(on_error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
