// SPDX-License-Identifier: MIT OR Apache-2.0

//! The patch series: which files it touches, and applying it to copies of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{bail, Context as _, Result};

use crate::paths::{self, Context};

/// Where the series lies in the project.
const SERIES_DIR: &str = "linux-patches/6.12";

/// A patch in mail format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// File name, as in the series file.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Subject of the mail without `[PATCH …]`.
    pub subject: Option<String>,
    /// Whether it has a Signed-off-by line.
    pub signed_off: bool,
    /// Files that it changes.
    pub files: Vec<PathBuf>,
    /// Files that it adds or removes.
    pub added_or_removed: Vec<PathBuf>,
    /// Added and removed lines.
    pub changed_lines: usize,
}

/// Reads the series in order.
///
/// # Errors
///
/// A file is missing, or a patch has no hunks.
pub fn load(ctx: &Context) -> Result<Vec<Patch>> {
    let dir = ctx.root.join(SERIES_DIR);
    let mut patches = Vec::new();
    for name in series(&paths::read(&dir.join("series"))?) {
        let path = dir.join(&name);
        let text = fs::read(&path)
            .with_context(|| format!("{SERIES_DIR}/series names {name}, which cannot be read"))?;
        let patch = parse(&name, &path, &String::from_utf8_lossy(&text));
        if patch.changed_lines == 0 {
            bail!("{} changes nothing: is it a patch?", path.display());
        }
        patches.push(patch);
    }
    Ok(patches)
}

/// All files that a series changes.
pub fn touched(patches: &[Patch]) -> BTreeSet<PathBuf> {
    patches.iter().flat_map(|p| p.files.clone()).collect()
}

/// Names of the patches in a series file.
fn series(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(str::to_string)
        .collect()
}

fn parse(name: &str, path: &Path, text: &str) -> Patch {
    let mut patch = Patch {
        name: name.to_string(),
        path: path.to_path_buf(),
        subject: None,
        signed_off: false,
        files: Vec::new(),
        added_or_removed: Vec::new(),
        changed_lines: 0,
    };
    let mut lines = text.lines();
    let mut old = None;
    while let Some(line) = lines.next() {
        if let Some(subject) = line.strip_prefix("Subject:") {
            let subject = subject.trim();
            let subject = match subject.strip_prefix('[').and_then(|s| s.split_once(']')) {
                Some((_, rest)) => rest.trim(),
                None => subject,
            };
            patch.subject.get_or_insert_with(|| subject.to_string());
        } else if line.starts_with("Signed-off-by: ") {
            patch.signed_off = true;
        } else if let Some(file) = line.strip_prefix("--- ") {
            old = file_name(file);
        } else if let Some(file) = line.strip_prefix("+++ ") {
            match (old.take(), file_name(file)) {
                (Some(_), Some(file)) => patch.files.push(file),
                (Some(file), None) | (None, Some(file)) => patch.added_or_removed.push(file),
                (None, None) => {}
            }
        } else if let Some((mut from, mut to)) = hunk(line) {
            while from > 0 || to > 0 {
                match lines.next().map(|line| line.chars().next()) {
                    Some(Some('-')) => {
                        from = from.saturating_sub(1);
                        patch.changed_lines += 1;
                    }
                    Some(Some('+')) => {
                        to = to.saturating_sub(1);
                        patch.changed_lines += 1;
                    }
                    Some(Some('\\')) => {}
                    // An empty line is context whose blank got lost.
                    Some(_) => {
                        from = from.saturating_sub(1);
                        to = to.saturating_sub(1);
                    }
                    None => break,
                }
            }
        }
    }
    patch
}

/// Returns the path of a `---` or `+++` line below its first directory, none
/// for /dev/null and for the `---` that ends a mail's text.
fn file_name(text: &str) -> Option<PathBuf> {
    let path = text.split('\t').next()?.trim();
    path.strip_prefix("a/")
        .or_else(|| path.strip_prefix("b/"))
        .map(PathBuf::from)
}

