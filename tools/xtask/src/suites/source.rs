// SPDX-License-Identifier: MIT OR Apache-2.0

//! The distribution's source of an installed package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context as _, Result};

use crate::exec;
use crate::paths::{self, Context};
use crate::progress;

/// Where apt's own configuration lies.
const APT: &str = "/etc/apt";

/// Returns the unpacked source of an installed binary package, of just its
/// version; fetches it if it is not in the cache.
///
/// # Errors
///
/// The package is not installed, or its source cannot be had or unpacked.
pub fn get(ctx: &Context, package: &str) -> Result<PathBuf> {
    let (name, version) = installed(package)?;
    let dir = home(ctx).join(format!("{name}-{}", version.replace([':', '~'], "_")));
    let source = dir.join("source");
    if source.is_dir() {
        return Ok(source);
    }
    exec::step(&format!("fetching the source of {name} {version}"));
    let apt = own_apt(ctx)?;
    if !ctx.dry_run {
        paths::make_dir(&dir)?;
    }
    let run = |what: &str, command: &Command| {
        let log = ctx.log(&format!("suites-{name}-{what}"));
        progress::logged(ctx, &format!("{name}: {what}"), command, &log)
    };
    run("apt-get update", apt.command().arg("update"))?;
    let mut fetch = apt.command();
    fetch
        .args(["source", "--download-only", "--only-source"])
        .arg(format!("{name}={version}"))
        .current_dir(&dir);
    run("apt-get source", &fetch).with_context(|| {
        format!(
            "the source of {name} {version} cannot be had: if the mirror has a newer one, \
             install that ({package})"
        )
    })?;
    // Unpacked under another name first: what is called source is complete.
    let unpacked = dir.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)
            .with_context(|| format!("cannot remove {}", unpacked.display()))?;
    }
    let mut unpack = Command::new("dpkg-source");
    unpack
        .args(["--extract", &description(ctx, &dir)?])
        .arg(&unpacked)
        .current_dir(&dir);
    run("dpkg-source", &unpack)?;
    if !ctx.dry_run {
        fs::rename(&unpacked, &source)
            .with_context(|| format!("cannot rename {}", unpacked.display()))?;
    }
    Ok(source)
}

/// Directory of everything about suites.
fn home(ctx: &Context) -> PathBuf {
    ctx.cache.join("suites")
}

/// Name and version of the source that an installed package was built from.
fn installed(package: &str) -> Result<(String, String)> {
    let format = "${db:Status-Status} ${source:Package} ${source:Version}";
    let words = exec::output(Command::new("dpkg-query").args(["-W", "-f", format, package]))
        .with_context(|| format!("{package} is not installed; ./x suites installs it"))?;
    match words.split_whitespace().collect::<Vec<_>>()[..] {
        ["installed", name, version] => Ok((name.to_string(), version.to_string())),
        _ => bail!("{package} is not installed; ./x suites installs it"),
    }
}

/// The file that says what belongs to the source.
fn description(ctx: &Context, dir: &Path) -> Result<String> {
    if ctx.dry_run {
        return Ok("*.dsc".to_string());
    }
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|name| name.ends_with(".dsc"))
        .with_context(|| format!("apt-get source left no .dsc in {}", dir.display()))
}

/// An apt with state of its own, which knows the machine's sources as sources.
struct Apt {
    dir: PathBuf,
}

fn own_apt(ctx: &Context) -> Result<Apt> {
    let dir = home(ctx).join("apt");
    let parts = dir.join("parts");
    if ctx.dry_run {
        return Ok(Apt { dir });
    }
    paths::make_dir(&dir.join("lists/partial"))?;
    paths::make_dir(&dir.join("cache/archives/partial"))?;
    if parts.exists() {
        fs::remove_dir_all(&parts).with_context(|| format!("cannot remove {}", parts.display()))?;
    }
    paths::make_dir(&parts)?;
    let mut files = vec![Path::new(APT).join("sources.list")];
    if let Ok(entries) = fs::read_dir(Path::new(APT).join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    for file in files.iter().filter(|file| file.is_file()) {
        let (Some(name), Some(kind)) = (file.file_name(), file.extension()) else {
            continue;
        };
        let text = paths::read(file)?;
        let text = match kind.to_str() {
            Some("list") => one_line(&text),
            Some("sources") => stanzas(&text),
            _ => continue,
        };
        paths::write(&parts.join(name), text)?;
    }
    Ok(Apt { dir })
}

impl Apt {
    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        let mut set = |name: &str, value: String| {
            command.args(["-o", &format!("{name}={value}")]);
        };
        let own = |name: &str| self.dir.join(name).display().to_string();
        set("Dir::Etc::sourcelist", "/dev/null".to_string());
        set("Dir::Etc::sourceparts", own("parts"));
        set("Dir::State::lists", own("lists"));
        set("Dir::Cache", own("cache"));
        // Its own user could not write there.
        set("APT::Sandbox::User", String::new());
        command
    }
}

/// Turns `deb` lines into `deb-src` lines.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let rest = line.trim_start().strip_prefix("deb");
        match rest.filter(|rest| rest.starts_with(char::is_whitespace)) {
            Some(rest) => format!("deb-src{rest}\n"),
            None => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// Turns stanzas of binary packages into those of sources.
fn stanzas(text: &str) -> String {
    let lines = text.lines().map(|line| {
        if line.to_ascii_lowercase().starts_with("types:") {
            "Types: deb-src\n".to_string()
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_binaries_become_lines_of_sources() {
        let text = "# deb no\ndeb [signed-by=/k] http://m/debian trixie main\n\
                    deb-src http://m/debian trixie main\n";
        assert_eq!(
            one_line(text),
            "# deb no\ndeb-src [signed-by=/k] http://m/debian trixie main\n\
             deb-src http://m/debian trixie main\n"
        );
    }

    #[test]
    fn stanzas_keep_what_else_they_say() {
        let text = "Types: deb deb-src\nURIs: http://m/debian\nSigned-By:\n -----BEGIN\n";
        assert_eq!(
            stanzas(text),
            "Types: deb-src\nURIs: http://m/debian\nSigned-By:\n -----BEGIN\n"
        );
    }
}
