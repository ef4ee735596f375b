// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report's page: one HTML file that explains itself.

use std::collections::BTreeSet;

use maud::{html, Markup, PreEscaped, DOCTYPE};

use crate::group::{Collection, Series, Setting, Sheet, Standing};
use crate::stats::{Summary, Verdict, NOISE};
use crate::style;
use crate::units::{parameter, percent, quantity, times};

const CSS: &str = include_str!("page.css");

/// What the page shows.
pub(crate) struct Contents<'a> {
    /// All that was read.
    pub collection: &'a Collection,
    /// The title; `None` takes those of the results.
    pub title: Option<&'a str>,
    /// The figures' files without their endings, one for each sheet.
    pub figures: &'a [String],
    /// The copies of the results, one for each source.
    pub data: &'a [String],
}

/// The page as HTML.
pub(crate) fn render(contents: &Contents<'_>) -> String {
    let collection = contents.collection;
    let title = match contents.title {
        Some(title) => title.to_owned(),
        None => joined(collection.sources.iter().map(|s| s.results.title.as_str())),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(CSS)) }
            }
            body {
                h1 { (title) }
                (measured(collection))
                h2 { "In short" }
                (summary(collection))
                h2 { "How it was measured" }
                @for (index, setting) in collection.settings.iter().enumerate() {
                    (how(collection, index, setting))
                }
                h2 { "How to read this page" }
                (reading())
                h2 { "Figures" }
                @for (sheet, name) in collection.sheets.iter().zip(contents.figures) {
                    (figure(collection, sheet, name))
                }
                h2 { "Raw data" }
                (raw_data(collection, contents.data))
            }
        }
    };
    page.into_string()
}

/// `texts` without repetitions, separated by commas, sorted.
fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = texts.collect::<BTreeSet<_>>().into_iter().collect();
    all.join(", ")
}

/// What was measured, in two sentences.
fn measured(collection: &Collection) -> Markup {
    let sheets = &collection.sheets;
    let all = || sheets.iter().flat_map(|sheet| &sheet.series);
    let workloads = joined(sheets.iter().map(|sheet| sheet.workload.as_str()));
    let variants = joined(all().filter(|s| !s.baseline).map(|s| s.variant.as_str()));
    let baselines = joined(all().filter(|s| s.baseline).map(|s| s.variant.as_str()));
    let metrics: Vec<String> = sheets.iter().map(Sheet::metric_name).collect();
    html! {
        p {
            "Measured: " b { (joined(metrics.iter().map(String::as_str))) }
            " of " b { (workloads) } ". "
            @if !variants.is_empty() { "Variants: " b { (variants) } ". " }
            @if baselines.is_empty() {
                "No variant is marked as a baseline, so there is nothing to compare with."
            } @else {
                "Baselines that they have to beat: " b { (baselines) } "."
            }
        }
    }
}

/// The weakest and the strongest ratio of each variant in each figure.
fn summary(collection: &Collection) -> Markup {
    let several = collection.settings.len() > 1;
    html! {
        p {
            "How many times better each variant is than the best baseline at the same load. "
            "Above 1 is better, whichever direction the metric has."
        }
        div.scroll { table {
            thead { tr {
                th { "figure" }
                @if several { th { "instrument" } }
                th { "variant" }
                th.number { "weakest" }
                th.number { "strongest" }
            } }
            tbody {
                @for (index, sheet) in collection.sheets.iter().enumerate() {
                    @for series in sheet.series.iter().filter(|series| !series.baseline) {
                        @if let Some((weakest, strongest)) = extremes(sheet, series) {
                            tr {
                                td { a href={ "#figure-" (index + 1) } { (sheet.title()) } }
                                @if several {
                                    td { (collection.settings[sheet.setting].instrument.kind.name()) }
                                }
                                td { (series.variant) }
                                (extreme(sheet, weakest))
                                (extreme(sheet, strongest))
                            }
                        }
                    }
                }
            }
        } }
    }
}

/// Positions and ratios of the smallest and the largest ratio of `series`.
fn extremes(sheet: &Sheet, series: &Series) -> Option<((f64, Standing), (f64, Standing))> {
    let all = || {
        series
            .points
            .iter()
            .filter_map(move |(x, _)| Some((*x, sheet.standing(&series.variant, *x)?)))
    };
    let weakest = all().min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio))?;
    let strongest = all().max_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio))?;
    Some((weakest, strongest))
}

