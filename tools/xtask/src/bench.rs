// SPDX-License-Identifier: MIT OR Apache-2.0

//! `./x bench`: figures of configs/bench, each measured in a guest with the
//! right instrument, and drawn.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure, Context as _, Result};
use clap::Args;
use serde::Deserialize;

use crate::boot::{self, AccelChoice, Guest, MachineArgs};
use crate::exec;
use crate::guard;
use crate::paths::{self, Context};
use crate::report;
use crate::tools;
use crate::vtime;

/// Where figures are described.
const DIR: &str = "configs/bench";
/// What the figures have to show.
const GOALS: &str = "configs/bench/goals.toml";
/// How files end that lie beside those of figures and are not measured with them.
const OTHERS: [&str; 2] = ["goals.toml", "guard.toml"];
/// Seconds until a guest is ended, if the user names none.
const TIME_LIMIT: u64 = 8 * 3600;
/// Instructions that a crossing costs more in virtual time: about what real
/// processors take.
const CROSSING: u64 = 1000;
/// Exit status of `saio-bench run` where some of the figures could not be
/// measured.
const STATUS_SOME_FAILED: i32 = 1;
/// How often results are fetched while the guest runs.
const FETCH: Duration = Duration::from_secs(5);

/// Options of `./x bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Figures to measure [default: all]
    #[arg(value_name = "FIGURE")]
    figures: Vec<String>,

    /// Print the names of the figures and end
    #[arg(long)]
    list: bool,

    /// Measure what configs/bench/goals.toml needs, and judge by it
    ///
    /// Exit status 1: a goal is missed, or could not be measured.
    #[arg(long, conflicts_with = "figures")]
    goals: bool,

    /// Measure what ./x test guard measures, and compare it with its reference
    ///
    /// Exit status 1: more than 2 % was lost.
    #[arg(long, conflicts_with_all = ["figures", "goals", "list", "quick"])]
    guard: bool,

    /// Make what is seen the reference
    #[arg(long, requires = "guard")]
    accept: bool,

    /// Fewer samples and requests: figures less exact
    #[arg(long)]
    quick: bool,

    #[command(flatten)]
    machine: MachineArgs,

    /// Arguments of saio-bench, instead of figures
    #[arg(last = true, value_name = "ARGS", conflicts_with_all = ["figures", "goals", "guard", "list", "quick"])]
    args: Vec<String>,
}

impl BenchArgs {
    /// The machine that was asked for.
    #[cfg(test)]
    pub fn machine(&self) -> &MachineArgs {
        &self.machine
    }
}

/// What has to be known of a figure to boot for it; saio-bench reads the rest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Figure {
    name: String,
    title: String,
    /// CPUs that it needs
    #[serde(default = "one")]
    processors: usize,
    /// Instructions that a crossing costs more in virtual time
    #[serde(default = "crossing")]
    crossing: u64,
    #[serde(skip)]
    file: PathBuf,
}

fn one() -> usize {
    1
}

fn crossing() -> u64 {
    CROSSING
}

#[derive(Deserialize)]
struct File {
    figure: Vec<Figure>,
}

/// What has to be known of a goal to measure for it; bench-report reads the rest.
#[derive(Deserialize)]
struct Goal {
    figure: String,
}

#[derive(Deserialize)]
struct GoalsFile {
    goal: Vec<Goal>,
}

/// A figure that was not measured, and why.
type LeftOut = (String, String);

/// Measures figures, or runs saio-bench as it is told.
///
/// # Errors
///
/// There is no such figure, something does not build, or QEMU cannot be run.
pub fn run(ctx: &Context, args: &BenchArgs) -> Result<i32> {
    if !args.args.is_empty() {
        return boot::bench(ctx, &args.machine, &args.args);
    }
    if args.guard {
        return guard::bench(ctx, args.accept);
    }
    let names = match args.goals {
        true => needed(&ctx.root.join(GOALS))?,
        false => args.figures.clone(),
    };
    let figures = chosen(figures(&ctx.root.join(DIR))?, &names)?;
    if args.list {
        for figure in figures {
            println!("{}: {}", figure.name, figure.title);
        }
        return Ok(0);
    }
    measure(ctx, args, &figures)
}

