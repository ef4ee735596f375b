// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that describe figures.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;
use toml::Spanned;

use super::figure::{Batches, Call, ClientKind, Figure, Key, Latency, Load, What, LARGEST_BATCH};
use super::value::{Bad, List, Place, Reader};
use crate::arrivals::Pace;
use crate::client::Amount;
use crate::stage::{Size, Variant};
use crate::verify::subjects::{Subject, Way, SUBJECTS};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    figure: Vec<Spanned<Entry>>,
}

/// A figure as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    title: Spanned<String>,
    #[serde(default)]
    notes: Vec<String>,
    label: Option<String>,
    processors: Option<Spanned<i64>>,
    crossing: Option<Spanned<i64>>,
    repeats: Option<Spanned<i64>>,
    variants: List<String>,
    // Servers
    server: Option<Spanned<String>>,
    way: Option<Spanned<OneOrMany>>,
    client: Option<Spanned<String>>,
    axis: Option<Spanned<String>>,
    requests: Option<Spanned<i64>>,
    seconds: Option<Spanned<f64>>,
    sizes: List<String>,
    connections: List<i64>,
    pipeline: List<i64>,
    workers: List<i64>,
    threads: List<i64>,
    load: List<i64>,
    arrivals: Option<Spanned<String>>,
    seed: Option<Spanned<i64>>,
    // Calls
    calls: List<String>,
    batch: List<i64>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name or a list of names")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Reads the figures of a file.
///
/// # Errors
///
/// The first thing that is wrong: with file, line, key and the fix.
pub fn load(file: &Path) -> Result<Vec<Figure>, Bad> {
    let text = fs::read_to_string(file).map_err(|source| Bad::Read {
        file: file.to_owned(),
        source,
    })?;
    parse(file, &text)
}

/// Reads figures out of the text of a file.
///
/// # Errors
///
/// As [`load`].
pub fn parse(file: &Path, text: &str) -> Result<Vec<Figure>, Bad> {
    let place = Place { file, text };
    let content: File = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().replace('\n', " ");
        place.bad(&span, format!("{message}, in: {}", place.line_at(&span)))
    })?;
    let mut figures = Vec::new();
    let mut names = BTreeSet::new();
    for entry in content.figure {
        let reader = Reader {
            place: &place,
            span: entry.span(),
        };
        let name = entry.get_ref().name.clone();
        if !names.insert(name.get_ref().clone()) {
            let problem = format!("name = {:?}: there are two; rename one", name.get_ref());
            return Err(place.bad(&name.span(), problem));
        }
        figures.push(reader.figure(entry.into_inner())?);
    }
    Ok(figures)
}

