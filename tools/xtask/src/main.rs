// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver behind `./x`: builds the patched kernel, boots it, tests and
//! measures in it.

#![deny(missing_docs)]

mod bench;
mod boot;
mod demo;
mod eta;
mod exec;
mod fuzz;
mod guard;
mod guestlog;
mod initramfs;
mod kbuild;
mod kconfig;
mod ktap;
mod kvm;
mod lines;
mod overlay;
mod patches;
mod paths;
mod profile;
mod progress;
mod qemu;
mod report;
mod source;
mod suites;
mod test;
mod toolchain;
mod tools;
mod tree;
mod vtime;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};

use crate::bench::BenchArgs;
use crate::boot::MachineArgs;
use crate::demo::DemoArgs;
use crate::fuzz::FuzzArgs;
use crate::kconfig::Config;
use crate::paths::Context;
use crate::profile::ProfileArgs;
use crate::suites::SuitesArgs;

/// Builds, boots, tests and measures SAIO
#[derive(Debug, Parser)]
#[command(
    name = "x",
    bin_name = "./x",
    help_expected = true,
    max_term_width = 80,
    after_long_help = "Sources and kernel builds are kept in SAIO_CACHE (default ~/.cache/saio), \
        logs and results in target/saio.\n\n\
        Examples:\n  \
        Measure nginx with and without SAIO:\n    ./x demo\n  \
        Run every test, or some:\n    ./x test\n    ./x test flow.park\n  \
        Run a command on the patched kernel:\n    ./x boot -- uname -r"
)]
struct Cli {
    #[command(subcommand)]
    action: Action,

    /// Print the commands instead of running them
    #[arg(long, global = true)]
    dry_run: bool,

    /// Kernel source: a directory or tarball of Linux 6.12.y [default: the
    /// distribution's package]
    #[arg(long, global = true, value_name = "PATH")]
    kernel_src: Option<PathBuf>,

    /// QEMU to boot with [default: SAIO_QEMU or qemu-system-x86_64]
    #[arg(long, global = true, value_name = "PATH")]
    qemu: Option<PathBuf>,

    /// Parallel jobs of make [default: the number of CPUs]
    #[arg(long, global = true, value_name = "N")]
    jobs: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure nginx with and without SAIO and draw the report
    ///
    /// Builds everything, boots once with a clock that counts instructions,
    /// and writes target/saio/results/demo.json and
    /// target/saio/report/index.html.
    Demo {
        #[command(flatten)]
        args: DemoArgs,
    },

    /// Run all tests, or those whose name contains FILTER
    ///
    /// The last line counts them; the exit status is 1 if one failed. Names
    /// begin with host, patches, guest, guard, servers, kunit or debug.
    #[command(after_long_help = "Examples:\n  \
        What needs no guest:\n    ./x test host\n  \
        One unit test:\n    ./x test host::tests::ring::wraps\n  \
        Guest tests with this in their names:\n    ./x test flow.")]
    Test {
        /// Part of the names of the tests to run
        #[arg(value_name = "FILTER")]
        filter: Option<String>,

        /// Print the names of the tests and end
        #[arg(long)]
        list: bool,
    },

    /// Build the patched kernel
    Build {
        /// Which kernel
        #[arg(long, value_enum, default_value_t = Config::Plain)]
        config: Config,

        /// Print the configurations with their fragments and end
        #[arg(long)]
        list: bool,
    },

    /// Boot the patched kernel and run a command in it, or a shell
    ///
    /// The guest has the host's root file system, read-only, with tmpfs where
    /// programs write; what is written to $SAIO_OUT comes back. The command's
    /// output and exit status are passed on. Other statuses: 70 the guest died,
    /// 71 the kernel's log has a complaint, 72 the guest could not be set up,
    /// 124 time limit.
    #[command(after_long_help = "Examples:\n  \
        A shell on the console (Ctrl-A X ends the guest):\n    ./x boot\n  \
        Is everything there?\n    ./x boot -- saioctl doctor\n  \
        The checking kernel, four CPUs:\n    ./x boot --config debug --cpus 4 -- saio-selftest")]
    Boot {
        #[command(flatten)]
        machine: MachineArgs,

        /// Command to run, found as on the host
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },

    /// Measure figures, and draw the report
    ///
    /// Boots once with a clock that counts instructions, measures what
    /// configs/bench/*.toml describe, and writes target/saio/results/*.json
    /// and target/saio/report/index.html. Who interrupts it keeps what was
    /// measured. With arguments behind -- it runs saio-bench with those
    /// instead; what that writes to $SAIO_OUT comes back.
    #[command(after_long_help = "Examples:\n  \
        What is there, and two of it:\n    ./x bench --list\n    ./x bench redis tls\n  \
        What the goals need, and each goal with its figure:\n    ./x bench --goals\n  \
        Was something lost?\n    ./x bench --guard\n  \
        All of it, less exact:\n    ./x bench --quick\n  \
        Where KVM works, in seconds:\n    ./x bench --accel kvm --cpus 4 connections\n  \
        Anything else that saio-bench can do:\n    ./x bench -- --help\n  \
        A command on four CPUs, in instructions, a system call for 1000 more:\n    \
        ./x bench --virtual-time --cpus 4 --crossing 1000 -- vtime -- COMMAND")]
    Bench {
        #[command(flatten)]
        args: BenchArgs,
    },

