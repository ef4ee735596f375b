// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where the preload library is.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

/// File name of the preload library.
pub const FILE: &str = "libsaio_preload.so";

/// Finds the preload library.
///
/// `given` is what the user named with `--preload` or `SAIO_PRELOAD_PATH`; without it the library is looked
/// for beside the executable and in the places where it is installed.
///
/// # Errors
///
/// The named file does not exist, none of the usual places has one, or the path cannot stand in `LD_PRELOAD`.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.canonicalize().with_context(|| {
            format!(
                "--preload (or SAIO_PRELOAD_PATH): cannot use {}",
                path.display()
            )
        })?,
        None => search(&places())?,
    };
    if !path.is_file() {
        bail!(
            "--preload (or SAIO_PRELOAD_PATH): {} is not a file; name the library itself",
            path.display()
        );
    }
    // The dynamic linker splits LD_PRELOAD at both and knows no quoting.
    if path.to_string_lossy().contains([':', ' ']) {
        bail!(
            "{} cannot be preloaded: LD_PRELOAD takes no path with a space or colon; copy the library elsewhere and name it with --preload",
            path.display()
        );
    }
    Ok(path)
}

fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(dir) = env::current_exe()
        .ok()
        .as_deref()
        .and_then(|exe| exe.parent())
    {
        places.push(dir.join(FILE));
        places.push(dir.join("../lib/saio").join(FILE));
    }
    places.push(Path::new("/usr/local/lib/saio").join(FILE));
    places.push(Path::new("/usr/lib/saio").join(FILE));
    places
}

fn search(places: &[PathBuf]) -> Result<PathBuf> {
    if let Some(found) = places.iter().find_map(|place| place.canonicalize().ok()) {
        return Ok(found);
    }
    let looked: Vec<String> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    bail!(
        "{FILE} not found (looked for {}); name it with --preload FILE or SAIO_PRELOAD_PATH",
        looked.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_file_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lib.so");
        std::fs::write(&file, "").unwrap();
        assert_eq!(find(Some(&file)).unwrap(), file.canonicalize().unwrap());
    }

    #[test]
    fn error_names_the_flag() {
        let error = find(Some(Path::new("/nonexistent/lib.so"))).unwrap_err();
        assert!(format!("{error:#}").contains("--preload"));
    }

    #[test]
    fn path_with_a_colon_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a:b.so");
        std::fs::write(&file, "").unwrap();
        assert!(format!("{:#}", find(Some(&file)).unwrap_err()).contains("colon"));
    }

    #[test]
    fn places_are_tried_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let second = dir.path().join("second.so");
        std::fs::write(&second, "").unwrap();
        let found = search(&[dir.path().join("first.so"), second.clone()]).unwrap();
        assert_eq!(found, second.canonicalize().unwrap());
        assert!(search(&[dir.path().join("first.so")]).is_err());
    }
}
