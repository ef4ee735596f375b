// SPDX-License-Identifier: MIT OR Apache-2.0
//! The font that texts are laid out and drawn with.

use std::path::{Path, PathBuf};

use plotters::style::{register_font, FontStyle};
use thiserror::Error;

use crate::style::FONT_FAMILY;

/// Where distributions keep a suitable font.
pub const USUAL_PLACES: &[&str] = &[
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation2/LiberationSans-Regular.ttf",
];

/// Why there is no font.
#[derive(Debug, Error)]
pub enum FontError {
    /// None of [`USUAL_PLACES`] has one.
    #[error(
        "no font found: install the package fonts-dejavu-core, \
         or name a TrueType file with --font FILE"
    )]
    Missing,
    /// The file cannot be read.
    #[error("cannot read the font {} (--font)", .file.display())]
    Read {
        /// The font.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no font.
    #[error("{} is not a TrueType or OpenType font (--font)", .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
    },
}

/// The font to use: `wanted` if given, else the first of [`USUAL_PLACES`].
///
/// # Errors
///
/// [`FontError::Missing`] if there is none.
pub fn find(wanted: Option<&Path>) -> Result<PathBuf, FontError> {
    match wanted {
        Some(file) => Ok(file.to_owned()),
        None => USUAL_PLACES
            .iter()
            .map(PathBuf::from)
            .find(|file| file.is_file())
            .ok_or(FontError::Missing),
    }
}

/// Makes `file` the font of all figures. Its bytes stay in memory until the
/// process ends.
///
/// # Errors
///
/// [`FontError`] if the file cannot be read or is no font.
pub fn register(file: &Path) -> Result<(), FontError> {
    let bytes = std::fs::read(file).map_err(|source| FontError::Read {
        file: file.to_owned(),
        source,
    })?;
    // plotters keeps a reference for ever.
    let bytes: &'static [u8] = Box::leak(bytes.into_boxed_slice());
    register_font(FONT_FAMILY, FontStyle::Normal, bytes).map_err(|_| FontError::Invalid {
        file: file.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_font_is_taken_as_it_is() {
        let file = find(Some(Path::new("/no/such/font.ttf"))).unwrap();
        let error = register(&file).unwrap_err().to_string();
        assert!(error.contains("/no/such/font.ttf") && error.contains("--font"));
    }

    #[test]
    fn the_missing_font_names_package_and_flag() {
        let text = FontError::Missing.to_string();
        assert!(text.contains("fonts-dejavu-core") && text.contains("--font"));
    }
}