    /// Show where the instructions of a request go, in two variants of nginx
    ///
    /// Boots once with one emulated CPU, counts how often the server executes
    /// each instruction, and shows the functions that differ most.
    #[command(after_long_help = "Examples:\n  \
        Under SAIO and without, 1 KiB, 64 connections:\n    ./x profile\n  \
        What nopush changes for 20 KiB:\n    \
        ./x profile --baseline default --variant nopush --size 20k\n  \
        Each instruction of one function of the last profile:\n    \
        ./x profile --from target/saio/profile --function tcp_sendmsg_locked")]
    Profile {
        #[command(flatten)]
        args: ProfileArgs,
    },

    /// Run servers' own test suites without and with SAIO
    ///
    /// Fetches the distribution's source packages of the installed versions,
    /// runs their tests in the guest, and again what differs. The exit status
    /// is 1 if a test passes without SAIO and fails with it. All of them take
    /// hours under emulation.
    #[command(after_long_help = "Examples:\n  \
        A part of each:\n    ./x suites --quick\n  \
        All tests of memcached, with a pool:\n    ./x suites memcached --mode pool\n  \
        One file of tests:\n    ./x suites redis --only unit/pubsub")]
    Suites {
        #[command(flatten)]
        args: SuitesArgs,
    },

    /// Boot the patched kernel and run random cases against its system calls
    ///
    /// docs/fuzzing.md says what they do. The exit status is 1 if something is
    /// left over, hangs or dies, and otherwise as of boot.
    #[command(after_long_help = "Examples:\n  \
        A minute, and what of SAIO it reaches:\n    ./x fuzz --coverage\n  \
        Five minutes on the checking kernel:\n    ./x fuzz --config debug --seconds 300\n  \
        A case of an earlier run again:\n    ./x fuzz --seed 7 --case 123 --repeat 20")]
    Fuzz {
        #[command(flatten)]
        args: FuzzArgs,
    },

    /// Remove kernel builds, logs and results
    Clean {
        /// Also remove unpacked sources and installed tools
        #[arg(long)]
        all: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("x: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<i32> {
    let ctx = Context::new(cli.dry_run, cli.jobs, cli.kernel_src, cli.qemu)?;
    match cli.action {
        Action::Demo { args } => demo::run(&ctx, &args),
        Action::Test { filter, list } => test::run(&ctx, filter, list),
        Action::Build { list: true, .. } => {
            list_configs();
            Ok(0)
        }
        Action::Build { config, .. } => {
            let kernel = kbuild::build(&ctx, config)?;
            println!("{}", kernel.image.display());
            Ok(0)
        }
        Action::Boot { machine, command } => boot::boot(&ctx, &machine, &command),
        Action::Bench { args } => bench::run(&ctx, &args),
        Action::Profile { args } => profile::run(&ctx, &args),
        Action::Suites { args } => suites::run(&ctx, &args),
        Action::Fuzz { args } => fuzz::run(&ctx, &args),
        Action::Clean { all } => clean(&ctx, all),
    }
}

fn list_configs() {
    for config in Config::value_variants() {
        println!("{}: {}", config.name(), config.fragments().join(" "));
    }
}

/// Removes what the driver made, and nothing else that may lie beside it.
fn clean(ctx: &Context, all: bool) -> Result<i32> {
    let _lock = ctx.lock_cache()?;
    let mut made = vec!["build-", "tree-", "scratch-", "kvm-probe.json"];
    if all {
        made.extend(["src-", "suites", "tools"]);
    }
    let mut doomed = vec![ctx.out()];
    if let Ok(entries) = fs::read_dir(&ctx.cache) {
        doomed.extend(entries.flatten().map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            made.iter().any(|start| name.starts_with(start))
        }));
    }
    for path in doomed.iter().filter(|path| path.exists()) {
        println!("removing {}", path.display());
        if ctx.dry_run {
            continue;
        }
        let removed = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_after_two_dashes_is_passed_on() {
        let cli = Cli::parse_from(["x", "boot", "--cpus", "4", "--", "ls", "--all"]);
        let Action::Boot { machine, command } = cli.action else {
            panic!("not boot");
        };
        assert_eq!(machine.cpus, 4);
        assert_eq!(command, ["ls", "--all"]);
    }

    #[test]
    fn prices_belong_to_virtual_time() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["x", "bench"], args].concat());
        let cli = parse(&["--virtual-time", "--crossing", "1000", "--qemu", "/q"]).unwrap();
        assert_eq!(cli.qemu, Some("/q".into()));
        let Action::Bench { args } = cli.action else {
            panic!("not bench");
        };
        let machine = args.machine();
        assert!(machine.virtual_time);
        assert_eq!((machine.crossing, machine.quantum), (1000, 10_000));
        for wrong in [
            &["--crossing", "1000"][..],
            &["--quantum", "5000"],
            &["--virtual-time", "--icount"],
            &["--virtual-time", "--accel", "kvm"],
            &["--virtual-time", "--quantum", "1"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn defaults_of_the_machine_are_the_same_everywhere() {
        let cli = Cli::parse_from(["x", "boot"]);
        let Action::Boot { machine, .. } = cli.action else {
            panic!("not boot");
        };
        let default = MachineArgs::default();
        assert_eq!(machine.cpus, default.cpus);
        assert_eq!(machine.memory, default.memory);
        assert_eq!(machine.config, default.config);
        assert_eq!(machine.accel, default.accel);
        assert_eq!(machine.quantum, default.quantum);
        assert_eq!(machine.crossing, default.crossing);
        assert_eq!(machine.profile, default.profile);
    }
}
