// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines of `trace_pipe`: who, where, when, and what event.

/// Columns of a task's name, which may have anything in it.
const NAME: usize = 16;

/// A line of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// An event.
    Event(Entry<'a>),
    /// Events were overwritten before they were read; how many, if the kernel knows.
    Lost(Option<u64>),
}

/// An event before its fields are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The task in whose context it happened.
    pub pid: u32,
    /// The CPU.
    pub cpu: u32,
    /// Microseconds on the monotonic clock.
    pub time_us: u64,
    /// Name of the event.
    pub name: &'a str,
    /// `NAME=VALUE`, separated by spaces.
    pub fields: &'a str,
}

/// A line as text. Names of tasks may be anything; every byte of another kind than ASCII becomes a question mark, so
/// that the columns stay.
pub fn text(line: &[u8]) -> String {
    let ascii = |&byte: &u8| match byte.is_ascii() {
        true => char::from(byte),
        false => '?',
    };
    line.iter().map(ascii).collect()
}

/// Reads a line without its end; `None` if it is not of either form.
pub fn parse(line: &str) -> Option<Line<'_>> {
    if line.starts_with("CPU:") {
        return lost(line).map(Line::Lost);
    }
    let rest = line.get(NAME..)?;
    let (pid, rest) = rest.strip_prefix('-')?.split_once(' ')?;
    let (_, rest) = rest.split_once('[')?;
    let (cpu, rest) = rest.split_once("] ")?;
    // Flags about interrupts may stand before the time.
    let (before, rest) = rest.split_once(": ")?;
    let (name, fields) = rest.split_once(':')?;
    Some(Line::Event(Entry {
        pid: pid.parse().ok()?,
        cpu: cpu.parse().ok()?,
        time_us: time(before.split_ascii_whitespace().next_back()?)?,
        name,
        fields: fields.trim(),
    }))
}

/// `CPU:3 [LOST 12 EVENTS]` or `CPU:3 [LOST EVENTS]`.
fn lost(line: &str) -> Option<Option<u64>> {
    let (_, rest) = line.split_once("[LOST")?;
    let count = rest.strip_suffix("EVENTS]")?.trim();
    if count.is_empty() {
        return Some(None);
    }
    count.parse().ok().map(Some)
}

/// `SECONDS.MICROSECONDS`, the latter with six digits.
fn time(text: &str) -> Option<u64> {
    let (seconds, micros) = text.split_once('.')?;
    if micros.len() != 6 {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    seconds
        .checked_mul(1_000_000)?
        .checked_add(micros.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Entry<'_> {
        match parse(line) {
            Some(Line::Event(entry)) => entry,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn events() {
        let wanted = Entry {
            pid: 1234,
            cpu: 3,
            time_us: 5_000_012,
            name: "saio_park",
            fields: "ring=7 left=9",
        };
        for line in [
            "           nginx-1234    [003] .....     5.000012: saio_park: ring=7 left=9",
            "           nginx-1234    [003] d..1.     5.000012: saio_park: ring=7 left=9 ",
            "           nginx-1234    [003]     5.000012: saio_park: ring=7 left=9",
            "           nginx-1234    (   1200) [003] .....     5.000012: saio_park: ring=7 left=9",
            "           <...>-1234    [003] .....     5.000012: saio_park: ring=7 left=9",
            " a-1 [0] 1.0: b:-1234    [003] .....     5.000012: saio_park: ring=7 left=9",
        ] {
            assert_eq!(event(line), wanted, "{line}");
        }
    }

    #[test]
    fn names_that_are_no_text() {
        let mut line = b"                -7       [000] .....     1.000000: e: x=1".to_vec();
        line[3] = 0xff;
        // Fields have names in them too.
        line.extend_from_slice(b" comm=\xff\xc3\xa9 y=2");
        let text = text(&line);
        let Some(Line::Event(entry)) = parse(&text) else {
            panic!("{text}");
        };
        assert_eq!((entry.pid, entry.fields), (7, "x=1 comm=??? y=2"));
    }

    #[test]
    fn lost_events() {
        assert_eq!(parse("CPU:1 [LOST 42 EVENTS]"), Some(Line::Lost(Some(42))));
        assert_eq!(parse("CPU:1 [LOST EVENTS]"), Some(Line::Lost(None)));
        assert_eq!(parse("CPU:1 [LOST x EVENTS]"), None);
    }

    #[test]
    fn other_lines() {
        for line in ["", "# tracer: nop", "           nginx-12    [000] x: y: z"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
