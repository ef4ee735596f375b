// SPDX-License-Identifier: MIT OR Apache-2.0

//! Self-tests of the SAIO system calls, and of libraries and programs that stand on them, for a guest
//! that may crash: each test runs in a process of its own and is named before it starts.
//! `docs/abi.md` is the contract that they hold the kernel to.

mod harness;
mod tests;

use clap::Parser;
use harness::ktap::{self, Test};
use std::process::ExitCode;

/// Tests the SAIO system calls of the running kernel, and what stands on them, and reports as KTAP.
#[derive(Parser)]
#[command(
    version,
    help_expected = true,
    after_long_help = "Examples:\n  \
        saio-selftest                   every test\n  \
        saio-selftest setup. enter.     two areas\n  \
        saio-selftest flow.park         one test, as no other has exactly this name\n  \
        saio-selftest --list            their names\n\n\
        Run it as root, with /proc and a writable /tmp. The exit status is 1 if a test fails and \
        2 if none can be run."
)]
struct Cli {
    /// Tests to run: a name, or the beginning of several; none: all
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Print the names of the tests and end
    #[arg(long)]
    list: bool,

    /// Stretch the time limits by this factor, for slow machines and debug kernels
    #[arg(long, value_name = "FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    time_factor: u32,

    /// Do so many times more of what tests do again and again; mind the time limits
    #[arg(long, value_name = "FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,

    /// Enter the ring that this descriptor was before exec; the exit status is the errno
    #[arg(long, value_name = "FD", hide = true)]
    after_exec: Option<i32>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(ring) = cli.after_exec {
        return tests::enter::after_exec::in_new_program(ring);
    }
    let chosen = match choose(&cli.names) {
        Ok(chosen) => chosen,
        Err(name) => {
            eprintln!("saio-selftest: no test is called {name:?}; --list shows all names");
            return ExitCode::from(2);
        }
    };
    if cli.list {
        for test in chosen {
            println!("{}", test.name);
        }
        return ExitCode::SUCCESS;
    }
    harness::set_repeat(cli.repeat);
    match ktap::run_all(&chosen, cli.time_factor) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("saio-selftest: cannot run a test: {error}; is /tmp writable?");
            ExitCode::from(2)
        }
    }
}

/// The tests of these names; a name that is not exact stands for all that begin with it.
fn choose(names: &[String]) -> Result<Vec<&'static Test>, &str> {
    if names.is_empty() {
        return Ok(tests::ALL.iter().collect());
    }
    let mut wanted = vec![false; tests::ALL.len()];
    for name in names {
        let exact = tests::ALL.iter().any(|test| test.name == name);
        let mut found = false;
        for (test, wanted) in tests::ALL.iter().zip(&mut wanted) {
            if test.name == name || !exact && test.name.starts_with(name.as_str()) {
                *wanted = true;
                found = true;
            }
        }
        if !found {
            return Err(name.as_str());
        }
    }
    let chosen = tests::ALL.iter().zip(wanted);
    Ok(chosen
        .filter(|(_, wanted)| *wanted)
        .map(|(test, _)| test)
        .collect())
}

#[cfg(test)]
mod unit {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_are_unique_and_chosen_by_prefix() {
        let mut names: Vec<_> = tests::ALL.iter().map(|test| test.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), tests::ALL.len());

        let count = |name: &str| choose(&[name.to_owned()]).map_or(0, |tests| tests.len());
        assert_eq!(count("flow.park"), 1);
        assert!(count("setup.") >= 5);
        assert_eq!(count("nothing"), 0);
    }
}
