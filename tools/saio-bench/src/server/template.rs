// SPDX-License-Identifier: MIT OR Apache-2.0

//! Configurations from templates: words between @ are filled in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

/// Fills in the template `name` below `configs` and writes it to a directory, without `.in`. Returns the file.
///
/// # Errors
///
/// The template cannot be read, has an unknown word, or the file cannot be written.
pub fn write(configs: &Path, name: &str, dir: &Path, values: &[(&str, String)]) -> Result<PathBuf> {
    let template = configs.join(name);
    let text = fs::read_to_string(&template).with_context(|| {
        format!(
            "cannot read {}; name the source tree's configs with --configs DIR",
            template.display()
        )
    })?;
    let text = fill(&text, values).with_context(|| format!("in {}", template.display()))?;
    let file_name = Path::new(name.trim_end_matches(".in"))
        .file_name()
        .unwrap_or_default();
    let file = dir.join(file_name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Puts values in the place of words; a word is written `@word@` in the text.
///
/// # Errors
///
/// A word that has no value.
pub fn fill(text: &str, values: &[(&str, String)]) -> Result<String> {
    let mut text = text.to_owned();
    for (word, value) in values {
        text = text.replace(&format!("@{word}@"), value);
    }
    let rest = text
        .lines()
        .find(|line| !line.trim_start().starts_with('#') && line.contains('@'));
    match rest {
        Some(line) => bail!("unknown word in: {}", line.trim()),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in() {
        let values = [("port", "81".to_owned())];
        assert_eq!(
            fill("# @port@ @\nlisten @port@;", &values).unwrap(),
            "# 81 @\nlisten 81;"
        );
        let error = fill("x @what@;", &values).unwrap_err();
        assert!(error.to_string().contains("@what@"));
    }
}
