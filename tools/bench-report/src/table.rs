// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables on the terminal.

use comfy_table::{presets, Table};

/// A table of `rows` below `header`.
pub(crate) fn plain(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}

/// The name and value of each parameter: `connections = 64, workers = 2`.
pub(crate) fn parameters<'a>(all: impl IntoIterator<Item = (&'a String, &'a f64)>) -> String {
    let all: Vec<String> = all
        .into_iter()
        .map(|(name, value)| format!("{name} = {}", crate::units::parameter(*value)))
        .collect();
    all.join(", ")
}
