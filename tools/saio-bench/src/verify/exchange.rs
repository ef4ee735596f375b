// SPDX-License-Identifier: MIT OR Apache-2.0

//! The same requests to two servers, and what may differ between their responses.

use std::net::SocketAddr;

use anyhow::{bail, ensure, Context, Result};

use super::Pair;
use crate::http::{field, Client, Failure, Response};

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    is_head: bool,
}

impl Request {
    /// GET of a path, with more header lines, none of which has a line end.
    pub fn get(path: &str, lines: &[&str]) -> Self {
        Self::new("GET", path, lines)
    }

    /// HEAD of a path.
    pub fn head(path: &str) -> Self {
        Self::new("HEAD", path, &[])
    }

    /// Bytes as they are.
    pub fn raw(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            is_head: false,
        }
    }

    fn new(method: &str, path: &str, lines: &[&str]) -> Self {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: verify\r\n");
        for line in lines {
            text += line;
            text += "\r\n";
        }
        text += "\r\n";
        Self {
            bytes: text.into_bytes(),
            is_head: method == "HEAD",
        }
    }

    /// Sends it and reads the response.
    ///
    /// # Errors
    ///
    /// As of [`Client`].
    pub fn exchange(&self, client: &mut Client) -> Result<Response, Failure> {
        client.send(&self.bytes)?;
        client.response(self.is_head)
    }

    fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.lines().next().unwrap_or_default().to_owned()
    }
}

/// How requests are put on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Each after the response to the one before
    OneByOne,
    /// All in one write, then all responses
    Pipelined,
    /// Each on a connection of its own, which the server must end
    Closing,
}

/// Sends the same requests to both servers and compares every response. Returns those of the server under SAIO.
///
/// # Errors
///
/// The first difference, or a request that failed.
pub fn same(pair: &Pair, requests: &[Request], style: Style) -> Result<Vec<Response>> {
    let plain = responses(pair.plain.address(), requests, style).context("without SAIO")?;
    let saio = responses(pair.saio.address(), requests, style).context("under SAIO")?;
    ensure!(plain.len() == saio.len(), "numbers of responses differ");
    for (index, (plain, saio)) in plain.iter().zip(&saio).enumerate() {
        compare(plain, saio)
            .with_context(|| format!("response {} ({})", index + 1, requests[index].line()))?;
    }
    Ok(saio)
}

fn responses(address: SocketAddr, requests: &[Request], style: Style) -> Result<Vec<Response>> {
    let mut responses = Vec::with_capacity(requests.len());
    if style == Style::Closing {
        for request in requests {
            let mut client = Client::connect(address)?;
            responses.push(
                request
                    .exchange(&mut client)
                    .with_context(|| request.line())?,
            );
            let rest = client.rest().with_context(|| request.line())?;
            ensure!(rest.is_empty(), "{} bytes after the response", rest.len());
        }
        return Ok(responses);
    }
    let mut client = Client::connect(address)?;
    if style == Style::Pipelined {
        let all: Vec<u8> = requests.iter().flat_map(|r| r.bytes.clone()).collect();
        client.send(&all)?;
    }
    for (index, request) in requests.iter().enumerate() {
        let response = if style == Style::Pipelined {
            client.response(request.is_head)
        } else {
            request.exchange(&mut client)
        };
        let place = || format!("response {} ({})", index + 1, request.line());
        responses.push(response.with_context(place)?);
    }
    Ok(responses)
}

/// Compares two responses to the same request.
///
/// # Errors
///
/// What differs and must not.
pub fn compare(plain: &Response, saio: &Response) -> Result<()> {
    let (plain, saio) = (comparable(plain), comparable(saio));
    let lines = |response: &Response| -> Vec<String> {
        response.head.text.lines().map(str::to_owned).collect()
    };
    let (plain_lines, saio_lines) = (lines(&plain), lines(&saio));
    for index in 0..plain_lines.len().max(saio_lines.len()) {
        let (plain, saio) = (plain_lines.get(index), saio_lines.get(index));
        ensure!(
            plain == saio,
            "heads differ: {plain:?} without SAIO, {saio:?} under it"
        );
    }
    same_bytes(&plain.body, &saio.body).context("bodies differ, without SAIO and under it")
}