/// All figures, in the order of the files' names.
fn figures(dir: &Path) -> Result<Vec<Figure>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let name = file.to_string_lossy();
        name.ends_with(".toml") && !OTHERS.iter().any(|end| name.ends_with(end))
    });
    files.sort();
    let mut figures = Vec::new();
    for file in files {
        let content: File = toml::from_str(&paths::read(&file)?)
            .with_context(|| format!("{} describes no figures", file.display()))?;
        figures.extend(content.figure.into_iter().map(|figure| Figure {
            file: file.clone(),
            ..figure
        }));
    }
    Ok(figures)
}

/// The figures that goals are about.
fn needed(goals: &Path) -> Result<Vec<String>> {
    let content: GoalsFile = toml::from_str(&paths::read(goals)?)
        .with_context(|| format!("{}: each goal needs its figure", goals.display()))?;
    let mut names: Vec<String> = content.goal.into_iter().map(|goal| goal.figure).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Those that were asked for.
fn chosen(mut figures: Vec<Figure>, names: &[String]) -> Result<Vec<Figure>> {
    for name in names {
        if !figures.iter().any(|figure| figure.name == *name) {
            let all: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
            bail!("there is no figure {name}; there are {}", all.join(", "));
        }
    }
    figures.retain(|figure| names.is_empty() || names.contains(&figure.name));
    Ok(figures)
}

/// A boot, and the figures that are measured in it.
struct Boot<'a> {
    machine: MachineArgs,
    figures: Vec<&'a Figure>,
}

/// The machines that figures are measured on. Unless the user names one:
/// figures of one CPU by counting instructions, which repeats on a busy machine;
/// each figure of several in a boot of its own, in virtual time.
fn boots<'a>(args: &MachineArgs, figures: &'a [Figure]) -> Vec<Boot<'a>> {
    let mut machine = args.clone();
    machine.time_limit.get_or_insert(TIME_LIMIT);
    if args.accel != AccelChoice::Auto {
        let figures = figures.iter().collect();
        return vec![Boot { machine, figures }];
    }
    let (several, single): (Vec<&Figure>, Vec<&Figure>) =
        figures.iter().partition(|figure| figure.processors > 1);
    let mut boots = Vec::new();
    if !single.is_empty() {
        boots.push(Boot {
            machine: MachineArgs {
                icount: true,
                cpus: 1,
                ..machine.clone()
            },
            figures: single,
        });
    }
    boots.extend(several.into_iter().map(|figure| Boot {
        machine: MachineArgs {
            virtual_time: true,
            cpus: figure.processors,
            crossing: figure.crossing,
            ..machine.clone()
        },
        figures: vec![figure],
    }));
    boots
}

/// Measures figures and draws what there is. What cannot be measured here is
/// left out, with the reason.
fn measure(ctx: &Context, args: &BenchArgs, figures: &[Figure]) -> Result<i32> {
    ensure!(
        !args.machine.virtual_time && !args.machine.icount,
        "each figure has its instrument: leave --virtual-time and --icount out, or name a \
         command: ./x bench --icount -- run configs/bench/redis.toml"
    );
    tools::build(ctx)?;
    let mut left_out: Vec<LeftOut> = Vec::new();
    let mut measured = 0;
    let mut failed = 0;
    for boot in boots(&args.machine, figures) {
        if boot.machine.virtual_time {
            if let Err(reason) = vtime::check(&ctx.qemu) {
                leave_out(&mut left_out, &boot, &format!("{reason:#}"));
                continue;
            }
        }
        if args.goals && !ctx.dry_run {
            forget(&report::results(ctx), &boot)?;
        }
        match boot_for(ctx, args, &boot) {
            Ok(0) => {}
            // What the others show is to be seen all the same.
            Ok(STATUS_SOME_FAILED) if args.goals => failed = STATUS_SOME_FAILED,
            Ok(status) => return Ok(status),
            Err(reason) if args.goals && boot.machine.virtual_time => {
                leave_out(&mut left_out, &boot, &format!("{reason:#}"));
                continue;
            }
            Err(error) => return Err(error),
        }
        measured += 1;
    }
    if measured == 0 {
        return Ok(0);
    }
    let page = report::draw(ctx)?;
    if ctx.dry_run {
        return Ok(0);
    }
    if args.goals && !report::check_goals(ctx, GOALS, &left_out) {
        failed = 1;
    }
    println!("report: {}", page.display());
    Ok(failed)
}