/// Returns the numbers of old and new lines of a `@@ -1,2 +3,4 @@` line.
fn hunk(line: &str) -> Option<(usize, usize)> {
    let mut words = line.strip_prefix("@@ -")?.split(' ');
    let count = |range: &str| match range.split_once(',') {
        Some((_, count)) => count.parse().ok(),
        None => Some(1),
    };
    let from = count(words.next()?)?;
    let to = count(words.next()?.strip_prefix('+')?)?;
    Some((from, to))
}

/// Applies the series to copies, in `scratch`, of the files that it touches.
///
/// Offsets are accepted, fuzz is not.
///
/// # Errors
///
/// A patch adds a file, names one that the source does not have, or has a hunk
/// that does not apply; the error names the patch and shows the rejected hunks.
pub fn apply(patches: &[Patch], pristine: &Path, scratch: &Path, version: &str) -> Result<()> {
    if scratch.exists() {
        fs::remove_dir_all(scratch)
            .with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    paths::make_dir(scratch)?;
    for patch in patches {
        if let Some(file) = patch.added_or_removed.first() {
            bail!(
                "{} adds or removes {}; patches change upstream files only, new files belong \
                 into rust/kernel-saio/",
                patch.name,
                file.display()
            );
        }
        for file in &patch.files {
            let copy = scratch.join(file);
            if copy.exists() {
                continue;
            }
            if let Some(dir) = copy.parent() {
                paths::make_dir(dir)?;
            }
            fs::copy(pristine.join(file), &copy).with_context(|| {
                format!(
                    "{} changes {}, which Linux {version} does not have",
                    patch.name,
                    file.display()
                )
            })?;
        }
        apply_one(patch, scratch, version)?;
    }
    Ok(())
}

fn apply_one(patch: &Patch, scratch: &Path, version: &str) -> Result<()> {
    let output = Command::new("patch")
        .args([
            "--strip=1",
            "--force",
            "--fuzz=0",
            "--no-backup-if-mismatch",
        ])
        .arg("--directory")
        .arg(scratch)
        .arg("--input")
        .arg(&patch.path)
        .stdin(Stdio::null())
        .output()
        .context("cannot run patch; install the package patch")?;
    if output.status.success() {
        return Ok(());
    }
    let mut report = String::from_utf8_lossy(&output.stdout).into_owned();
    for file in &patch.files {
        let mut reject = scratch.join(file).into_os_string();
        reject.push(".rej");
        if let Ok(text) = fs::read_to_string(&reject) {
            report.push_str(&format!("rejected in {}:\n{text}", file.display()));
        }
    }
    bail!(
        "{} does not apply to Linux {version}:\n{report}\n\
         Adapt {} to this source, or take another one with --kernel-src.",
        patch.name,
        patch.path.display()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: A <a@example.org>
Subject: [PATCH] exit: let SAIO go first
 and more

Why.

Signed-off-by: A <a@example.org>
---
 kernel/exit.c | 3 ++-
 1 file changed

--- a/kernel/exit.c
+++ b/kernel/exit.c
@@ -10,3 +10,4 @@ void do_exit(long code)
 one
--- two
+++ two
+three

@@ -1 +1 @@
-a
+b
--- /dev/null
+++ b/kernel/new.c
@@ -0,0 +1 @@
+x
-- 
2.39
";

    #[test]
    fn a_mail_is_understood() {
        let patch = parse("0001-x.patch", Path::new("/p"), MAIL);
        assert_eq!(patch.subject.as_deref(), Some("exit: let SAIO go first"));
        assert!(patch.signed_off);
        assert_eq!(patch.files, [PathBuf::from("kernel/exit.c")]);
        assert_eq!(patch.added_or_removed, [PathBuf::from("kernel/new.c")]);
        assert_eq!(patch.changed_lines, 6);
    }

    #[test]
    fn a_series_may_have_comments() {
        assert_eq!(
            series("# hooks\n0001-a.patch\n\n0002-b.patch # late\n"),
            ["0001-a.patch", "0002-b.patch"]
        );
    }

    #[test]
    fn hunk_headers_may_leave_out_a_count() {
        assert_eq!(hunk("@@ -1,2 +3,4 @@ int f()"), Some((2, 4)));
        assert_eq!(hunk("@@ -5 +5,2 @@"), Some((1, 2)));
        assert_eq!(hunk("@@ nothing"), None);
    }
}
