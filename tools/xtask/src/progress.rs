// SPDX-License-Identifier: MIT OR Apache-2.0

//! Long commands: output to a log file, one line of progress on the terminal.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context as _, Result};

use crate::exec;
use crate::paths::{self, Context};

/// Lines of the log that an error shows.
const TAIL: usize = 40;

/// How often the line is renewed on a terminal, and printed elsewhere.
const ON_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(30);

/// Runs a command with stdout and stderr in the file `log`, showing progress.
///
/// Every line in make's short form ("  CC      fs/open.o") counts as a step.
///
/// # Errors
///
/// The command fails: the error has the lines that tell why, and the log's path.
pub fn logged(ctx: &Context, label: &str, command: &Command, log: &Path) -> Result<()> {
    if ctx.dry_run {
        exec::print(command);
        return Ok(());
    }
    if let Some(dir) = log.parent() {
        paths::make_dir(dir)?;
    }
    let mut file =
        File::create(log).with_context(|| format!("cannot write the log {}", log.display()))?;
    writeln!(file, "+ {}", exec::show(command))?;

    // One pipe for both streams keeps their order.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$@\" 2>&1", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    let mut child = shell.spawn().context("cannot run sh")?;
    let stdout = child.stdout.take().context("no pipe from the command")?;

    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });

    let mut display = Display::new(label);
    let mut tail = Tail::default();
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                writeln!(file, "{line}")?;
                display.line(&line);
                tail.line(line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        display.refresh();
    }
    let status = child.wait().context("cannot wait for the command")?;
    // It ended when the pipe did; a panic there has lost nothing but lines.
    let _ = reader.join();
    display.finish();
    if !status.success() {
        bail!(
            "{label} failed ({status}):\n{tail}\nfull log: {}",
            log.display()
        );
    }
    Ok(())
}

/// Formats a duration as minutes and seconds.
pub fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{seconds}s")
    } else {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

/// Returns what a line of make's short form says, in one space.
fn make_step(line: &str) -> Option<String> {
    let mut words = line.strip_prefix("  ")?.split_whitespace();
    let tool = words.next()?;
    let known = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_[]".contains(c);
    if !tool.chars().all(known) {
        return None;
    }
    // "RUSTC L rust/core.o": L says how it is built.
    let object = words.next_back()?;
    Some(format!("{tool} {object}"))
}

struct Display {
    label: String,
    start: Instant,
    shown: Instant,
    steps: u64,
    last: String,
    terminal: bool,
}

impl Display {
    fn new(label: &str) -> Self {
        Display {
            label: label.to_string(),
            start: Instant::now(),
            shown: Instant::now(),
            steps: 0,
            last: String::new(),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(step) = make_step(line) {
            self.steps += 1;
            self.last = step;
        }
    }

    fn text(&self) -> String {
        let time = elapsed(self.start.elapsed());
        format!("=> {}: {} objects, {time}", self.label, self.steps)
    }

    fn refresh(&mut self) {
        let interval = if self.terminal {
            ON_TERMINAL
        } else {
            ELSEWHERE
        };
        if self.shown.elapsed() < interval {
            return;
        }
        self.shown = Instant::now();
        let text = format!("{}: {}", self.text(), self.last);
        if self.terminal {
            let text: String = text.chars().take(79).collect();
            eprint!("\r\x1b[K{text}");
        } else {
            eprintln!("{text}");
        }
    }

    fn finish(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
        eprintln!("{}", self.text());
    }
}

/// The end of the output, and the lines before it that look like errors.
#[derive(Default)]
struct Tail {
    errors: Vec<String>,
    last: VecDeque<String>,
}

impl Tail {
    fn line(&mut self, line: String) {
        self.last.push_back(line);
        if self.last.len() > TAIL {
            let line = self.last.pop_front().unwrap_or_default();
            if self.errors.len() < TAIL && is_error(&line) {
                self.errors.push(line);
            }
        }
    }
}

fn is_error(line: &str) -> bool {
    ["error:", "error[", "Error ", "*** ", "undefined symbol"]
        .iter()
        .any(|mark| line.contains(mark))
}

impl std::fmt::Display for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.errors {
            writeln!(f, "    {line}")?;
        }
        if !self.errors.is_empty() {
            writeln!(f, "    [...]")?;
        }
        for line in &self.last {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_form_lines_are_steps() {
        assert_eq!(
            make_step("  CC      net/ipv4/tcp.o").as_deref(),
            Some("CC net/ipv4/tcp.o")
        );
        assert_eq!(
            make_step("  RUSTC L rust/core.o").as_deref(),
            Some("RUSTC rust/core.o")
        );
        assert_eq!(make_step("make[1]: Entering directory"), None);
        assert_eq!(make_step("  warning: something"), None);
    }

    #[test]
    fn an_early_error_is_not_lost() {
        let mut tail = Tail::default();
        tail.line("kernel/saio/mod.rs: error: no".to_string());
        for number in 0..100 {
            tail.line(format!("line {number}"));
        }
        let text = tail.to_string();
        assert!(text.contains("error: no"));
        assert!(text.contains("line 99"));
        assert!(!text.contains("line 59"));
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(elapsed(Duration::from_secs(7)), "7s");
        assert_eq!(elapsed(Duration::from_secs(130)), "2m10s");
    }
}
