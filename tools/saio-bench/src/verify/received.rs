// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether what a client has received is the beginning of what it would have received, byte for byte.

use std::collections::VecDeque;
use std::ops::Range;

use anyhow::{bail, Context, Result};

use crate::verify::compare::{blank_date, same_bytes};
use crate::verify::streams::{Reply, Request};
use crate::wire::Dial;

/// An answer that is known before it comes.
pub struct Answer {
    bytes: Vec<u8>,
    /// The time in the Date field, which is another one each time
    date: Range<usize>,
}

impl Answer {
    /// From an answer to the same request.
    pub fn new(request: &Request, bytes: Vec<u8>) -> Self {
        let mut blanked = bytes.clone();
        if let Reply::Http { .. } = request.reply {
            blank_date(&mut blanked);
        }
        let differs = |place: &usize| blanked[*place] != bytes[*place];
        let first = (0..bytes.len()).find(differs);
        let date = match first {
            Some(first) => {
                first..first + blanked[first..].iter().take_while(|b| **b == b'#').count()
            }
            None => 0..0,
        };
        Self {
            bytes: blanked,
            date,
        }
    }
}

/// A request and its answer.
pub type Line = (Request, Answer);

/// Asks a server that nobody disturbs, one request after the other on a connection of its own.
///
/// # Errors
///
/// It does not answer.
pub fn answered(requests: Vec<Request>, dial: &Dial) -> Result<Vec<Line>> {
    let mut conn = dial.connect()?;
    let lines = requests.into_iter().map(|request| {
        let bytes = request.exchange(&mut conn)?;
        let answer = Answer::new(&request, bytes);
        Ok((request, answer))
    });
    lines.collect()
}

/// Bytes of an answer that tell what it is.
const BEGINNING: usize = 16;

/// What has come on a connection so far. All of it was right.
#[derive(Default)]
pub struct Received<'a> {
    awaited: VecDeque<&'a Answer>,
    /// Bytes of the first of those that are there
    part: usize,
    /// Answers that are there whole
    whole: usize,
    /// The first bytes of the one that is not
    beginning: Vec<u8>,
}

impl<'a> Received<'a> {
    /// Something was asked, and this must be the answer.
    pub fn expect(&mut self, answer: &'a Answer) {
        self.awaited.push_back(answer);
    }

    /// Answers that are not there whole.
    pub fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Answers that are there whole.
    pub fn whole(&self) -> usize {
        self.whole
    }

    /// How the answer begins of which not all is there; of one that was wrong, until there it came.
    pub fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// Takes bytes as they come.
    ///
    /// # Errors
    ///
    /// They are not those that must come next.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let Some(answer) = self.awaited.front() else {
                bail!(
                    "{} bytes behind the last answer that was asked for: {}",
                    bytes.len(),
                    bytes[..bytes.len().min(40)].escape_ascii()
                );
            };
            let missing = answer.bytes.len() - self.part;
            let (piece, rest) = bytes.split_at(bytes.len().min(missing));
            let end = self.part + piece.len();
            let kept = piece.len().min(BEGINNING - self.beginning.len());
            self.beginning.extend(&piece[..kept]);
            let mut piece = piece.to_vec();
            let dated = answer.date.start.max(self.part)..answer.date.end.min(end);
            if !dated.is_empty() {
                piece[dated.start - self.part..dated.end - self.part].fill(b'#');
            }
            same_bytes(&answer.bytes[self.part..end], &piece).with_context(|| {
                format!("answer {}, from its byte {} on", self.whole + 1, self.part)
            })?;
            bytes = rest;
            self.part = end;
            if end == answer.bytes.len() {
                self.awaited.pop_front();
                self.part = 0;
                self.whole += 1;
                self.beginning.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::streams::http::get;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    const LATER: &str = "HTTP/1.1 200 OK\r\nDate: Mon, 07 Nov 1994 18:49:38 GMT\r\n\r\n";

    fn answers() -> [Answer; 2] {
        ["one", "two"].map(|body| Answer::new(&get("/", &[]), format!("{HEAD}{body}").into()))
    }

    /// Takes bytes in pieces of every size.
    fn take(bytes: &str) -> Vec<Result<usize, String>> {
        let answers = answers();
        let sizes = 1..=bytes.len();
        let takes = sizes.map(|size| {
            let mut received = Received::default();
            answers.iter().for_each(|answer| received.expect(answer));
            for piece in bytes.as_bytes().chunks(size) {
                received.take(piece).map_err(|error| format!("{error:#}"))?;
            }
            Ok(received.whole())
        });
        takes.collect()
    }

    #[test]
    fn every_beginning_is_right() {
        let all = format!("{LATER}one{LATER}two");
        for end in 1..=all.len() {
            let whole = end / (all.len() / 2);
            assert!(
                take(&all[..end]).iter().all(|took| *took == Ok(whole)),
                "{end}"
            );
        }
    }

    #[test]
    fn a_wrong_answer_can_be_told_from_its_beginning() {
        let answers = answers();
        let mut received = Received::default();
        answers.iter().for_each(|answer| received.expect(answer));
        let (first, second) = "HTTP/1.1 503 x".split_at(3);
        received
            .take(format!("{LATER}one{first}").as_bytes())
            .unwrap();
        assert_eq!(received.beginning(), first.as_bytes());
        received.take(second.as_bytes()).unwrap_err();
        assert_eq!(received.beginning(), b"HTTP/1.1 503 x");
    }

    #[test]
    fn nothing_else_is() {
        let wrong = |bytes: String| assert!(take(&bytes).iter().all(Result::is_err), "{bytes}");
        wrong(format!("{LATER}two"));
        wrong(format!("{LATER}on{LATER}two"));
        wrong(format!("{LATER}{LATER}two"));
        wrong(format!("{LATER}oneone"));
        wrong(format!("{LATER}one{LATER}two!"));
        wrong("HTTP/1.1 404".to_owned());
    }
}