fn extreme(sheet: &Sheet, (x, standing): (f64, Standing)) -> Markup {
    html! {
        td.number.(class(standing.verdict)) {
            span.ratio { (mark(standing.verdict)) (times(standing.ratio)) }
            @if let Some(axis) = &sheet.axis {
                span.small { (parameter(x)) " " (axis) }
            }
        }
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Same => "same",
        Verdict::Worse => "worse",
    }
}

/// A sign before a ratio, so that the verdict does not hang on a colour.
fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "▲ ",
        Verdict::Same => "",
        Verdict::Worse => "▼ ",
    }
}

/// Instrument, machine, kernel, command and notes of one setting.
fn how(collection: &Collection, index: usize, setting: &Setting) -> Markup {
    let Setting {
        instrument,
        machine,
        kernel,
    } = setting;
    let memory = machine.memory_bytes as f64 / f64::from(1 << 30);
    let sources: Vec<_> = collection
        .sources
        .iter()
        .map(|source| &source.results)
        .filter(|results| Setting::of(results) == *setting)
        .collect();
    let commands: BTreeSet<&str> = sources.iter().map(|r| r.command.as_str()).collect();
    let notes: BTreeSet<&str> = sources
        .iter()
        .flat_map(|results| results.notes.iter().map(String::as_str))
        .collect();
    let dates = joined(sources.iter().map(|results| results.created.as_str()));
    html! {
        @if collection.settings.len() > 1 { h3 { "Setting " (index + 1) } }
        p { b { "Instrument: " (instrument.kind.name()) } " – " (instrument.kind.explain()) }
        div.scroll { table { tbody {
            tr { th { "instrument" } td { (instrument.kind.name()) ", " (instrument.detail) } }
            tr {
                th { "machine" }
                td {
                    (machine.cpus) " × " (machine.cpu) ", " (format!("{memory:.1}")) " GiB, "
                    (machine.os) ", accelerator: " (machine.accel)
                }
            }
            tr { th { "kernel" } td { (kernel.release) ", configuration " (kernel.config) } }
            tr { th { "boot line" } td { code { (kernel.commandline) } } }
            tr { th { "measured" } td { (dates) } }
            @for note in notes { tr { th { "note" } td { (note) } } }
        } } }
        p { "To measure this again:" }
        @for command in commands { pre { (command) } }
    }
}

fn reading() -> Markup {
    html! {
        ul {
            li {
                "A point is the median of the samples; its whisker reaches from the smallest to "
                "the largest. A point without a whisker was measured once, or did not vary."
            }
            li {
                "The values on the horizontal axis are equally far apart, whatever they are. "
                "The vertical axis starts at zero."
            }
            li { "Baselines are grey and dashed. What is to be judged is coloured." }
            li {
                "In the tables, ± is half the range of the samples as part of the median. "
                "The ratio below it compares with the best baseline of the row: above 1 is better. "
                "▲ marks better and ▼ worse; neither is shown where the ranges overlap or the "
                "medians differ by less than " (percent(NOISE)) "."
            }
            li {
                "Each figure names its instrument. Values of different instruments cannot be "
                "compared and never share a figure."
            }
        }
    }
}

fn figure(collection: &Collection, sheet: &Sheet, name: &str) -> Markup {
    let title = sheet.title();
    let setting = &collection.settings[sheet.setting];
    let index = collection
        .sheets
        .iter()
        .position(|other| std::ptr::eq(other, sheet));
    html! {
        h3 id=[index.map(|index| format!("figure-{}", index + 1))] { (title) }
        figure {
            a href={ (name) ".png" } {
                img src={ (name) ".svg" } alt=(alt(sheet))
                    width=(style::SIZE.0) height=(style::SIZE.1);
            }
            figcaption {
                "Instrument: " (setting.instrument.kind.name()) " (" (setting.instrument.detail)
                "); kernel " (setting.kernel.release) "; " (sheet.better.phrase())
                ". The picture links to a PNG."
            }
        }
        (table(sheet))
    }
}

