// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where output goes.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::{Context, Result};
use comfy_table::{presets, CellAlignment, Table};

/// Writes to stdout. If nobody reads it any more, what was to be done is done all the same.
///
/// # Errors
///
/// stdout cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Writes a line to stderr, if there is anybody to read it.
pub fn say(text: impl Display) {
    let _ = writeln!(io::stderr(), "saioctl: {text}");
}

/// Writes a warning to stderr, if there is anybody to read it.
pub fn warn(text: impl Display) {
    say(format_args!("warning: {text}"));
}

/// Takes it as the end, not as an error, that nobody reads the output any more (`saioctl trace | head`).
///
/// # Errors
///
/// Those of `result`, but for that one.
pub fn until_closed(result: Result<u8>) -> Result<u8> {
    match result {
        Err(error) if is_closed(&error) => Ok(0),
        other => other,
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Nanoseconds in the largest unit that leaves something before the point.
pub fn duration(ns: u64) -> String {
    match ns as f64 {
        ns if ns >= 1e9 => format!("{:.1} s", ns / 1e9),
        ns if ns >= 1e6 => format!("{:.1} ms", ns / 1e6),
        ns if ns >= 1e3 => format!("{:.1} us", ns / 1e3),
        ns => format!("{ns} ns"),
    }
}

/// A share in whole percent.
pub fn percent(part: f64, all: f64) -> String {
    let percent = 100.0 * part / all;
    if percent > 0.0 && percent < 0.5 {
        return "<1 %".to_owned();
    }
    format!("{percent:.0} %")
}

/// A table without lines, a row ending with a newline. Columns whose title begins with `>` are aligned to the right.
pub fn table(titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(titles.iter().map(|title| title.trim_start_matches('>')));
    for row in rows {
        table.add_row(row);
    }
    for (column, title) in table.column_iter_mut().zip(titles) {
        column.set_padding((0, 2));
        if title.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_pipe_is_no_error() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(until_closed(Err(closed().into())).unwrap(), 0);
        let wrapped = anyhow::Error::from(closed()).context("cannot write");
        assert_eq!(until_closed(Err(wrapped)).unwrap(), 0);
        assert!(until_closed(Err(anyhow::anyhow!("else"))).is_err());
        assert_eq!(until_closed(Ok(3)).unwrap(), 3);
    }

    #[test]
    fn times_have_their_unit() {
        let said = [0, 16, 999, 2048, 1 << 21, 2_500_000_000].map(duration);
        let wanted = ["0 ns", "16 ns", "999 ns", "2.0 us", "2.1 ms", "2.5 s"];
        assert_eq!(said, wanted);
    }

    #[test]
    fn tables_are_aligned() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(&["name", ">count"], [row(["a", "7"]), row(["bcdef", "12"])]);
        assert_eq!(text, "name   count\na          7\nbcdef     12\n");
    }
}
