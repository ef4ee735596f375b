// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines out of a stream that comes in pieces.

/// Keeps the line that is not complete yet.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes a piece; calls `each` with every line that it completes, without its end.
    pub fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        self.partial.extend_from_slice(bytes);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            return;
        };
        let complete: Vec<u8> = self.partial.drain(..=end).collect();
        for line in complete[..end].split(|byte| *byte == b'\n') {
            each(&String::from_utf8_lossy(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for piece in ["o", "ne\n\ntw", "o\nrest"] {
            lines.take(piece.as_bytes(), |line| got.push(line.to_string()));
        }
        assert_eq!(got, ["one", "", "two"]);
    }
}
