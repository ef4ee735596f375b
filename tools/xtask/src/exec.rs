// SPDX-License-Identifier: MIT OR Apache-2.0

//! Running other programs.

use std::ffi::OsStr;
use std::io;
use std::process::Command;

use anyhow::{bail, Context as _, Result};

use crate::paths::Context;

/// Renders a command so that a shell would run it.
pub fn show(command: &Command) -> String {
    let mut words = Vec::new();
    if let Some(dir) = command.get_current_dir() {
        words.push(format!("cd {} &&", quote(dir.as_os_str())));
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.to_string_lossy(), quote(value)));
        }
    }
    words.push(quote(command.get_program()));
    words.extend(command.get_args().map(quote));
    words.join(" ")
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Says what is going on, on stderr: stdout belongs to the guest's command.
pub fn step(text: &str) {
    eprintln!("=> {text}");
}

/// Prints a command that a dry run does not run.
pub fn print(command: &Command) {
    println!("{}", show(command));
}

/// Explains why a program could not be started.
pub fn start_error(error: &io::Error, command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    if error.kind() == io::ErrorKind::NotFound {
        format!("{program} is not installed; ./x installs what is needed on Debian 12 and 13")
    } else {
        format!("cannot run {program}")
    }
}

/// Runs a command with its output passed through; a dry run prints it.
///
/// # Errors
///
/// The command cannot be started or fails.
pub fn run(ctx: &Context, command: &mut Command) -> Result<()> {
    if ctx.dry_run {
        print(command);
        return Ok(());
    }
    let status = match command.status() {
        Ok(status) => status,
        Err(error) => {
            let what = start_error(&error, command);
            return Err(error).context(what);
        }
    };
    if !status.success() {
        bail!("{status}: {}", show(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output. Not for dry runs: only for
/// commands that look and change nothing.
///
/// # Errors
///
/// The command cannot be started or fails; the error has its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            let what = start_error(&error, command);
            return Err(error).context(what);
        }
    };
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}: {}\n{}",
            output.status,
            show(command),
            complaint.trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let mut command = Command::new("echo");
        command.env("A", "b c").args(["plain", "it's", ""]);
        assert_eq!(show(&command), r"A='b c' echo plain 'it'\''s' ''");
    }
}
