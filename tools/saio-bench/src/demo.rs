// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench demo`: nginx with static files, variants side by side. A figure as `saio-bench run` measures them.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use clap::Args;

use crate::client::Amount;
use crate::places::{self, Places};
use crate::run::{self, Figure, Load, Origin, What};
use crate::server::group;
use crate::stage::{Size, Variant};

/// The figure.
const FIGURE: &str = include_str!("../../../configs/bench/demo.toml");

/// Arguments of `saio-bench demo`. What is not given is as configs/bench/demo.toml has it.
#[derive(Args)]
pub struct DemoArgs {
    /// The results file to write; a relative path is below SAIO_OUT where that is set
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Requests of one sample at least; ten for each connection if that is more [default: 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,

    /// Samples of each value [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeats: Option<u32>,

    /// Numbers of connections, at most 1000 each [default: 1,16,64,256]
    #[arg(long, value_name = "N,...", value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: Option<Vec<u32>>,

    /// Sizes of the file served: bytes, or KiB with a k, or MiB with an m [default: 1k,20k]
    #[arg(long, value_name = "SIZE,...", value_delimiter = ',')]
    sizes: Option<Vec<Size>>,

    /// What to compare [default: default,nopush,inline]
    #[arg(long, value_enum, value_delimiter = ',')]
    variants: Option<Vec<Variant>>,

    /// One sample of each value, with a quarter of the requests
    #[arg(long)]
    quick: bool,

    #[command(flatten)]
    origin: Origin,

    #[command(flatten)]
    places: Places,
}

/// Measures and writes the results file.
///
/// # Errors
///
/// Something that is needed is missing; a request failed; a server logged what no good server logs; or the
/// variant under SAIO ran without it.
pub fn demo(args: &DemoArgs) -> Result<()> {
    let mut figure = figure()?;
    let What::Servers(load) = &mut figure.what else {
        bail!("the demo measures no servers");
    };
    if let Some(requests) = args.requests {
        load.amount = Amount::Requests(requests);
    }
    if let Some(repeats) = args.repeats {
        figure.repeats = repeats;
    }
    replace(&mut load.connections, &args.connections);
    replace(&mut load.sizes, &args.sizes);
    replace(&mut load.variants, &args.variants);
    check(load)?;
    if args.quick {
        figure.shorten();
    }
    group::end_with_us()?;
    let file = places::output(&args.out)?;
    let results = run::measure(&figure, &file, &args.origin, &args.places)?;
    results.context("nothing was measured")?;
    Ok(())
}

fn figure() -> Result<Figure> {
    let figures = run::parse(Path::new("configs/bench/demo.toml"), FIGURE)?;
    figures.into_iter().next().context("no figure")
}

fn replace<T: Clone>(list: &mut Vec<T>, given: &Option<Vec<T>>) {
    if let Some(given) = given {
        list.clone_from(given);
    }
}

fn check(load: &Load) -> Result<()> {
    ensure!(
        !load.sizes.is_empty() && !load.connections.is_empty() && !load.variants.is_empty(),
        "--sizes, --connections and --variants need a value each"
    );
    ensure!(
        !load.variants.contains(&Variant::IoUring),
        "--variants io-uring: there is no such nginx"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_what_the_help_says() {
        let figure = figure().unwrap();
        assert_eq!(figure.repeats, 3);
        let What::Servers(load) = figure.what else {
            panic!("no servers");
        };
        assert_eq!(load.amount, Amount::Requests(2000));
        assert_eq!(load.connections, [1, 16, 64, 256]);
        let sizes: Vec<&str> = load.sizes.iter().map(|size| size.name.as_str()).collect();
        assert_eq!(sizes, ["1k", "20k"]);
        let variants = [Variant::Default, Variant::Nopush, Variant::Inline];
        assert_eq!(load.variants, variants);
        assert_eq!(load.workload(&load.points()[0]), "nginx-1k");
    }
}
