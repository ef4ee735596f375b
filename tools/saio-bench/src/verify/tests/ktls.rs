// SPDX-License-Identifier: MIT OR Apache-2.0

//! nginx whose kernel encrypts: that it does, what the records are, and how many segments they take.

use std::fs;
use std::sync::Arc;

use anyhow::{bail, ensure, Context, Result};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};

use crate::server::nginx::{self, Settings, Tls};
use crate::server::Site;
use crate::verify::received::{Answer, Received};
use crate::verify::rings::Rings;
use crate::verify::streams::http::{get, FILES, SEGMENT_FILE};
use crate::verify::streams::Request;
use crate::verify::world::{Pair, Side, World};
use crate::verify::Skip;
use crate::wire::records::{self, Record};
use crate::wire::Dial;

/// What the kernel counts of its own TLS.
const TLS_STAT: &str = "/proc/net/tls_stat";
/// Both that the kernel can encrypt.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
/// Connections of each version whose sessions are counted.
const CONNECTIONS: u64 = 4;
/// Type of a record with an alert. TLS 1.3 hides it: there all are data.
const ALERT: u8 = 21;
/// Type of a record with data.
const DATA: u8 = 23;
/// An alert of TLS 1.3: two bytes, its real type and a tag.
const HIDDEN_ALERT: usize = 2 + 1 + 16;
/// Receive buffer of a client that is slow at first, in bytes.
const SMALL_BUFFER: usize = 16 * 1024;
/// Responses whose segments are counted.
const RESPONSES: usize = 100;
/// Segments more that prove nothing: a busy machine sends some again.
const SLACK: u32 = 5;

/// The kernel encrypts on every connection, for both.
pub fn kernel_tls(world: &World, pair: &mut Pair) -> Result<()> {
    for version in VERSIONS {
        let config = world.identity.client(version)?;
        let plain = sessions_of(&pair.plain, &config)?;
        if plain == 0 {
            let why = "nginx does not have the kernel encrypt: its OpenSSL was built without KTLS, or the kernel lacks the cipher";
            return Err(Skip(why.into()).into());
        }
        ensure!(
            plain >= CONNECTIONS,
            "{version:?}: of {CONNECTIONS} connections without SAIO the kernel encrypts {plain}"
        );
        let saio = sessions_of(&pair.saio, &config)?;
        ensure!(
            saio >= CONNECTIONS,
            "{version:?}: of {CONNECTIONS} connections under SAIO the kernel encrypts {saio}, without all"
        );
    }
    Ok(())
}

/// Sessions that the kernel has begun to encrypt for some connections.
fn sessions_of(side: &Side, config: &Arc<ClientConfig>) -> Result<u64> {
    let dial = with(side, config);
    let before = sessions()?;
    for _ in 0..CONNECTIONS {
        let mut conn = dial.connect()?;
        for _ in 0..3 {
            get("/20k.bin", &[]).exchange(&mut conn)?;
        }
    }
    Ok(sessions()? - before)
}

/// A server, for clients of one version.
fn with(side: &Side, config: &Arc<ClientConfig>) -> Dial {
    Dial {
        address: side.dial.address,
        tls: Some(config.clone()),
    }
}

/// Sessions that the kernel has begun to encrypt.
fn sessions() -> Result<u64> {
    let text = fs::read_to_string(TLS_STAT).with_context(|| format!("cannot read {TLS_STAT}"))?;
    Ok(count(&text))
}

fn count(stat: &str) -> u64 {
    stat.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(char::is_whitespace)?;
            let counts = ["TlsTxSw", "TlsTxDevice"].contains(&name);
            counts.then(|| value.trim().parse::<u64>().ok()).flatten()
        })
        .sum()
}

/// Record by record, as they come off the socket: whole ones only, the right bytes in them, and the alert that says
/// goodbye is the last one.
pub fn records(world: &World, pair: &mut Pair) -> Result<()> {
    let before = Rings::of(&pair.saio.server);
    for version in VERSIONS {
        let config = world.identity.client(version)?;
        for (name, _) in FILES.iter().take(world.scaled(5, 6)).chain([&SEGMENT_FILE]) {
            let path = &world.doc(name)?.path;
            let close = get(path, &["Connection: close"]);
            // The first one is sent while the second is under way.
            for requests in [vec![close.clone()], vec![get(path, &[]), close]] {
                let expected = answers(&pair.plain, &requests)?;
                for (side, saio) in [(&pair.plain, "without"), (&pair.saio, "under")] {
                    for buffer in [None, Some(SMALL_BUFFER)] {
                        one(side, &config, &requests, &expected, buffer).with_context(|| {
                            let number = requests.len();
                            format!("{saio} SAIO, {version:?}, {name}, {number} at once, receive buffer {buffer:?}")
                        })?;
                    }
                }
            }
        }
    }
    ensure!(
        !pair.saio.server.is_under_saio()
            || Rings::of(&pair.saio.server).operations > before.operations,
        "no connection was a flow"
    );
    pair.check_logs()
}

