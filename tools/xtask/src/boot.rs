// SPDX-License-Identifier: MIT OR Apache-2.0

//! Booting the built kernel with a command.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use saio_init::{Job, OUT_DIR, STATUS_INIT_FAILED, STATUS_TIMED_OUT};

use crate::exec;
use crate::guestlog;
use crate::kbuild::{self, Kernel};
use crate::kconfig::Config;
use crate::kvm;
use crate::paths::Context;
use crate::profile;
use crate::qemu::{Accelerator, Machine, Outcome};
use crate::tools;
use crate::vtime;

/// Exit status when the guest died before the command ended.
pub const STATUS_DIED: i32 = 70;

/// Exit status when the kernel's log has a complaint.
pub const STATUS_COMPLAINT: i32 = 71;

/// Lines of the console that a failure shows.
pub const TAIL: usize = 60;

/// The guest ends its command this much before the machine is ended, so that it
/// can say what hung.
const GRACE: Duration = Duration::from_secs(15);

/// What `--accel` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccelChoice {
    /// KVM if a probe boot shows that it works, TCG otherwise.
    Auto,
    /// KVM, untried.
    Kvm,
    /// Emulation.
    Tcg,
}

/// Options of the virtual machine.
#[derive(Debug, Clone, Args)]
pub struct MachineArgs {
    /// Virtual CPUs
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub cpus: usize,

    /// Memory of the guest
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    pub memory: String,

    /// Seconds until the guest is ended [default: 600 with a command]
    #[arg(long, value_name = "SECS")]
    pub time_limit: Option<u64>,

    /// Kernel to boot
    #[arg(long, value_enum, default_value_t = Config::Plain)]
    pub config: Config,

    /// What runs the guest's code
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    pub accel: AccelChoice,

    /// Emulate one CPU and let the guest's clock count instructions
    #[arg(long, conflicts_with = "accel")]
    pub icount: bool,

    /// Emulate CPUs that are kept in step by the instructions they execute
    ///
    /// Needs QEMU 9.1 or newer: see docs/measuring.md.
    #[arg(long, conflicts_with_all = ["accel", "icount"])]
    pub virtual_time: bool,

    /// Instructions that each system call costs more, in virtual time
    #[arg(long, value_name = "INSTR", requires = "virtual_time", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub crossing: u64,

    /// Instructions that a CPU may be ahead of another, in virtual time
    #[arg(long, value_name = "INSTR", requires = "virtual_time", default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    pub quantum: u64,

    /// As with `icount`, and count how often each instruction is executed.
    #[arg(skip)]
    pub profile: bool,

    /// CPU model of QEMU, with features [default: host or max]
    #[arg(long, value_name = "MODEL")]
    pub cpu_model: Option<String>,
}

impl Default for MachineArgs {
    fn default() -> Self {
        MachineArgs {
            cpus: 2,
            memory: "2G".to_string(),
            time_limit: None,
            config: Config::Plain,
            accel: AccelChoice::Auto,
            icount: false,
            virtual_time: false,
            crossing: 0,
            quantum: 10_000,
            profile: false,
            cpu_model: None,
        }
    }
}

/// A machine that is ready to boot.
#[derive(Debug)]
pub struct Guest {
    machine: Machine,
    kernel: Kernel,
}

impl Guest {
    /// Builds kernel and init and chooses the accelerator, which is printed.
    ///
    /// `name` names the directory of the run's logs.
    ///
    /// # Errors
    ///
    /// Something does not build.
    pub fn prepare(ctx: &Context, args: &MachineArgs, name: &str) -> Result<Guest> {
        if args.virtual_time {
            vtime::check(&ctx.qemu)?;
        }
        let kernel = kbuild::build(ctx, args.config)?;
        let init = tools::build_init(ctx)?;
        let runs = ctx.out().join("run");
        if !ctx.dry_run {
            remove_dead_runs(&runs, name);
        }
        let mut machine = Machine {
            program: ctx.qemu.clone(),
            accelerator: Accelerator::Tcg,
            cpus: args.cpus,
            memory: args.memory.clone(),
            cpu_model: args.cpu_model.clone(),
            image: kernel.image.clone(),
            init,
            time_limit: args.time_limit.map(Duration::from_secs),
            logged_code: Vec::new(),
            dir: runs.join(run_name(name)),
        };
        let (accelerator, words) = choose(ctx, args, &machine)?;
        exec::step(&format!("accelerator: {words}"));
        machine.accelerator = accelerator;
        Ok(Guest { machine, kernel })
    }

