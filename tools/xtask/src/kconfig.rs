// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel configurations: fragments laid over tinyconfig, and the check that
//! every line of them took effect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{bail, Result};
use clap::ValueEnum;

use crate::paths::{self, Context};

/// Which kernel to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Config {
    /// A server's kernel with SAIO; the one that is measured.
    Plain,
    /// The patched kernel with SAIO, and Rust, off.
    Off,
    /// As plain, with unit tests, KASAN, lockdep, kmemleak and other checks.
    Debug,
    /// As plain with unit tests, but only for clippy to look at: its objects are not those of a kernel.
    #[value(skip)]
    Clippy,
}

impl Config {
    /// Its name, as in `--config` and in the names of directories.
    pub fn name(self) -> &'static str {
        match self {
            Config::Plain => "plain",
            Config::Off => "off",
            Config::Debug => "debug",
            Config::Clippy => "clippy",
        }
    }

    /// Names of its fragments, in order.
    pub fn fragments(self) -> &'static [&'static str] {
        match self {
            Config::Plain => &["base", "server", "rust", "saio"],
            Config::Off => &["base", "server", "saio-off"],
            Config::Debug => &["base", "server", "rust", "saio", "kunit", "debug"],
            Config::Clippy => &["base", "server", "rust", "saio", "kunit"],
        }
    }

    /// Files of its fragments.
    pub fn fragment_files(self, ctx: &Context) -> Vec<PathBuf> {
        let dir = ctx.root.join("configs/kernel");
        self.fragments()
            .iter()
            .map(|name| dir.join(format!("{name}.config")))
            .collect()
    }
}

/// What an option is asked to be: a value, or `n`.
type Options = BTreeMap<String, String>;

/// Compares the configuration with what the fragments ask for.
///
/// # Errors
///
/// An option did not become what a fragment says; the error names each with its
/// fragment. Mitigations that this 6.12.y does not know yet are not counted.
pub fn verify(fragments: &[PathBuf], dot_config: &Path, tree: &Path) -> Result<()> {
    let got = parse(&paths::read(dot_config)?);
    let known = paths::read(&tree.join("arch/x86/Kconfig"))?;
    let mut asked: BTreeMap<String, (String, &Path)> = BTreeMap::new();
    for fragment in fragments {
        for (option, value) in parse(&paths::read(fragment)?) {
            asked.insert(option, (value, fragment.as_path()));
        }
    }
    let mut wrong = Vec::new();
    for (option, (value, fragment)) in &asked {
        let found = got.get(option).map_or("n", String::as_str);
        let future = option.starts_with("CONFIG_MITIGATION_") && !defines(&known, option);
        if found != value && !future {
            wrong.push(format!(
                "  {option}={value} ({}) became {found}",
                fragment.file_name().unwrap_or_default().to_string_lossy()
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "the kernel's configuration does not follow configs/kernel/; an option is unknown or \
         one that it depends on is off:\n{}",
        wrong.join("\n")
    );
}

/// Reads options of a fragment or a .config.
fn parse(text: &str) -> Options {
    let mut options = Options::new();
    for line in text.lines() {
        let unset = line
            .strip_prefix("# ")
            .and_then(|rest| rest.strip_suffix(" is not set"));
        if let Some(option) = unset.filter(|option| option.starts_with("CONFIG_")) {
            options.insert(option.to_string(), "n".to_string());
        } else if let Some((option, value)) = line.split_once('=') {
            if option.starts_with("CONFIG_") {
                options.insert(option.to_string(), value.trim().to_string());
            }
        }
    }
    options
}

/// Whether a Kconfig file defines an option.
fn defines(kconfig: &str, option: &str) -> bool {
    let name = option.trim_start_matches("CONFIG_");
    kconfig
        .lines()
        .any(|line| line.strip_prefix("config ").map(str::trim) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_values_or_off() {
        let options = parse("# why\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x=y\"\n");
        assert_eq!(options["CONFIG_A"], "y");
        assert_eq!(options["CONFIG_B"], "n");
        assert_eq!(options["CONFIG_C"], "\"x=y\"");
        assert_eq!(options.len(), 3);
    }

    #[test]
    fn a_definition_is_a_whole_line() {
        let text = "config MITIGATION_ITS\n\tbool \"x\"\n";
        assert!(defines(text, "CONFIG_MITIGATION_ITS"));
        assert!(!defines(text, "CONFIG_MITIGATION_IT"));
    }
}
