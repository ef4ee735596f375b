// SPDX-License-Identifier: MIT OR Apache-2.0

//! What may differ between two answers, and how a difference is told.

use anyhow::{bail, Result};

use crate::http::{end_of_head, field};

/// Said by every run, so that nobody takes the comparison for more than it is.
pub const NOT_COMPARED: &str = "not compared: the time in the Date field of HTTP responses, if both are well-formed; \
    the boundary of multipart responses, if both are of one length. Everything else must be equal, byte for byte";

/// Bytes shown before and behind a difference.
const AROUND: usize = 12;

/// Compares bytes that must be equal.
///
/// # Errors
///
/// Both lengths, the first difference and some bytes around it.
pub fn same_bytes(plain: &[u8], saio: &[u8]) -> Result<()> {
    if plain == saio {
        return Ok(());
    }
    let place = plain.iter().zip(saio).position(|(a, b)| a != b);
    let place = place.unwrap_or(plain.len().min(saio.len()));
    bail!(
        "{} bytes were expected and {} came; they differ from byte {place} on:\n  expected {}\n  came     {}",
        plain.len(),
        saio.len(),
        around(plain, place),
        around(saio, place)
    )
}

/// Some bytes around a place, in hexadecimal and as text, the place itself in brackets.
fn around(bytes: &[u8], place: usize) -> String {
    let from = place.saturating_sub(AROUND);
    let to = bytes.len().min(place + AROUND);
    let mut hex = format!("{from}:");
    for (index, byte) in bytes[from..to].iter().enumerate() {
        hex += &match from + index == place {
            true => format!(" [{byte:02x}]"),
            false => format!(" {byte:02x}"),
        };
    }
    if place >= bytes.len() {
        hex += " [end]";
    }
    format!("{hex} \"{}\"", bytes[from..to].escape_ascii())
}

/// Compares two HTTP responses, as they came, but for what [`NOT_COMPARED`] says.
///
/// # Errors
///
/// As [`same_bytes`].
pub fn same_http(plain: &[u8], saio: &[u8]) -> Result<()> {
    if plain == saio {
        return Ok(());
    }
    let (mut plain, mut saio) = (plain.to_vec(), saio.to_vec());
    for bytes in [&mut plain, &mut saio] {
        blank_date(bytes);
    }
    if let (Some(one), Some(two)) = (boundary(&plain), boundary(&saio)) {
        if one.len() == two.len() {
            blank(&mut plain, one.as_bytes());
            blank(&mut saio, two.as_bytes());
        }
    }
    same_bytes(&plain, &saio)
}

/// Overwrites the time in the Date field. One that is not well-formed stays as it is.
pub fn blank_date(bytes: &mut [u8]) {
    let end = end_of_head(bytes).unwrap_or(bytes.len());
    let mut line = 0;
    while let Some(length) = bytes[line..end].windows(2).position(|two| two == b"\r\n") {
        let text = &mut bytes[line..line + length];
        if text.len() > 5 && text[..5].eq_ignore_ascii_case(b"date:") {
            let value = &mut text[5..];
            let from = usize::from(value.first() == Some(&b' '));
            if is_date(&value[from..]) {
                value[from..].fill(b'#');
            }
        }
        line += length + 2;
    }
}

/// Whether it has the form of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn is_date(bytes: &[u8]) -> bool {
    const FORM: &[u8] = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    bytes.len() == FORM.len()
        && bytes.iter().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_uppercase() || byte == form,
            b'a' => byte.is_ascii_lowercase(),
            other => byte == other,
        })
}

/// What separates the parts of a multipart response: some servers count on with every response.
fn boundary(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..end_of_head(bytes)?]).into_owned();
    let value = field(&head, "Content-Type")?;
    let (_, boundary) = value.split_once("boundary=")?;
    (!boundary.is_empty()).then(|| boundary.to_owned())
}

fn blank(bytes: &mut [u8], word: &[u8]) {
    let mut start = 0;
    while let Some(place) = bytes[start..].windows(word.len()).position(|w| w == word) {
        let place = start + place;
        start = place + word.len();
        bytes[place..start].fill(b'#');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_date(date: &str, rest: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nDate: {date}\r\n{rest}\r\n\r\nbody").into_bytes()
    }

    const ONE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const TWO: &str = "Mon, 07 Nov 1994 08:49:38 GMT";

    #[test]
    fn times_in_date_may_differ_and_in_nothing_else() {
        let one = with_date(ONE, "Last-Modified: x");
        same_http(&one, &with_date(TWO, "Last-Modified: x")).unwrap();
        assert!(same_http(&one, &with_date(TWO, "Last-Modified: y")).is_err());
        assert!(same_http(&one, &with_date("soon", "Last-Modified: x")).is_err());
        let modified = |time| with_date(ONE, &format!("Last-Modified: {time}"));
        assert!(same_http(&modified(ONE), &modified(TWO)).is_err());
        assert!(same_http(&with_date("2 am", "a: b"), &with_date("3 am", "a: b")).is_err());
        // A body is no head.
        let body = |time| format!("HTTP/1.1 200 OK\r\n\r\nDate: {time}\r\n").into_bytes();
        assert!(same_http(&body(ONE), &body(TWO)).is_err());
    }

    #[test]
    fn boundaries_may_differ() {
        let response = |boundary: &str, part: &str| {
            format!("HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary={boundary}\r\n\r\n--{boundary}\r\n{part}\r\n--{boundary}--")
                .into_bytes()
        };
        same_http(&response("0001", "a"), &response("0777", "a")).unwrap();
        assert!(same_http(&response("0001", "a"), &response("0777", "b")).is_err());
        assert!(same_http(&response("0001", "a"), &response("077", "a")).is_err());
    }

    #[test]
    fn differences_are_shown() {
        let error = same_bytes(b"0123456789", b"01234x6789").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("from byte 5 on"), "{text}");
        assert!(text.contains("33 34 [35] 36"), "{text}");
        assert!(text.contains("33 34 [78] 36"), "{text}");
        let text = same_bytes(b"abc", b"ab").unwrap_err().to_string();
        assert!(text.contains("3 bytes were expected and 2 came"), "{text}");
        assert!(text.contains("61 62 [end]"), "{text}");
        assert!(same_bytes(b"ab", b"abc").is_err());
        same_bytes(b"", b"").unwrap();
    }
}