/// Compares bytes that must be equal.
///
/// # Errors
///
/// The lengths, and the place of the first difference.
pub fn same_bytes(expected: &[u8], found: &[u8]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let place = expected.iter().zip(found).position(|(a, b)| a != b);
    match place {
        Some(place) => bail!(
            "{} and {} bytes; from byte {place} on they differ",
            expected.len(),
            found.len()
        ),
        None => bail!(
            "{} and {} bytes, one the beginning of the other",
            expected.len(),
            found.len()
        ),
    }
}

/// The response with what differs between two servers, or two seconds, made equal.
fn comparable(response: &Response) -> Response {
    let mut response = response.clone();
    for name in ["Date", "Expires"] {
        if let Some(value) = field(&response.head.text, name).map(str::to_owned) {
            // The whole line: a file may have been written in that very second.
            let line = format!("{name}: {value}\r\n");
            let same = format!("{name}: (a time)\r\n");
            response.head.text = response.head.text.replace(&line, &same);
        }
    }
    // A number that counts on with every response in parts of this server.
    let boundary = field(&response.head.text, "Content-Type")
        .and_then(|value| value.split_once("boundary="))
        .map(|(_, boundary)| boundary.to_owned());
    if let Some(boundary) = boundary.filter(|boundary| !boundary.is_empty()) {
        let same = "B".repeat(boundary.len());
        response.head.text = response.head.text.replace(&boundary, &same);
        replace(&mut response.body, boundary.as_bytes(), same.as_bytes());
    }
    response
}

/// Replaces bytes by others of the same number.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let mut start = 0;
    while let Some(place) = bytes[start..].windows(old.len()).position(|w| w == old) {
        let place = start + place;
        bytes[place..place + old.len()].copy_from_slice(new);
        start = place + old.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Head;

    fn response(head: &str, body: &[u8]) -> Response {
        Response {
            head: Head {
                text: head.to_owned(),
                status: 200,
                length: Some(body.len()),
            },
            body: body.to_vec(),
        }
    }

    #[test]
    fn dates_may_differ() {
        let one = response("HTTP/1.1 200 OK\r\nDate: Mon\r\nETag: \"1\"\r\n\r\n", b"x");
        let two = response("HTTP/1.1 200 OK\r\nDate: Tue\r\nETag: \"1\"\r\n\r\n", b"x");
        compare(&one, &two).unwrap();
    }

    #[test]
    fn a_file_may_be_as_old_as_the_response() {
        let one = response(
            "HTTP/1.1 200 OK\r\nDate: Mon\r\nLast-Modified: Mon\r\n\r\n",
            b"x",
        );
        let two = response(
            "HTTP/1.1 200 OK\r\nDate: Tue\r\nLast-Modified: Mon\r\n\r\n",
            b"x",
        );
        compare(&one, &two).unwrap();
        let other = response(
            "HTTP/1.1 200 OK\r\nDate: Tue\r\nLast-Modified: Tue\r\n\r\n",
            b"x",
        );
        assert!(compare(&one, &other).is_err());
    }

    #[test]
    fn boundaries_may_differ() {
        let head = "Content-Type: multipart/byteranges; boundary=";
        let one = response(&format!("{head}0001\r\n\r\n"), b"--0001\r\na\r\n--0001--");
        let two = response(&format!("{head}0777\r\n\r\n"), b"--0777\r\na\r\n--0777--");
        compare(&one, &two).unwrap();
        let three = response(&format!("{head}0777\r\n\r\n"), b"--0777\r\nb\r\n--0777--");
        assert!(compare(&one, &three).is_err());
    }

    #[test]
    fn anything_else_may_not() {
        let one = response("HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\r\n", b"abc");
        let tag = response("HTTP/1.1 200 OK\r\nETag: \"2\"\r\n\r\n", b"abc");
        let body = response("HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\r\n", b"abd");
        let short = response("HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\r\n", b"ab");
        assert!(format!("{:#}", compare(&one, &tag).unwrap_err()).contains("ETag"));
        assert!(format!("{:#}", compare(&one, &body).unwrap_err()).contains("from byte 2"));
        assert!(compare(&one, &short).is_err());
    }
}
