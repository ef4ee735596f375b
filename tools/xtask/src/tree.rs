// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel tree that is built: source, patches and overlay.
//!
//! One tree for each source. It is brought up to date file by file, so that
//! make sees new times only on files whose contents changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::exec;
use crate::overlay;
use crate::patches;
use crate::paths::{self, Context};
use crate::source::{self, Source};

/// A kernel tree with the series applied and the overlay in place.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its root directory.
    pub dir: PathBuf,
    /// The source that it was made from.
    pub source: Source,
    /// Hash of everything that differs from the source.
    pub generation: String,
}

/// Files that may differ from the source, so that they can be put back.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    changed: BTreeSet<PathBuf>,
}

/// Makes the tree, or brings it up to date.
///
/// # Errors
///
/// No source, a patch that does not apply, an overlay file that would replace
/// an upstream one.
pub fn prepare(ctx: &Context) -> Result<Tree> {
    let source = source::ensure(ctx)?;
    let dir = ctx.cache.join(format!("tree-{}", source.key));
    if !dir.is_dir() {
        clone_source(ctx, &source.dir, &dir)?;
    }
    let series = patches::load(ctx)?;
    let overlay = overlay::list(ctx)?;
    if ctx.dry_run {
        println!(
            "# {}: apply {} patches, lay over {} files",
            dir.display(),
            series.len(),
            overlay.len()
        );
        return Ok(Tree {
            dir,
            source,
            generation: "dry-run".to_string(),
        });
    }

    let scratch = ctx.cache.join(format!("scratch-{}", source.key));
    patches::apply(&series, &source.dir, &scratch, &source.version)?;
    let mut wanted: BTreeMap<PathBuf, PathBuf> = patches::touched(&series)
        .into_iter()
        .map(|file| (file.clone(), scratch.join(file)))
        .collect();
    for (place, from) in overlay {
        if source.dir.join(&place).exists() {
            bail!(
                "{} would replace an upstream file, {}; change that with a patch",
                from.display(),
                place.display()
            );
        }
        wanted.insert(place, from);
    }

    let generation = update(&wanted, &source, &dir)?;
    Ok(Tree {
        dir,
        source,
        generation,
    })
}

/// Makes a tree of hard links: [`replace`] never writes to a file in place.
fn clone_source(ctx: &Context, source: &Path, dir: &Path) -> Result<()> {
    let partial = dir.with_extension("partial");
    if partial.exists() && !ctx.dry_run {
        fs::remove_dir_all(&partial)
            .with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--link"]).arg(source).arg(&partial);
    exec::run(ctx, &mut copy)?;
    if ctx.dry_run {
        return Ok(());
    }
    fs::rename(&partial, dir).with_context(|| format!("cannot make {}", dir.display()))
}

/// Gives the tree the wanted files and puts back those no longer wanted.
/// Returns the hash of the result.
fn update(wanted: &BTreeMap<PathBuf, PathBuf>, source: &Source, dir: &Path) -> Result<String> {
    let state_file = dir.with_extension("state");
    let old: State = match fs::read_to_string(&state_file) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; remove it", state_file.display()))?,
        Err(_) => State::default(),
    };
    // Both sets first: an interrupted update must be put right by the next.
    let both = State {
        changed: old.changed.iter().chain(wanted.keys()).cloned().collect(),
    };
    paths::write(&state_file, serde_json::to_string(&both)?)?;

    for stale in old
        .changed
        .iter()
        .filter(|file| !wanted.contains_key(*file))
    {
        let upstream = source.dir.join(stale);
        let place = dir.join(stale);
        if upstream.exists() {
            replace(&upstream, &place)?;
        } else if place.exists() {
            fs::remove_file(&place)
                .with_context(|| format!("cannot remove {}", place.display()))?;
        }
    }
    let mut hash = Sha256::new();
    for (file, from) in wanted {
        let contents = replace(from, &dir.join(file))?;
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update(Sha256::digest(&contents));
    }
    let new = State {
        changed: wanted.keys().cloned().collect(),
    };
    paths::write(&state_file, serde_json::to_string(&new)?)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// Makes `place` a copy of `from` unless it already is one; returns the contents.
fn replace(from: &Path, place: &Path) -> Result<Vec<u8>> {
    let contents = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(place).is_ok_and(|old| old == contents) {
        return Ok(contents);
    }
    if let Some(dir) = place.parent() {
        paths::make_dir(dir)?;
    }
    let mut fresh = place.as_os_str().to_owned();
    fresh.push(".saio-new");
    // A copy with the mode of the original and the time of now.
    fs::copy(from, &fresh)
        .and_then(|_| fs::rename(&fresh, place))
        .with_context(|| format!("cannot write {}", place.display()))?;
    Ok(contents)
}