/// Answers, by a client that knows nothing of records.
fn answers(side: &Side, requests: &[Request]) -> Result<Vec<Answer>> {
    let mut conn = side.dial.connect()?;
    let answers = requests.iter().map(|request| {
        let bytes = request.exchange(&mut conn)?;
        Ok(Answer::new(request, bytes))
    });
    answers.collect()
}

/// One connection and its records.
fn one(
    side: &Side,
    config: &Arc<ClientConfig>,
    requests: &[Request],
    expected: &[Answer],
    buffer: Option<usize>,
) -> Result<()> {
    let stream = side.dial.stream(buffer)?;
    let all: Vec<u8> = requests.iter().flat_map(|r| r.bytes.clone()).collect();
    let (records, bytes) = records::exchange(stream, config, &all, buffer.is_some())?;
    let mut received = Received::default();
    expected.iter().for_each(|answer| received.expect(answer));
    received.take(&bytes)?;
    ensure!(
        received.awaited() == 0,
        "{} of {} answers came whole",
        received.whole(),
        expected.len()
    );
    ends_with_alert(&records)
}

fn ends_with_alert(records: &[Record]) -> Result<()> {
    let Some((last, before)) = records.split_last() else {
        bail!("no record at all");
    };
    if let Some(place) = before.iter().position(|record| record.closes) {
        let behind = before.len() - place;
        bail!("{behind} records came behind the alert that ends the session: {records:?}");
    }
    let is_alert = last.kind == ALERT || (last.kind == DATA && last.length == HIDDEN_ALERT);
    ensure!(
        last.closes && is_alert && last.plain == 0,
        "the last record is not the alert that ends the session: {last:?}"
    );
    Ok(())
}

/// A response of 8 KiB takes no more segments than without SAIO, and than without TLS in the kernel.
pub fn segments(world: &World, pair: &mut Pair) -> Result<()> {
    let in_process = |site: &Site| {
        let settings = Settings {
            tls: Some(Tls::default()),
            ..Settings::default()
        };
        nginx::start(site, &settings)
    };
    let in_process = world.alone(pair.way, "segments", in_process, false, false)?;
    for version in VERSIONS {
        let config = world.identity.client(version)?;
        let count = |side: &Side, what: &str| {
            count_segments(&with(side, &config)).with_context(|| format!("{version:?}, {what}"))
        };
        let tls = count(&in_process, "TLS in nginx, without SAIO")?;
        let plain = count(&pair.plain, "TLS in the kernel, without SAIO")?;
        let saio = count(&pair.saio, "TLS in the kernel, under SAIO")?;
        let told = format!(
            "{version:?}, segments of {RESPONSES} responses: {saio} with TLS in the kernel and SAIO, {plain} without SAIO, {tls} without both"
        );
        ensure!(saio <= plain + SLACK, "{told}");
        ensure!(
            saio <= tls + SLACK || !pair.saio.server.is_under_saio(),
            "{told}; head and file are not in one record"
        );
        eprintln!("  {told}");
    }
    Ok(())
}

/// Segments with data that a client gets for responses, one by one.
fn count_segments(dial: &Dial) -> Result<u32> {
    let request = get(&format!("/{}.bin", SEGMENT_FILE.0), &[]);
    let mut conn = dial.connect()?;
    // Until the connection is a flow.
    for _ in 0..3 {
        request.exchange(&mut conn)?;
    }
    let before = conn.segments()?;
    for _ in 0..RESPONSES {
        request.exchange(&mut conn)?;
    }
    Ok(conn.segments()? - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_the_kernel() {
        let stat = "TlsCurrTxSw  \t1\nTlsTxSw \t5\nTlsRxSw \t7\nTlsTxDevice\t2\n";
        assert_eq!(count(stat), 7);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn the_alert_is_last() {
        let record = |kind, length, plain, closes| Record {
            kind,
            length,
            plain,
            closes,
        };
        let data = || record(DATA, 500, 483, false);
        let hidden = || record(DATA, HIDDEN_ALERT, 0, true);
        ends_with_alert(&[data(), data(), hidden()]).unwrap();
        ends_with_alert(&[data(), record(ALERT, 26, 0, true)]).unwrap();
        assert!(ends_with_alert(&[]).is_err());
        assert!(ends_with_alert(&[data(), data()]).is_err());
        assert!(ends_with_alert(&[data(), hidden(), data()]).is_err());
        assert!(ends_with_alert(&[hidden(), hidden()]).is_err());
        assert!(ends_with_alert(&[data(), record(ALERT, 26, 0, false)]).is_err());
    }
}
