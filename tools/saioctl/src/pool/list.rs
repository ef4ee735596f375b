// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool list`.

use anyhow::Result;
use clap::Args;
use saio::pool::Pool;
use serde::Serialize;

use super::error::looking;
use super::kernel::{Kernel, Pools};
use super::report::{fields, PoolView};
use super::{print_json, SCHEMA};
use crate::output;

/// Arguments of `saioctl pool list`.
#[derive(Args)]
pub struct ListArgs {
    /// Writes the pools as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listing {
    schema: u32,
    pools: Vec<PoolView>,
}

/// Lists the pools.
///
/// # Errors
///
/// The kernel has none.
pub fn list(args: &ListArgs) -> Result<()> {
    let pools = Kernel.list().map_err(looking)?;
    if args.json {
        return print_json(&Listing {
            schema: SCHEMA,
            pools: pools.iter().map(PoolView::from).collect(),
        });
    }
    output::print(&table(&pools))
}

fn table(pools: &[Pool]) -> String {
    let titles = [
        "pool", ">workers", ">max", ">idle", "CPUs", "group", ">rings",
    ];
    let row = |pool: &Pool| {
        let mut row = vec![pool.name.to_string()];
        row.extend(fields(&pool.attributes).map(|(_, value)| value));
        row.push(pool.rings.to_string());
        row
    };
    output::table(&titles, pools.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::Fake;
    use super::*;

    #[test]
    fn titles_fit_the_rows() {
        let kernel = Fake::new();
        kernel.attach("default", 12);
        let text = table(&kernel.list().unwrap());
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows,
            [
                ["pool", "workers", "max", "idle", "CPUs", "group", "rings"],
                ["default", "1", "2", "200us", "0-7", "root", "12"],
            ]
        );
    }
}
