// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files to serve, with contents that repeat for a seed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::server::open_to_all;

/// When served files were changed for the last time: in 2001.
const CHANGED: Duration = Duration::from_secs(1_000_000_000);

/// Numbers that look random and repeat for a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }
}

/// A served file.
#[derive(Clone, Debug)]
pub struct Doc {
    /// Path to ask for
    pub path: String,
    /// What a response must carry
    pub body: Vec<u8>,
}

/// A directory of served files.
#[derive(Debug)]
pub struct Docs {
    /// The directory
    pub dir: PathBuf,
    files: Vec<Doc>,
}

impl Docs {
    /// Writes a file `NAME.bin` for each name and size in bytes.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or written.
    pub fn write(dir: &Path, sizes: &[(&str, usize)], seed: u64) -> Result<Self> {
        let mut random = Random::new(seed);
        fs::create_dir_all(dir)
            .and_then(|()| open_to_all(dir))
            .with_context(|| format!("cannot make {}", dir.display()))?;
        let mut files = Vec::new();
        // Servers tell when a file was changed: always the same, so that answers of different runs are.
        let changed = SystemTime::UNIX_EPOCH + CHANGED;
        for (name, size) in sizes {
            let mut body = Vec::with_capacity(size + 8);
            while body.len() < *size {
                body.extend(random.number().to_le_bytes());
            }
            body.truncate(*size);
            let file = dir.join(format!("{name}.bin"));
            fs::write(&file, &body)
                .and_then(|()| {
                    File::options()
                        .write(true)
                        .open(&file)?
                        .set_modified(changed)
                })
                .with_context(|| format!("cannot write {}", file.display()))?;
            files.push(Doc {
                path: format!("/{name}.bin"),
                body,
            });
        }
        Ok(Self {
            dir: dir.to_owned(),
            files,
        })
    }

    /// A file by the name given to [`Docs::write`].
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn get(&self, name: &str) -> Result<&Doc> {
        let path = format!("/{name}.bin");
        self.files
            .iter()
            .find(|doc| doc.path == path)
            .with_context(|| format!("no file {path} is served"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_repeat() {
        let dir = tempfile::tempdir().unwrap();
        let sizes = [("1b", 1), ("20k", 20 << 10)];
        let one = Docs::write(&dir.path().join("a"), &sizes, 7).unwrap();
        let two = Docs::write(&dir.path().join("b"), &sizes, 7).unwrap();
        let other = Docs::write(&dir.path().join("c"), &sizes, 8).unwrap();
        let body = |docs: &Docs| docs.get("20k").unwrap().body.clone();
        assert_eq!(body(&one).len(), 20 << 10);
        assert_eq!(body(&one), body(&two));
        assert_ne!(body(&one), body(&other));
        assert_eq!(fs::read(dir.path().join("a/1b.bin")).unwrap().len(), 1);
        assert!(one.get("2b").is_err());
    }
}