fn leave_out(left_out: &mut Vec<LeftOut>, boot: &Boot, reason: &str) {
    for figure in &boot.figures {
        exec::step(&format!("{} is left out: {reason}", figure.name));
        // It becomes a line of a table.
        let reason = reason.lines().next().unwrap_or_default();
        let reason = reason.split(". ").next().unwrap_or_default();
        left_out.push((figure.name.clone(), reason.to_string()));
    }
}

/// Removes what earlier measurements of a boot's figures have shown, which must
/// not be judged if this one fails.
fn forget(results: &Path, boot: &Boot) -> Result<()> {
    for figure in &boot.figures {
        let file = results.join(format!("{}.json", figure.name));
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", file.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Boots once and measures. Returns the exit status.
fn boot_for(ctx: &Context, args: &BenchArgs, boot: &Boot) -> Result<i32> {
    let machine = &boot.machine;
    let guest = Guest::prepare(ctx, machine, "bench")?;
    exec::step(&format!("measuring on Linux {}", guest.release()));
    let argv = command(ctx, args, machine, &guest, &boot.figures);
    let results = report::results(ctx);
    if machine.virtual_time {
        // Its results are none before QEMU's plugin has completed them.
        let Some(outcome) = guest.run(ctx, &argv, &mut boot::pass_through)? else {
            return Ok(0);
        };
        let status = guest.close(&outcome)?;
        if status == 0 {
            paths::make_dir(&results)?;
            fetch(&guest.out_dir(), &results)?;
        }
        return Ok(status);
    }
    let outcome = fetching(&guest.out_dir(), &results, ctx.dry_run, || {
        guest.run(ctx, &argv, &mut boot::pass_through)
    })?;
    let status = outcome.as_ref().map_or(0, boot::judge);
    if status != 0 {
        let results = results.display();
        exec::step(&format!("what was measured before lies in {results}"));
    }
    Ok(status)
}

/// What is run in the guest.
fn command(
    ctx: &Context,
    args: &BenchArgs,
    machine: &MachineArgs,
    guest: &Guest,
    figures: &[&Figure],
) -> Vec<String> {
    let mut argv = vec![
        ctx.program("saio-bench").display().to_string(),
        "run".into(),
    ];
    let mut files: Vec<String> = figures
        .iter()
        .map(|figure| figure.file.display().to_string())
        .collect();
    files.dedup();
    argv.extend(files);
    for figure in figures {
        argv.extend(["--figure".to_string(), figure.name.clone()]);
    }
    if args.quick {
        argv.push("--quick".to_string());
    }
    let mut again = vec!["./x bench".to_string()];
    again.extend(args.figures.iter().cloned());
    again.extend(args.goals.then(|| "--goals".to_string()));
    again.extend(args.quick.then(|| "--quick".to_string()));
    argv.extend(guest.described(machine.config, &again.join(" ")));
    argv
}

/// Runs something and meanwhile fetches what it writes, so that it is there
/// also if we are interrupted.
fn fetching<T>(
    from: &Path,
    to: &Path,
    dry_run: bool,
    run: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if dry_run {
        return run();
    }
    paths::make_dir(to)?;
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while stopped.recv_timeout(FETCH) == Err(RecvTimeoutError::Timeout) {
                // The directory is not there before QEMU is; the last try says what is wrong.
                let _ = fetch(from, to);
            }
        });
        let result = run();
        drop(stop);
        let fetched = fetch(from, to);
        let result = result?;
        fetched.map(|()| result)
    })
}

/// Copies results, each as a whole.
///
/// # Errors
///
/// They cannot be read or written.
pub fn fetch(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let Some(name) = path.file_name().filter(|_| is_json(&path)) else {
            continue;
        };
        let half = to.join(name).with_extension("part");
        fs::copy(&path, &half)
            .and_then(|_| fs::rename(&half, to.join(name)))
            .with_context(|| format!("cannot copy {} to {}", path.display(), to.display()))?;
    }
    Ok(())
}

