// SPDX-License-Identifier: MIT OR Apache-2.0
//! Results in, a directory with page, figures and data out.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::figure::{self, FigureError};
use crate::fonts::{self, FontError};
use crate::group::{Collection, Source};
use crate::page;
use crate::results::{write_atomically, ResultsError};

/// Where figures lie below the report's directory.
const FIGURES: &str = "figures";
/// Where the copies of the results lie below the report's directory.
const DATA: &str = "data";

/// What to make.
#[derive(Clone, Debug)]
pub struct Options {
    /// Results files, and directories of them.
    pub results: Vec<PathBuf>,
    /// The report's directory; made if it is not there.
    pub output: PathBuf,
    /// Title of the page; `None` takes those of the results.
    pub title: Option<String>,
    /// How many times larger than the SVG the PNG files are.
    pub png_scale: u32,
    /// The font; `None` looks in the usual places.
    pub font: Option<PathBuf>,
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The page.
    pub report: PathBuf,
    /// The figures, in the page's order.
    pub figures: Vec<FigureFiles>,
}

/// The files of one figure.
#[derive(Clone, Debug, Serialize)]
pub struct FigureFiles {
    /// Its heading.
    pub title: String,
    /// The drawing.
    pub svg: PathBuf,
    /// The picture.
    pub png: PathBuf,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// The results cannot be used.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// There is no font.
    #[error(transparent)]
    Font(#[from] FontError),
    /// A figure cannot be drawn.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// A file cannot be written.
    #[error("cannot write {} (-o)", .file.display())]
    Write {
        /// The file or directory.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Makes the report that `options` describe and calls `progress` with a line
/// for each step.
///
/// # Errors
///
/// [`GenerateError`]; files written before it stay.
pub fn generate(
    options: &Options,
    mut progress: impl FnMut(&str),
) -> Result<Report, GenerateError> {
    let collection = Collection::load(&options.results)?;
    let font = fonts::find(options.font.as_deref())?;
    fonts::register(&font)?;
    progress(&format!(
        "read {} results files: {} figures, font {}",
        collection.sources.len(),
        collection.sheets.len(),
        font.display()
    ));

    let figures_directory = options.output.join(FIGURES);
    let data_directory = options.output.join(DATA);
    for directory in [&figures_directory, &data_directory] {
        fs::create_dir_all(directory).map_err(|source| GenerateError::Write {
            file: directory.clone(),
            source,
        })?;
    }

    let mut taken = BTreeSet::new();
    let mut figures = Vec::new();
    let mut names = Vec::new();
    let total = collection.sheets.len();
    for (index, sheet) in collection.sheets.iter().enumerate() {
        let title = sheet.title();
        progress(&format!("drawing {}/{total}: {title}", index + 1));
        let instrument = &collection.settings[sheet.setting].instrument;
        let name = unique(&mut taken, &slug(&title), "");
        let svg = figures_directory.join(format!("{name}.svg"));
        let png = figures_directory.join(format!("{name}.png"));
        write(&svg, figure::svg(sheet, instrument)?.as_bytes())?;
        figure::png(sheet, instrument, &png, options.png_scale)?;
        names.push(format!("{FIGURES}/{name}"));
        figures.push(FigureFiles { title, svg, png });
    }

    let data = copy_data(&collection.sources, &data_directory)?;
    let report = options.output.join("index.html");
    let page = page::render(&page::Contents {
        collection: &collection,
        title: options.title.as_deref(),
        figures: &names,
        data: &data,
    });
    write(&report, page.as_bytes())?;
    Ok(Report { report, figures })
}

/// Puts the results into `directory`; returns their names for links.
fn copy_data(sources: &[Source], directory: &Path) -> Result<Vec<String>, GenerateError> {
    let mut taken = BTreeSet::new();
    let mut links = Vec::new();
    for source in sources {
        let stem = source
            .file
            .file_stem()
            .map_or_else(String::new, |stem| slug(&stem.to_string_lossy()));
        let name = unique(&mut taken, &stem, ".json");
        source.results.save(&directory.join(&name))?;
        links.push(format!("{DATA}/{name}"));
    }
    Ok(links)
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), GenerateError> {
    write_atomically(file, bytes).map_err(|source| GenerateError::Write {
        file: file.to_owned(),
        source,
    })
}

/// `text` as a file name: lower case letters, digits and single hyphens.
fn slug(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() {
        "unnamed".to_owned()
    } else {
        words.join("-")
    }
}

/// `stem` and `ending`, with a number between them if the name is taken.
fn unique(taken: &mut BTreeSet<String>, stem: &str, ending: &str) -> String {
    let mut name = format!("{stem}{ending}");
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{stem}-{number}{ending}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(
            slug("nginx-1k: server cpu, workers = 2"),
            "nginx-1k-server-cpu-workers-2"
        );
        assert_eq!(slug("../.."), "unnamed");
        let mut taken = BTreeSet::new();
        assert_eq!(unique(&mut taken, "a", ".json"), "a.json");
        assert_eq!(unique(&mut taken, "a", ".json"), "a-2.json");
        assert_eq!(unique(&mut taken, "a", ".json"), "a-3.json");
    }
}