impl Reader<'_> {
    fn figure(&self, entry: Entry) -> Result<Figure, Bad> {
        let name = entry.name.get_ref().clone();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_plain) {
            let problem = format!(
                "name = {name:?}: use lower-case letters, digits and -, as it names a file"
            );
            return self.bad(&entry.name.span(), problem);
        }
        if entry.title.get_ref().trim().is_empty() {
            return self.bad(
                &entry.title.span(),
                "title is empty: say what is shown".into(),
            );
        }
        let processors = match &entry.processors {
            Some(number) => self.number("processors", number, 1..=1024)?,
            None => 1,
        };
        let crossing = self.crossing(&entry, processors)?;
        let repeats = match &entry.repeats {
            Some(number) => self.number("repeats", number, 1..=100)? as u32,
            None => 2,
        };
        let variants = self.variants(&entry)?;
        let what = match (&entry.server, &entry.calls) {
            (Some(_), None) => What::Servers(self.servers(&entry, variants)?),
            (None, Some(_)) => What::Calls(self.calls(&entry, variants)?),
            _ => return self.missing("server or calls", "give one of the two"),
        };
        Ok(Figure {
            name,
            title: entry.title.into_inner(),
            label: entry.label,
            processors: processors as usize,
            crossing,
            repeats,
            notes: entry.notes,
            what,
        })
    }

    /// What a crossing costs: something that can be chosen in virtual time only.
    fn crossing(&self, entry: &Entry, processors: i64) -> Result<Option<u32>, Bad> {
        let Some(crossing) = &entry.crossing else {
            return Ok(None);
        };
        if processors == 1 {
            let problem = "crossing is for figures in virtual time: add processors, or take it out";
            return self.bad(&crossing.span(), problem.into());
        }
        let price = self.number("crossing", crossing, 0..=1_000_000)?;
        Ok(Some(price as u32))
    }

    fn variants(&self, entry: &Entry) -> Result<Vec<Variant>, Bad> {
        let all = Variant::value_variants();
        let names: Vec<&str> = all.iter().map(|variant| variant.name()).collect();
        let chosen = self.chosen("variants", &entry.variants, &names)?;
        Ok(chosen.into_iter().map(|index| all[index]).collect())
    }

    fn servers(&self, entry: &Entry, variants: Vec<Variant>) -> Result<Load, Bad> {
        if let Some(batch) = &entry.batch {
            return self.bad(&batch.span(), "batch belongs to calls: take it out".into());
        }
        let Some(server_name) = &entry.server else {
            return self.missing("server", "name one");
        };
        let names: Vec<&str> = SUBJECTS.iter().map(|subject| subject.name).collect();
        let server = &SUBJECTS[self.one_of("server", server_name, &names)?];
        let ways = self.ways(entry, server)?;
        let client = self.client(entry, server, &ways)?;
        let axis = self.axis(entry)?;
        self.check_variants(entry, server, &variants)?;
        let amount = self.amount(entry)?;
        let mut named = BTreeSet::from([axis]);
        let mut numbers = |key: Key, list: &List<i64>, limit| -> Result<Vec<u32>, Bad> {
            if list.is_some() {
                named.insert(key);
            }
            self.numbers(key.name(), list, limit)
        };
        let connections = numbers(Key::Connections, &entry.connections, 1000)?;
        let pipeline = numbers(Key::Pipeline, &entry.pipeline, 128)?;
        let workers = numbers(Key::Workers, &entry.workers, 64)?;
        let threads = numbers(Key::Threads, &entry.threads, 64)?;
        let load = numbers(Key::Load, &entry.load, 100)?;
        let latency = self.latency(entry, client, &variants)?;
        let sizes = match &entry.sizes {
            Some(list) => {
                named.insert(Key::Sizes);
                self.sizes(list)?
            }
            None => return self.missing("sizes", "for example sizes = [\"1k\"]"),
        };
        if entry.connections.is_none() {
            return self.missing("connections", "for example connections = [64]");
        }
        let load = Load {
            server,
            ways,
            variants,
            client,
            amount,
            axis,
            named,
            sizes,
            connections,
            pipeline,
            workers,
            threads,
            load,
            latency,
        };
        self.check_pipeline(entry, &load)?;
        Ok(load)
    }

    /// How requests come at their own pace; none where they do not.
    fn latency(
        &self,
        entry: &Entry,
        client: ClientKind,
        variants: &[Variant],
    ) -> Result<Option<Latency>, Bad> {
        let only = "is for client = \"open-loop\": take it out";
        let spans = [
            ("load", entry.load.as_ref().map(Spanned::span)),
            ("arrivals", entry.arrivals.as_ref().map(Spanned::span)),
            ("seed", entry.seed.as_ref().map(Spanned::span)),
        ];
        if client != ClientKind::OpenLoop {
            let there = spans.into_iter().find_map(|(key, span)| Some((key, span?)));
            return match there {
                Some((key, span)) => self.bad(&span, format!("{key} {only}")),
                None => Ok(None),
            };
        }
        if entry.load.is_none() {
            return self.missing("load", "per cent, for example load = [30, 60, 90]");
        }
        if let Some(seconds) = &entry.seconds {
            let problem = "seconds: client = \"open-loop\" needs requests instead";
            return self.bad(&seconds.span(), problem.into());
        }
        if !variants.iter().any(|variant| variant.is_baseline()) {
            let problem = "variants: one without SAIO is needed, as load is per cent of what it \
                           can answer: add \"default\"";
            return self.bad(&self.span, problem.into());
        }
        let pace = match &entry.arrivals {
            Some(pace) => {
                let names = Pace::ALL.map(Pace::name);
                Pace::ALL[self.one_of("arrivals", pace, &names)?]
            }
            None => Pace::Poisson,
        };
        let seed = match &entry.seed {
            Some(seed) => self.number("seed", seed, 0..=i64::from(u32::MAX))? as u64,
            None => 1,
        };
        Ok(Some(Latency { pace, seed }))
    }

    fn ways(&self, entry: &Entry, server: &'static Subject) -> Result<Vec<&'static Way>, Bad> {
        let Some(way) = &entry.way else {
            return Ok(vec![&server.ways[0]]);
        };
        let wanted = match way.get_ref() {
            OneOrMany::One(name) => std::slice::from_ref(name),
            OneOrMany::Many(names) => names,
        };
        let names: Vec<&str> = server.ways.iter().map(|way| way.name).collect();
        let mut ways = Vec::new();
        for name in wanted {
            let Some(index) = names.iter().position(|other| other == name) else {
                let problem = format!(
                    "way: {} has no way {name:?}; there are {}",
                    server.name,
                    names.join(", ")
                );
                return self.bad(&way.span(), problem);
            };
            ways.push(&server.ways[index]);
        }
        match ways.is_empty() {
            true => self.bad(&way.span(), "way is empty: name one, or take it out".into()),
            false => Ok(ways),
        }
    }

    fn client(
        &self,
        entry: &Entry,
        server: &Subject,
        ways: &[&'static Way],
    ) -> Result<ClientKind, Bad> {
        let Some(client) = &entry.client else {
            return Ok(ClientKind::Lockstep);
        };
        let chosen = self.one_of("client", client, &["lockstep", "wrk", "open-loop"])?;
        let is_plain = ways.len() == 1 && std::ptr::eq(ways[0], &server.ways[0]);
        if chosen == 0 {
            return Ok(ClientKind::Lockstep);
        }
        if chosen == 2 {
            if is_plain && ways[0].name == "http" {
                return Ok(ClientKind::OpenLoop);
            }
            let problem = "client = \"open-loop\" is for way = \"http\" of servers that have it \
                           first: use \"lockstep\" here";
            return self.bad(&client.span(), problem.into());
        }
        if server.name != "nginx" || !is_plain {
            let problem = "client = \"wrk\" is for server = \"nginx\" with way = \"http\", which \
                           counts its requests: use \"lockstep\" here";
            return self.bad(&client.span(), problem.into());
        }
        Ok(ClientKind::Wrk)
    }

    fn axis(&self, entry: &Entry) -> Result<Key, Bad> {
        let Some(axis) = &entry.axis else {
            return self.missing(
                "axis",
                "say what varies along the figure, such as connections",
            );
        };
        let names = Key::ALL.map(Key::name);
        Ok(Key::ALL[self.one_of("axis", axis, &names)?])
    }

    /// Variants that only some servers have.
    fn check_variants(
        &self,
        entry: &Entry,
        server: &Subject,
        variants: &[Variant],
    ) -> Result<(), Bad> {
        let span = entry.variants.as_ref().map_or(0..0, Spanned::span);
        for (variant, only) in [(Variant::Nopush, "nginx"), (Variant::IoUring, "echo")] {
            if variants.contains(&variant) && server.name != only {
                let name = variant.name();
                let problem =
                    format!("variants: {name:?} is for server = {only:?} only: take it out");
                return self.bad(&span, problem);
            }
        }
        Ok(())
    }

    fn amount(&self, entry: &Entry) -> Result<Amount, Bad> {
        match (&entry.requests, &entry.seconds) {
            (Some(requests), None) => {
                let requests = self.number("requests", requests, 1..=1_000_000_000)?;
                Ok(Amount::Requests(requests as u64))
            }
            (None, Some(seconds)) => {
                let value = *seconds.get_ref();
                if !(0.01..=250.0).contains(&value) {
                    let problem = format!("seconds = {value}: give 0.01 to 250");
                    return self.bad(&seconds.span(), problem);
                }
                Ok(Amount::Time(Duration::from_secs_f64(value)))
            }
            _ => self.missing("requests or seconds", "give one of the two"),
        }
    }

    fn sizes(&self, list: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<Size>, Bad> {
        let mut sizes = Vec::new();
        for text in list.get_ref() {
            match text.get_ref().parse::<Size>() {
                Ok(size) => sizes.push(size),
                Err(problem) => {
                    let problem = format!("sizes: {:?}: {problem}", text.get_ref());
                    return self.bad(&text.span(), problem);
                }
            }
        }
        match sizes.is_empty() {
            true => self.bad(&list.span(), "sizes is empty: give a value".into()),
            false => Ok(sizes),
        }
    }

    fn check_pipeline(&self, entry: &Entry, load: &Load) -> Result<(), Bad> {
        let most = load.pipeline.iter().copied().max().unwrap_or(1);
        let span = entry.pipeline.as_ref().map_or(0..0, Spanned::span);
        if load.client != ClientKind::Lockstep && most > 1 {
            let problem =
                "pipeline: this client sends one request at a time: use client = \"lockstep\"";
            return self.bad(&span, problem.into());
        }
        match load.ways.iter().find(|way| way.at_once < most as usize) {
            Some(way) => {
                let problem = format!(
                    "pipeline: way {:?} takes {} at once at most",
                    way.name, way.at_once
                );
                self.bad(&span, problem)
            }
            None => Ok(()),
        }
    }

    fn calls(&self, entry: &Entry, variants: Vec<Variant>) -> Result<Batches, Bad> {
        let of_servers = [
            ("way", entry.way.is_some()),
            ("client", entry.client.is_some()),
            ("axis", entry.axis.is_some()),
            ("seconds", entry.seconds.is_some()),
            ("sizes", entry.sizes.is_some()),
            ("connections", entry.connections.is_some()),
            ("pipeline", entry.pipeline.is_some()),
            ("workers", entry.workers.is_some()),
            ("threads", entry.threads.is_some()),
            ("load", entry.load.is_some()),
            ("arrivals", entry.arrivals.is_some()),
            ("seed", entry.seed.is_some()),
        ];
        if let Some((key, _)) = of_servers.iter().find(|(_, is_there)| *is_there) {
            let problem = format!("{key} belongs to servers: take it out");
            return self.bad(&self.span, problem);
        }
        let names = Call::ALL.map(Call::name);
        let calls = self.chosen("calls", &entry.calls, &names)?;
        let known = [Variant::Default, Variant::Inline, Variant::IoUring];
        if let Some(variant) = variants.iter().find(|variant| !known.contains(variant)) {
            let span = entry.variants.as_ref().map_or(0..0, Spanned::span);
            let problem = format!(
                "variants: calls have no {:?}; use {}",
                variant.name(),
                known.map(Variant::name).join(", ")
            );
            return self.bad(&span, problem);
        }
        if entry.batch.is_none() {
            return self.missing("batch", "for example batch = [1, 8, 64]");
        }
        let Some(requests) = &entry.requests else {
            return self.missing(
                "requests",
                "calls of a sample, for example requests = 10000",
            );
        };
        Ok(Batches {
            calls: calls.into_iter().map(|index| Call::ALL[index]).collect(),
            batch: self.numbers("batch", &entry.batch, LARGEST_BATCH.into())?,
            variants,
            number: self.number("requests", requests, 1..=1_000_000_000)? as u64,
        })
    }
}