fn is_json(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trees_figures_are_found_and_chosen() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(DIR);
        let all = figures(&dir).unwrap();
        assert!(all.iter().any(|figure| figure.name == "demo"));
        let names = ["redis", "size"].map(str::to_string);
        let some = chosen(all.clone(), &names).unwrap();
        assert_eq!(some.len(), 2);
        assert_eq!(chosen(all.clone(), &[]).unwrap(), all);
        let error = chosen(all, &["radish".to_string()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no figure radish") && error.contains("redis"),
            "{error}"
        );
    }

    #[test]
    fn the_trees_goals_have_their_figures() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let names = needed(&dir.join(GOALS)).unwrap();
        assert!(names.contains(&"pool".to_string()));
        let chosen = chosen(figures(&dir.join(DIR)).unwrap(), &names).unwrap();
        assert_eq!(chosen.len(), names.len());
    }

    #[test]
    fn what_was_measured_before_is_not_judged() {
        let dir = std::env::temp_dir().join(format!("xtask-forget-{}", std::process::id()));
        for name in ["a.json", "b.json"] {
            paths::write(&dir.join(name), "{}").unwrap();
        }
        let figures = ["a", "c"].map(|name| Figure {
            name: name.to_string(),
            title: "t".to_string(),
            processors: 1,
            crossing: CROSSING,
            file: PathBuf::new(),
        });
        let boot = Boot {
            machine: MachineArgs::default(),
            figures: figures.iter().collect(),
        };
        forget(&dir, &boot).unwrap();
        assert!(!dir.join("a.json").exists() && dir.join("b.json").exists());
        let mut left_out = Vec::new();
        leave_out(&mut left_out, &boot, "too old. Fetch\none");
        assert_eq!(left_out[1], ("c".to_string(), "too old".to_string()));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn figures_are_booted_for_by_their_instruments() {
        let figure = |name: &str, processors| Figure {
            name: name.to_string(),
            title: "t".to_string(),
            processors,
            crossing: if name == "b" { 0 } else { CROSSING },
            file: PathBuf::new(),
        };
        let figures = [
            figure("a", 1),
            figure("b", 8),
            figure("c", 1),
            figure("d", 4),
        ];
        let boots_of = |args: &MachineArgs| -> Vec<(bool, bool, usize, u64, String)> {
            let names = |boot: &Boot| {
                let names = boot.figures.iter().map(|figure| figure.name.as_str());
                names.collect::<String>()
            };
            boots(args, &figures)
                .iter()
                .map(|boot| {
                    let machine = &boot.machine;
                    (
                        machine.icount,
                        machine.virtual_time,
                        machine.cpus,
                        machine.crossing,
                        names(boot),
                    )
                })
                .collect()
        };
        let expected = [
            (true, false, 1, 0, "ac".to_string()),
            (false, true, 8, 0, "b".to_string()),
            (false, true, 4, 1000, "d".to_string()),
        ];
        assert_eq!(boots_of(&MachineArgs::default()), expected);
        let kvm = MachineArgs {
            accel: AccelChoice::Kvm,
            cpus: 4,
            ..MachineArgs::default()
        };
        assert_eq!(boots_of(&kvm), [(false, false, 4, 0, "abcd".to_string())]);
    }

    #[test]
    fn results_are_fetched_also_if_the_run_fails() {
        let base = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let (from, to) = (base.join("from"), base.join("to"));
        paths::write(&from.join("a.json"), "{}").unwrap();
        paths::write(&from.join("console.log"), "no").unwrap();
        let ran: Result<()> = fetching(&from, &to, false, || bail!("died"));
        assert!(ran.is_err());
        let found: Vec<_> = fs::read_dir(&to).unwrap().flatten().collect();
        assert_eq!(found.len(), 1);
        assert_eq!(paths::read(&to.join("a.json")).unwrap(), "{}");
        fs::remove_dir_all(&base).unwrap();
    }
}