    /// Name of the accelerator, as results files have it.
    pub fn accel(&self) -> &'static str {
        match self.machine.accelerator {
            Accelerator::Kvm => "kvm",
            _ => "tcg",
        }
    }

    /// Name of the instrument that a clock in this guest is.
    pub fn instrument(&self) -> &'static str {
        match self.machine.accelerator {
            Accelerator::Icount | Accelerator::Profile(_) => "icount",
            Accelerator::VirtualTime(_) => "virtual-time",
            Accelerator::Kvm | Accelerator::Tcg => "wall",
        }
    }

    /// Options by which `saio-bench` learns how it measures here, and what a user typed for it.
    pub fn described(&self, config: Config, command: &str) -> [String; 8] {
        [
            "--instrument",
            self.instrument(),
            "--accel",
            self.accel(),
            "--kernel-config",
            config.name(),
            "--command",
            command,
        ]
        .map(str::to_string)
    }

    /// Release of its kernel.
    pub fn release(&self) -> &str {
        &self.kernel.release
    }

    /// The image of its kernel.
    pub fn image(&self) -> &Path {
        &self.kernel.image
    }

    /// A file that a plugin of QEMU writes.
    pub fn report(&self, name: &str) -> PathBuf {
        self.machine.file(name)
    }

    /// Directory of the host that the guest sees as `/mnt/out`.
    pub fn out_dir(&self) -> PathBuf {
        self.machine.out_dir()
    }

    /// Has QEMU log code of these addresses that runs; where it does.
    pub fn log_code(&mut self, ranges: &[(u64, u64)]) -> PathBuf {
        self.machine.logged_code = ranges.to_vec();
        self.machine.code_log()
    }

    /// Where its kernel was built.
    ///
    /// # Errors
    ///
    /// The image is elsewhere.
    pub fn build_dir(&self) -> Result<PathBuf> {
        let dir = self.kernel.image.ancestors().nth(4);
        Ok(dir.context("no build directory")?.to_path_buf())
    }

    /// Boots and runs a command; its standard error is passed through.
    ///
    /// A dry run prints QEMU's command and returns none.
    ///
    /// # Errors
    ///
    /// QEMU cannot be run.
    pub fn run(
        &self,
        ctx: &Context,
        argv: &[String],
        stdout: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<Outcome>> {
        if ctx.dry_run {
            println!("# in the guest: {}", argv.join(" "));
            exec::print(&self.machine.command(argv.is_empty()));
            return Ok(None);
        }
        let mut job = new_job(ctx, argv);
        let instrument = self.instrument().to_string();
        job.env.insert("SAIO_INSTRUMENT".to_string(), instrument);
        // With icount the guest's seconds are not ours.
        if !self.machine.accelerator.is_icount() {
            job.time_limit_s = self
                .machine
                .time_limit
                .filter(|limit| *limit > 2 * GRACE)
                .map(|limit| (limit - GRACE).as_secs());
        }
        self.machine.run(&job, stdout).map(Some)
    }

    /// Turns the outcome of a run into an exit status, as [`judge`] does. After
    /// a good run in virtual time, results get their figures.
    ///
    /// # Errors
    ///
    /// See [`vtime::finish`].
    pub fn close(&self, outcome: &Outcome) -> Result<i32> {
        let status = judge(outcome);
        if status == 0 && matches!(self.machine.accelerator, Accelerator::VirtualTime(_)) {
            vtime::finish(&self.machine.vtime_report(), &self.out_dir())?;
        }
        Ok(status)
    }
}

/// Turns an outcome into an exit status and says on stderr what went wrong.
pub fn judge(outcome: &Outcome) -> i32 {
    let show_log = |why: &str| {
        eprintln!("x: {why}; the console's last lines:");
        for line in guestlog::tail(&outcome.log, TAIL).lines() {
            eprintln!("    {line}");
        }
        eprintln!("full log: {}", outcome.log_path.display());
    };
    if outcome.timed_out {
        show_log("the guest ran into its time limit (--time-limit)");
        return STATUS_TIMED_OUT;
    }
    if let Some(first) = outcome.complaints.first() {
        show_log(&format!("the kernel complains: {first}"));
        return STATUS_COMPLAINT;
    }
    match outcome.status {
        None => {
            show_log("the guest died before the command ended");
            STATUS_DIED
        }
        Some(status) => {
            if status == STATUS_INIT_FAILED || status == STATUS_TIMED_OUT {
                show_log(&format!("the guest ended with status {status}"));
            }
            status
        }
    }
}

