// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which files of the project go where in the kernel tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::paths::Context;

/// The kernel part of the project.
const KERNEL_PART: &str = "rust/kernel-saio";

/// Its home in the kernel tree.
const HOME: &str = "kernel/saio";

/// Lists the overlay: paths in the kernel tree, and the files they come from.
///
/// Headers keep their place below `include/`; everything else of the kernel
/// part goes to `kernel/saio/`. What only the host's tests need stays out.
///
/// # Errors
///
/// The kernel part cannot be read.
pub fn list(ctx: &Context) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let top = ctx.root.join(KERNEL_PART);
    let mut found = Vec::new();
    walk(&top, &mut found)?;

    let mut files = BTreeMap::new();
    for path in found {
        if let Some(place) = path.strip_prefix(&top).ok().and_then(place) {
            files.insert(place, path);
        }
    }
    files.insert(
        Path::new(HOME).join("Kconfig"),
        ctx.root.join("Kconfig.saio"),
    );
    Ok(files)
}

/// Returns where a file of the kernel part goes, none if it stays out.
fn place(file: &Path) -> Option<PathBuf> {
    if ["logic/tests", "logic/benches", "logic/target"]
        .iter()
        .any(|dir| file.starts_with(dir))
    {
        return None;
    }
    let name = file.file_name()?.to_str()?;
    let wanted = ["Makefile", "Kbuild"].contains(&name)
        || ["rs", "c", "h", "S"]
            .iter()
            .any(|kind| file.extension().is_some_and(|ext| ext == *kind));
    if !wanted {
        return None;
    }
    if file.starts_with("include") {
        Some(file.to_path_buf())
    } else {
        Some(Path::new(HOME).join(file))
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list {}", dir.display()))?
            .path();
        if path.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(file: &str) -> Option<String> {
        place(Path::new(file)).map(|p| p.to_string_lossy().into_owned())
    }

    #[test]
    fn headers_keep_their_place_and_the_rest_moves() {
        assert_eq!(
            place_of("include/uapi/linux/saio.h").as_deref(),
            Some("include/uapi/linux/saio.h")
        );
        assert_eq!(
            place_of("Makefile").as_deref(),
            Some("kernel/saio/Makefile")
        );
        assert_eq!(
            place_of("logic/ring.rs").as_deref(),
            Some("kernel/saio/logic/ring.rs")
        );
    }

    #[test]
    fn what_only_the_host_needs_stays_out() {
        assert_eq!(place_of("logic/Cargo.toml"), None);
        assert_eq!(place_of("logic/tests/loom.rs"), None);
        assert_eq!(place_of("README.md"), None);
    }
}
