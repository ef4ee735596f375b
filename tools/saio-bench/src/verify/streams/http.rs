// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests of HTTP/1.1 for the files that are served.

use super::{noise, Reply, Request, Stream};
use crate::docs::Random;

/// Names and sizes in bytes of the files served, by size.
pub const FILES: [(&str, usize); 6] = [
    ("1b", 1),
    ("1k", 1 << 10),
    ("20k", 20 << 10),
    ("256k", 256 << 10),
    ("1m", 1 << 20),
    ("8m", 8 << 20),
];
/// One more for the long form.
pub const LARGE_FILE: (&str, usize) = ("64m", 64 << 20);
/// One whose response fits in one TLS record and one segment.
pub const SEGMENT_FILE: (&str, usize) = ("8k", 8 << 10);
/// What clients mostly ask for, as indices.
const COMMON: [usize; 6] = [0, 1, 1, 2, 2, 3];

/// What a server has besides files.
pub struct Http {
    /// Parts of files
    pub ranges: bool,
    /// A path that gives back what is sent to it
    pub echo: Option<&'static str>,
    /// A directory below which the same files come in chunks
    pub chunked: Option<&'static str>,
}

/// Requests that a server answers in a file's way.
pub const STATIC: Http = Http {
    ranges: true,
    echo: None,
    chunked: None,
};

/// Those of the applications among the configurations.
pub const APPLICATION: Http = Http {
    ranges: false,
    echo: Some("/echo"),
    chunked: Some("/chunked"),
};

impl Stream for Http {
    fn requests(&self, random: &mut Random, _: usize, number: usize) -> Vec<Request> {
        (0..number).map(|_| self.any(random)).collect()
    }

    fn sized(&self, bytes: usize, _: usize) -> Vec<Request> {
        let fitting = FILES.iter().find(|(_, size)| *size >= bytes);
        vec![get(&path(fitting.unwrap_or(&LARGE_FILE).0), &[])]
    }

    fn upload(&self, bytes: usize, client: usize) -> Option<Request> {
        let path = self.echo.unwrap_or("/1k.bin");
        let body = noise(&mut Random::new(client as u64), bytes);
        Some(post(path, &[], &body))
    }
}

impl Http {
    fn any(&self, random: &mut Random) -> Request {
        let (name, size) = FILES[COMMON[random.below(COMMON.len())]];
        let file = path(name);
        let from = random.below(size);
        let range = format!("Range: bytes={from}-");
        match (random.below(10), self.echo, self.chunked) {
            (0, ..) => head(&file),
            (1, ..) => get("/no-such-file", &[]),
            (2, ..) if self.ranges => get(&file, &[&range]),
            (3, Some(path), _) => {
                let bytes = super::value_length(random);
                post(path, &[], &noise(random, bytes))
            }
            (4, _, Some(dir)) => get(&format!("{dir}{file}"), &[]),
            _ => get(&file, &[]),
        }
    }
}

/// Path of a served file.
pub fn path(name: &str) -> String {
    format!("/{name}.bin")
}

/// GET of a path, with more header lines, none of which has a line end.
pub fn get(path: &str, lines: &[&str]) -> Request {
    new("GET", path, lines, b"")
}

/// HEAD of a path.
pub fn head(path: &str) -> Request {
    new("HEAD", path, &[], b"")
}

/// POST of a body to a path, with more header lines.
pub fn post(path: &str, lines: &[&str], body: &[u8]) -> Request {
    let length = format!("Content-Length: {}", body.len());
    new("POST", path, &[&[length.as_str()], lines].concat(), body)
}

/// Bytes as they are.
pub fn raw(bytes: &[u8]) -> Request {
    Request {
        bytes: bytes.to_vec(),
        reply: Reply::Http { to_head: false },
    }
}

fn new(method: &str, path: &str, lines: &[&str], body: &[u8]) -> Request {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: verify\r\n");
    for line in lines {
        text += line;
        text += "\r\n";
    }
    text += "\r\n";
    let mut bytes = text.into_bytes();
    bytes.extend(body);
    Request {
        bytes,
        reply: Reply::Http {
            to_head: method == "HEAD",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_for_a_seed() {
        let texts = |seed| -> Vec<Vec<u8>> {
            let requests = APPLICATION.requests(&mut Random::new(seed), 0, 50);
            requests.into_iter().map(|r| r.bytes).collect()
        };
        assert_eq!(texts(3), texts(3));
        assert_ne!(texts(3), texts(4));
        assert!(texts(3).iter().any(|text| text.starts_with(b"POST /echo")));
    }

    #[test]
    fn files_are_found_by_size() {
        let first = |bytes| STATIC.sized(bytes, 0)[0].to_string();
        assert!(first(1 << 20).starts_with("GET /1m.bin "));
        assert!(first(1 << 24).starts_with("GET /64m.bin "));
    }
}
