// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where output goes.

use std::io;

use anyhow::Result;
use comfy_table::{presets, CellAlignment, Table};

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
    fn tables_are_aligned() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(&["name", ">count"], [row(["a", "7"]), row(["bcdef", "12"])]);
        assert_eq!(text, "name   count\na          7\nbcdef     12\n");
    }
}
