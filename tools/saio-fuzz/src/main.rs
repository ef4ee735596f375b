// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fuzzer of the SAIO system calls: cases of random steps, each from its number and a seed, run
//! in processes that may come to any harm. docs/fuzzing.md says more.

mod plan;
mod run;
mod stats;
mod watch;
mod yard;

use std::process::ExitCode;

use clap::Parser;

/// Exit status for wrong usage, or for a machine that is none to break.
const STATUS_USAGE: u8 = 2;

/// Runs random cases against the SAIO system calls of this machine, as root, in a guest that
/// may break.
#[derive(Debug, Clone, Parser)]
#[command(
    version,
    help_expected = true,
    after_long_help = "Examples:\n  \
        saio-fuzz --seconds 60 --seed 1     a minute of cases\n  \
        saio-fuzz --seed 1 --case 77        case 77 of that run, alone\n  \
        saio-fuzz --seed 1 --case 77 --show what it does\n\n\
        The exit status is 1 if the kernel has failed and 2 for wrong usage. What the kernel's \
        log says is not looked at: ./x fuzz does."
)]
struct Cli {
    /// How long to run
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// What all cases follow from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Run only this case
    #[arg(long, value_name = "C")]
    case: Option<u64>,

    /// Run the case of --case so often
    #[arg(long, value_name = "N", default_value_t = 1, requires = "case")]
    repeat: u64,

    /// Of the case of --case, run only these steps, counted from 0
    #[arg(long, value_name = "STEPS", requires = "case", value_delimiter = ',')]
    only: Option<Vec<usize>>,

    /// Print the steps of the case of --case and end
    #[arg(long, requires = "case")]
    show: bool,

    /// Cases at a time [default: the number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=stats::WORKERS as u64))]
    workers: Option<u64>,

    /// Cases between two looks at whether everything is given back
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    check_every: u64,

    /// Stretch the time limits by this factor, for slow machines and debug kernels
    #[arg(long, value_name = "FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    time_factor: u32,

    /// Run on a machine that is not a disposable guest: its files and processes may be lost
    #[arg(long)]
    i_know: bool,
}

fn main() -> ExitCode {
    // Before anything else is done: the program that a case executes has little left to live on.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == run::AFTER_EXEC)
    {
        run::after_exec();
    }
    let cli = Cli::parse();
    if cli.show {
        let case = watch::chosen(&cli, cli.case.unwrap_or(0));
        println!("own network namespace: {}", case.own_net);
        for (number, op) in case.ops.iter().enumerate() {
            println!("{number}: {op:?}");
        }
        return ExitCode::SUCCESS;
    }
    match watch::run(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("saio-fuzz: {error:#}");
            ExitCode::from(STATUS_USAGE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_single_case_is_needed_to_repeat_it() {
        assert!(Cli::try_parse_from(["x", "--repeat", "3"]).is_err());
        let cli = Cli::try_parse_from(["x", "--case", "3", "--only", "0,2"]).unwrap();
        assert_eq!((cli.case, cli.only), (Some(3), Some(vec![0, 2])));
    }
}