/// `./x boot`: boots and runs a command, or a shell on the console.
///
/// # Errors
///
/// Something does not build, or QEMU cannot be run.
pub fn boot(ctx: &Context, args: &MachineArgs, argv: &[String]) -> Result<i32> {
    let mut args = args.clone();
    if !argv.is_empty() {
        args.time_limit.get_or_insert(600);
    }
    tools::build(ctx)?;
    let guest = Guest::prepare(ctx, &args, "boot")?;
    let outcome = guest.run(ctx, argv, &mut pass_through)?;
    outcome.map_or(Ok(0), |outcome| guest.close(&outcome))
}

/// Writes the guest's output to our own.
pub fn pass_through(bytes: &[u8]) {
    let mut stdout = std::io::stdout();
    // Nobody reads our stdout any more: the guest's command goes on without.
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

fn choose(ctx: &Context, args: &MachineArgs, machine: &Machine) -> Result<(Accelerator, String)> {
    if args.icount {
        let words = "TCG, clock counts instructions (icount)";
        return Ok((Accelerator::Icount, words.to_string()));
    }
    if args.profile {
        let plugin = profile::Plugin {
            library: tools::profile_plugin(ctx),
            switch: if ctx.dry_run {
                None
            } else {
                Some(profile::switch_code(&machine.image)?)
            },
        };
        let words = "TCG, clock counts instructions (icount), and so does a plugin";
        return Ok((Accelerator::Profile(plugin), words.to_string()));
    }
    if args.virtual_time {
        let plugin = vtime::Plugin {
            library: tools::vtime_plugin(ctx),
            quantum: args.quantum,
            crossing: args.crossing,
            polling: if ctx.dry_run {
                None
            } else {
                Some(vtime::idle_code(&machine.image)?)
            },
        };
        let words = format!(
            "TCG in virtual time (quantum {}, crossing {})",
            args.quantum, args.crossing
        );
        return Ok((Accelerator::VirtualTime(plugin), words));
    }
    match args.accel {
        AccelChoice::Kvm => Ok((Accelerator::Kvm, "KVM".to_string())),
        AccelChoice::Tcg => Ok((Accelerator::Tcg, "TCG".to_string())),
        AccelChoice::Auto if ctx.dry_run => Ok((
            Accelerator::Tcg,
            "TCG (a dry run probes no KVM)".to_string(),
        )),
        AccelChoice::Auto => match kvm::problem(ctx, machine, &new_job(ctx, &[]))? {
            None => Ok((Accelerator::Kvm, "KVM".to_string())),
            Some(problem) => Ok((
                Accelerator::Tcg,
                format!("TCG (KVM probe failed: {problem})"),
            )),
        },
    }
}

/// A job with the environment that every command in the guest gets.
fn new_job(ctx: &Context, argv: &[String]) -> Job {
    let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let path = format!("{}:{system}", ctx.target.join("release").display());
    let mut env: BTreeMap<String, String> = [
        ("PATH", path.as_str()),
        ("HOME", "/tmp"),
        ("LANG", "C.UTF-8"),
        ("SAIO_OUT", OUT_DIR),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .collect();
    for name in ["TERM", "RUST_BACKTRACE", "SAIO_TEST_SEED"] {
        if let Ok(value) = env::var(name) {
            env.insert(name.to_string(), value);
        }
    }
    Job {
        argv: argv.to_vec(),
        env,
        cwd: ctx.root.clone(),
        time_limit_s: None,
        keep: vec![ctx.root.clone(), ctx.cache.clone()],
    }
}

/// Names a run of this process: `name-PID-N`.
fn run_name(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{number}", std::process::id())
}

/// Removes logs of earlier runs of this name whose driver has ended.
fn remove_dead_runs(runs: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(runs) else {
        return;
    };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let process = file_name
            .to_str()
            .and_then(|text| text.strip_prefix(name)?.strip_prefix('-'))
            .and_then(|text| text.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            // Somebody else may remove it at the same time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Boots and runs saio-bench; its results come back.
///
/// # Errors
///
/// Something does not build, or QEMU cannot be run.
pub fn bench(ctx: &Context, args: &MachineArgs, bench_args: &[String]) -> Result<i32> {
    let mut args = args.clone();
    args.time_limit.get_or_insert(3600);
    tools::build(ctx)?;
    let guest = Guest::prepare(ctx, &args, "bench")?;
    let mut argv = vec![ctx.program("saio-bench").display().to_string()];
    argv.extend_from_slice(bench_args);
    let Some(outcome) = guest.run(ctx, &argv, &mut pass_through)? else {
        return Ok(0);
    };
    exec::step(&format!(
        "what it wrote to {OUT_DIR} lies in {}",
        guest.out_dir().display()
    ));
    guest.close(&outcome)
}
