// SPDX-License-Identifier: MIT OR Apache-2.0

//! The same requests to two servers, and every answer compared.

use std::borrow::Cow;

use anyhow::{ensure, Context, Result};

use super::streams::Request;
use crate::docs::Random;
use crate::wire::{Conn, Dial, End, Failure};

/// How requests are put on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Each after the answer to the one before
    OneByOne,
    /// So many in one write, then their answers
    Pipelined(usize),
    /// Each on a connection of its own, which the server must end
    Closing,
}

/// How many requests are sent at once: one, or more or less of them, at most `limit`.
pub fn batch_size(random: &mut Random, limit: usize) -> usize {
    let size = match random.below(4) {
        0 => 1,
        1 => 128,
        _ => 2 + random.below(30),
    };
    size.min(limit)
}

/// The same server twice, for a client.
#[derive(Clone, Debug)]
pub struct Dials {
    /// Without SAIO
    pub plain: Dial,
    /// Under SAIO
    pub saio: Dial,
}

/// A connection to each of the two.
pub struct Talk {
    /// Without SAIO
    pub plain: Conn,
    /// Under SAIO
    pub saio: Conn,
}

impl Talk {
    /// Connects to both.
    ///
    /// # Errors
    ///
    /// As of connect(2).
    pub fn connect(dials: &Dials) -> Result<Self> {
        Ok(Self {
            plain: dials.plain.connect().context("without SAIO")?,
            saio: dials.saio.connect().context("under SAIO")?,
        })
    }

    /// Has both answer the same requests, `size` of them at once, compares, and hands on the answers of the one under
    /// SAIO.
    ///
    /// # Errors
    ///
    /// The first difference, or a request that failed.
    pub fn compare(
        &mut self,
        requests: &[Request],
        size: usize,
        mut each: impl FnMut(Vec<u8>),
    ) -> Result<()> {
        for (number, batch) in requests.chunks(size).enumerate() {
            let what = |index: usize| {
                let request = &batch[index];
                format!("answer {} ({request})", number * size + index + 1)
            };
            let all: Cow<[u8]> = match batch {
                [one] => Cow::Borrowed(&one.bytes),
                _ => batch.iter().flat_map(|r| r.bytes.iter().copied()).collect(),
            };
            self.plain.send(&all).context("without SAIO")?;
            let mut expected = Vec::with_capacity(batch.len());
            for (index, request) in batch.iter().enumerate() {
                let answer = request.answer(&mut self.plain);
                expected.push(
                    answer
                        .context("without SAIO")
                        .with_context(|| what(index))?,
                );
            }
            self.saio.send(&all).context("under SAIO")?;
            for (index, request) in batch.iter().enumerate() {
                let answer = request.answer(&mut self.saio);
                let answer = answer.context("under SAIO").with_context(|| what(index))?;
                request
                    .compare(&expected[index], &answer)
                    .with_context(|| what(index))?;
                each(answer);
            }
        }
        Ok(())
    }

    /// Tells both that nothing more will be sent. Nothing more may come, and both must end in the same way.
    ///
    /// # Errors
    ///
    /// As [`Talk::ends`], or bytes behind the last answer.
    pub fn finish(mut self) -> Result<()> {
        for conn in [&mut self.plain, &mut self.saio] {
            match conn.finish_sending() {
                // The server was first.
                Err(Failure::Closed) => {}
                result => result?,
            }
        }
        let (rest, _) = self.ends().context("at the end")?;
        ensure!(
            rest.is_empty(),
            "{} bytes after the last answer",
            rest.len()
        );
        Ok(())
    }

    /// Reads both to their end, which must be the same. Returns what there was.
    ///
    /// # Errors
    ///
    /// A difference, or no end.
    pub fn ends(&mut self) -> Result<(Vec<u8>, End)> {
        let plain = self.plain.rest().context("without SAIO")?;
        let saio = self.saio.rest().context("under SAIO")?;
        super::compare::same_bytes(&plain.0, &saio.0).context("before the end")?;
        ensure!(
            plain.1 == saio.1,
            "the connection ended in different ways: {:?} without SAIO, {:?} under it",
            plain.1,
            saio.1
        );
        Ok(saio)
    }
}

/// Sends the same requests to both servers and compares every answer. Returns those of the server under SAIO.
///
/// # Errors
///
/// The first difference, or a request that failed.
pub fn same(dials: &Dials, requests: &[Request], style: Style) -> Result<Vec<Vec<u8>>> {
    let mut answers = Vec::with_capacity(requests.len());
    let size = match style {
        Style::OneByOne => 1,
        Style::Pipelined(size) => size,
        Style::Closing => {
            for request in requests {
                let mut talk = Talk::connect(dials)?;
                talk.compare(std::slice::from_ref(request), 1, |answer| {
                    answers.push(answer);
                })?;
                let (rest, _) = talk.ends().with_context(|| request.to_string())?;
                ensure!(rest.is_empty(), "{} bytes after the response", rest.len());
            }
            return Ok(answers);
        }
    };
    let mut talk = Talk::connect(dials)?;
    talk.compare(requests, size, |answer| answers.push(answer))?;
    talk.finish()?;
    Ok(answers)
}