/// The figure in words, for those who do not see it.
fn alt(sheet: &Sheet) -> String {
    let names = joined(sheet.series.iter().map(|series| series.variant.as_str()));
    format!(
        "{}, in {}, for {names}; the table below has the values",
        sheet.title(),
        sheet.unit
    )
}

/// The values of a figure: a row for each position, a column for each variant.
fn table(sheet: &Sheet) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { (sheet.axis.as_deref().unwrap_or("")) }
                @for series in &sheet.series {
                    th.number {
                        (series.variant)
                        @if series.baseline { br; span.small { "baseline" } }
                    }
                }
            } }
            tbody {
                @for x in &sheet.xs {
                    tr {
                        th { (sheet.x_label(*x)) }
                        @for series in &sheet.series { (cell(sheet, series, *x)) }
                    }
                }
            }
        } }
        p.small { "In " (sheet.unit) "; " (sheet.better.phrase()) "." }
    }
}

fn cell(sheet: &Sheet, series: &Series, x: f64) -> Markup {
    let Some(value) = series.at(x) else {
        return html! { td.number { "–" } };
    };
    let standing = sheet.standing(&series.variant, x);
    // Baselines are what is compared with: they are neither good nor bad.
    let judged = standing.filter(|_| !series.baseline);
    html! {
        td.number.(judged.map_or("", |standing| class(standing.verdict))) {
            (median(&value))
            @if let Some(standing) = standing {
                span.ratio {
                    (judged.map_or("", |standing| mark(standing.verdict)))
                    (times(standing.ratio))
                }
            }
        }
    }
}

fn median(value: &Summary) -> String {
    if value.count > 1 {
        format!("{} ±{}", quantity(value.median), percent(value.spread()))
    } else {
        quantity(value.median)
    }
}

fn raw_data(collection: &Collection, links: &[String]) -> Markup {
    html! {
        ul {
            @for (source, link) in collection.sources.iter().zip(links) {
                li {
                    a href=(link) { (link) } ": " (source.results.title) ", "
                    (source.results.runs.len()) " runs, " (source.results.created)
                }
            }
        }
        p { "To draw this page again from these files, in the directory of this page:" }
        pre { "bench-report generate data -o ." }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::group::Source;
    use crate::results::Results;

    fn page(change: impl Fn(&mut Results)) -> String {
        let file = PathBuf::from("sample.json");
        let text = include_str!("../tests/data/sample.json");
        let mut results = Results::parse(&file, text).unwrap();
        change(&mut results);
        let collection = Collection::of(vec![Source { file, results }]);
        let figures: Vec<String> = (0..collection.sheets.len())
            .map(|number| format!("figures/{number}"))
            .collect();
        render(&Contents {
            collection: &collection,
            title: None,
            figures: &figures,
            data: &["data/sample.json".to_owned()],
        })
    }

    #[test]
    fn the_page_explains_itself() {
        let page = page(|_| ());
        for wanted in [
            "<h1>nginx, static files",
            "Instrument: icount",
            "advances with the instructions",
            "6.12.0-saio",
            "./x demo",
            "How to read this page",
            "figures/0.svg",
            "figures/0.png",
            "href=\"data/sample.json\"",
            "id=\"figure-1\"",
            "href=\"#figure-1\"",
            "▲ ",
            "1.112×",
        ] {
            assert!(page.contains(wanted), "{wanted} is not in {page}");
        }
    }

    #[test]
    fn what_is_worse_is_marked() {
        let page = page(|results| {
            for run in &mut results.runs {
                if run.variant == "inline" && run.metric == "throughput" {
                    run.samples.iter_mut().for_each(|sample| *sample /= 2.0);
                }
            }
        });
        assert!(page.contains("▼ ") && page.contains("class=\"number worse\""));
    }

    #[test]
    fn names_are_escaped() {
        let page = page(|results| results.title = "<script>".to_owned());
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
    }

    #[test]
    fn without_baselines_there_are_no_ratios() {
        let page = page(|results| {
            for run in &mut results.runs {
                run.baseline = None;
            }
        });
        assert!(page.contains("nothing to compare with") && !page.contains("▲ 1"));
    }
}
