// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench run`: figures that files describe.

mod calls;
mod figure;
mod file;
mod record;
mod servers;
mod value;

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{bail, Result};
use clap::Args;

use crate::crossings;
use crate::places::{self, Places};
use crate::server::group;

pub use calls::marked;
pub use figure::{Call, Figure, Load, What, LARGEST_BATCH};
pub use file::parse;
pub use record::Origin;
use record::{Clock, Record};
pub use value::Bad;

/// Arguments of `saio-bench run`.
#[derive(Args)]
pub struct RunArgs {
    /// Files that describe figures, such as configs/bench/*.toml
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The figure to measure; repeat for several [default: all in the files]
    #[arg(long = "figure", value_name = "NAME")]
    figures: Vec<String>,

    /// The results file to write, for one figure; a relative path is below SAIO_OUT where that is set [default: the
    /// figure's name with .json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// One sample of each value, with a quarter of the requests
    #[arg(long)]
    quick: bool,

    /// Also prints the results on stdout: a line of JSON for each figure
    #[arg(long)]
    json: bool,

    /// Prints the names and titles of the figures and ends
    #[arg(long)]
    list: bool,

    #[command(flatten)]
    origin: Origin,

    #[command(flatten)]
    places: Places,
}

/// Measures figures. Returns the exit status: 1 if one could not be measured.
///
/// # Errors
///
/// [`Bad`] if a file cannot be used; or something that all figures need is missing.
pub fn run(args: &RunArgs) -> Result<u8> {
    let figures = chosen(args)?;
    if args.list {
        for figure in &figures {
            println!("{}: {}", figure.name, figure.title);
        }
        return Ok(0);
    }
    if args.out.is_some() && figures.len() > 1 {
        let problem = "--out is for one figure: choose it with --figure, or leave --out out";
        bail!(Bad::Missing(problem.into()));
    }
    group::end_with_us()?;
    let mut failed = 0;
    for mut figure in figures {
        if args.quick {
            figure.shorten();
        }
        let default = PathBuf::from(format!("{}.json", figure.name));
        let file = places::output(args.out.as_ref().unwrap_or(&default))?;
        match measure(&figure, &file, &args.origin, &args.places) {
            Ok(Some(results)) if args.json => println!("{}", serde_json::to_string(&results)?),
            Ok(_) => {}
            Err(error) => {
                eprintln!("saio-bench: {}: {error:#}", figure.name);
                failed += 1;
            }
        }
    }
    Ok(u8::from(failed > 0))
}

/// The figures of the files that were asked for, in the order of the files.
fn chosen(args: &RunArgs) -> Result<Vec<Figure>> {
    let mut figures: Vec<Figure> = Vec::new();
    for file in &args.files {
        for figure in file::load(file)? {
            if figures.iter().any(|other| other.name == figure.name) {
                let problem = format!(
                    "{}: there is another figure called {}: rename one",
                    file.display(),
                    figure.name
                );
                bail!(Bad::Missing(problem));
            }
            figures.push(figure);
        }
    }
    for name in &args.figures {
        if !figures.iter().any(|figure| figure.name == *name) {
            let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
            let problem = format!("--figure {name}: there are {}", names.join(", "));
            bail!(Bad::Missing(problem));
        }
    }
    figures.retain(|figure| args.figures.is_empty() || args.figures.contains(&figure.name));
    Ok(figures)
}

/// Measures one figure and writes its results; `None` if it has to be left out here, which is said.
///
/// # Errors
///
/// Something that is needed is missing, or a measurement failed. What was measured before is in the file.
pub fn measure(
    figure: &Figure,
    file: &Path,
    origin: &Origin,
    places: &Places,
) -> Result<Option<bench_report::results::Results>> {
    let clock = origin.instrument;
    let processors = available_parallelism().map_or(1, |number| number.get());
    if figure.processors > processors {
        eprintln!(
            "{} is left out: it needs {} processors, and here are {processors}",
            figure.name, figure.processors
        );
        return Ok(None);
    }
    if clock == Clock::VirtualTime && (figure.processors == 1 || !figure.has_wrk()) {
        eprintln!(
            "{} is left out: in virtual time a figure needs several processors and client = \"wrk\"",
            figure.name
        );
        return Ok(None);
    }
    let notes = figure.notes.clone();
    let mut record = Record::new(file.to_owned(), &figure.title, notes, origin);
    match &figure.what {
        What::Servers(load) => {
            crossings::check()?;
            servers::measure(figure, load, clock, places, &mut record)?;
        }
        What::Calls(batches) => calls::measure(figure, batches, clock, &mut record)?,
    }
    if record.is_empty() {
        return Ok(None);
    }
    eprintln!("results: {}", record.file().display());
    Ok(Some(record.results()))
}
