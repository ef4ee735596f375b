// SPDX-License-Identifier: MIT OR Apache-2.0

//! The operator's tool of SAIO.

mod child;
mod doctor;
mod explain;
mod fault;
mod output;
mod pool;
mod preload;
mod process;
mod program;
mod run;
mod stat;
mod trace;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

/// Starts servers under SAIO, manages worker pools, and says what goes on
#[derive(Parser)]
#[command(
    name = "saioctl",
    version,
    help_expected = true,
    max_term_width = 80,
    arg_required_else_help = true,
    after_long_help = "Examples:\n  \
        Start nginx under SAIO:\n    saioctl run -- nginx\n  \
        Make a pool of kernel threads and start nginx on it:\n    \
        saioctl pool set web --workers 1 --cpus 2-5 --group www-data\n    \
        saioctl run --pool web -- nginx\n  \
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
    /// The command replaces saioctl, but with --explain. On a kernel without SAIO it runs as if nothing was there, and on one without
    /// pools without them, with one line on stderr. Exit status: that of the command; 125 if saioctl fails, 126 if the command cannot be executed, 127
    /// if it is not found; 2 for wrong usage or a file that cannot be used.
    #[command(after_long_help = "Examples:\n  \
        A server, with its counters written to a file:\n    saioctl run --stats /run/saio.jsonl -- nginx -g 'daemon off;'\n  \
        Threads of a pool take over its sends where that pays:\n    saioctl run --pool web -- nginx\n  \
        The same server without SAIO, everything else equal:\n    saioctl run --mode off -- nginx -g 'daemon off;'\n  \
        What became of its calls, once it has ended:\n    saioctl run --explain -- nginx -g 'daemon off;'\n  \
        A server that is patched for ESCA, with its configuration:\n    saioctl run --esca-conf esca.conf -- ./nginx")]
    Run(run::RunArgs),

    /// Says whether kernel, limits and permissions let SAIO work
    ///
    /// One line a check: [ok], [warn] (works, but look at it) or [FAIL]. Exit status 0 if nothing failed, 1
    /// otherwise.
    #[command(after_long_help = "Examples:\n  \
        For people:\n    saioctl doctor\n  \
        Names of the checks that failed:\n    saioctl doctor --json | jq -r '.checks[] | select(.status == \"fail\") | .name'")]
    Doctor(doctor::DoctorArgs),

    /// Shows what rings and pools do, once or every few seconds
    ///
    /// The first sample has what was counted since each ring and pool was made, those after it have rates. A process
    /// whose descriptors may not be read is counted and said; root sees all.
    #[command(after_long_help = "Examples:\n  \
        All rings and pools:\n    saioctl stat\n  \
        Rates, every second, of nginx with its workers:\n    saioctl stat -i 1 -p $(cat /run/nginx.pid)\n  \
        Bytes a second of each pool:\n    saioctl stat -i 1 -n 2 --json | jq -c 'select(.interval_s) | .pools[] | [.name, .per_second.sent_bytes]'")]
    Stat(stat::StatArgs),

    /// Shows entries as strace shows calls, and where they ran
    ///
    /// All rings of the system, or those of processes or of a command with all that descends from them. Ends with
    /// them, or with Ctrl-C; then a table of calls goes to stderr. Needs root and a kernel with tracepoints; tracefs is
    /// mounted meanwhile if it is not. Exit status: that of the command, if there is one.
    #[command(after_long_help = "Examples:\n  \
        Everything that runs under SAIO, until Ctrl-C:\n    saioctl trace\n  \
        nginx with its workers:\n    saioctl trace -p $(cat /run/nginx.pid)\n  \
        A server from its start, the trace in a file:\n    saioctl trace -o /tmp/trace -- saioctl run -- nginx -g 'daemon off;'\n  \
        Entries that failed:\n    saioctl trace --json | jq -c 'select(.error) | [.text, .error]'")]
    Trace(trace::TraceArgs),

    /// Manages worker pools: kernel threads that run what servers queue
    #[command(subcommand, arg_required_else_help = true)]
    Pool(pool::Action),

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
    run::forget_empty_variables();
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let (Action::Run(args), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
        args.settle(matches);
    }
    let (result, on_error) = match &cli.command {
        Action::Run(args) => (run::run(args), run::EXIT_SELF),
        Action::Doctor(args) => (doctor::doctor(args), 1),
        Action::Stat(args) => (stat::stat(args), 1),
        Action::Trace(args) => (trace::trace(args), 1),
        Action::Pool(action) => (pool::pool(action), 1),
        Action::Completions { shell } => (completions(*shell), 1),
        Action::Probe { name } => (doctor::probe::child(*name), 1),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            output::say(format_args!("{error:#}"));
            let unusable = error.is::<pool::Unusable>() || error.is::<process::Absent>();
            ExitCode::from(if unusable { 2 } else { on_error })
        }
    }
}

fn completions(shell: Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "saioctl", &mut script);
    output::print(&String::from_utf8(script)?)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
