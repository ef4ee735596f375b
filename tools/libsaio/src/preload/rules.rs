// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rules for programs, in the form in which the library finds them in its environment:
//! `PATTERN=off;PATTERN=close,send`. Reading them takes no memory.
//!
//! A pattern with a slash is for the path of the executable, one without for its name. `*`, `?`
//! and `[…]` are those of the shell; they do not stand for a slash.

use std::ffi::CStr;

use super::Call;

/// The variable of the environment.
pub const VARIABLE: &CStr = c"SAIO_RULES";

/// Longest pattern in bytes.
pub const PATTERN_MAX: usize = 255;

/// Longest text of all rules in bytes; the kernel takes no more than 128 KiB of one variable.
pub const TEXT_MAX: usize = 64 << 10;

/// What stands for all calls.
const OFF: &str = "off";

/// A set of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls(u32);

impl Calls {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every call.
    pub const ALL: Self = Self(u32::MAX);
    /// Those that a rule can name, with the names that it uses. All others are never queued.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("write", Self::of(Call::Write)),
        ("writev", Self::of(Call::Writev)),
        ("send", Self::of(Call::Send)),
        ("sendmsg", Self::of(Call::Sendmsg)),
        ("sendfile", Self::of(Call::Sendfile)),
        ("setsockopt", Self::of(Call::Option)),
        (
            "close",
            Self::of(Call::Close).and(Self::of(Call::CloseFile)),
        ),
        ("read", Self::of(Call::Read)),
    ];

    /// One.
    pub const fn of(call: Call) -> Self {
        Self(1 << call as u8)
    }

    /// Those of both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this call is among them.
    #[inline]
    pub const fn has(self, call: Call) -> bool {
        self.0 & Self::of(call).0 != 0
    }

    /// Those of a name of [`Self::NAMES`].
    pub fn by_name(name: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, calls)| *calls)
    }
}

/// What holds for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes without SAIO.
    Off,
    /// These calls go straight through.
    Pass(Calls),
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// For which programs.
    pub pattern: &'a str,
    /// What holds for them.
    pub verdict: Verdict,
}

/// Why a text cannot stand in a pattern; `None` if it can.
pub fn fault(pattern: &str) -> Option<&'static str> {
    let bad = |b: u8| !(b' '..=b'~').contains(&b) || b"=;\"\\".contains(&b);
    match pattern {
        "" => Some("it is empty"),
        long if long.len() > PATTERN_MAX => Some("it has more than 255 bytes"),
        odd if odd.bytes().any(bad) => {
            Some("it has something else than printable ASCII, or one of = ; \" \\")
        }
        path if path.contains('/') && !path.starts_with(['/', '*', '?', '[']) => {
            Some("it has a slash, so it is for whole paths, and these begin with one")
        }
        _ => None,
    }
}

/// The rules of a text. What is none, which [`fault`] and [`Calls::by_name`] keep out, is left out.
pub fn parse(text: &str) -> impl Iterator<Item = Rule<'_>> {
    text.split(';').filter_map(|rule| {
        let (pattern, calls) = rule.split_once('=')?;
        if calls == OFF {
            let verdict = Verdict::Off;
            return Some(Rule { pattern, verdict });
        }
        let mut all = Calls::NONE;
        for name in calls.split(',') {
            all = all.and(Calls::by_name(name)?);
        }
        let verdict = Verdict::Pass(all);
        Some(Rule { pattern, verdict })
    })
}

/// Adds a rule to a text. `calls` are names of [`Calls::NAMES`]; `None`: it is [`Verdict::Off`].
pub fn write(text: &mut String, pattern: &str, calls: Option<&[String]>) {
    if !text.is_empty() {
        text.push(';');
    }
    text.push_str(pattern);
    text.push('=');
    match calls {
        None => text.push_str(OFF),
        Some(calls) => text.push_str(&calls.join(",")),
    }
}

/// Whether a pattern is for a program with this path, which may also be a plain name.
pub fn fits(pattern: &str, path: &CStr) -> bool {
    let mut copy = [0u8; PATTERN_MAX + 1];
    if pattern.len() > PATTERN_MAX {
        return false;
    }
    copy[..pattern.len()].copy_from_slice(pattern.as_bytes());
    let bytes = path.to_bytes_with_nul();
    let name = match bytes.iter().rposition(|b| *b == b'/') {
        Some(slash) if !pattern.contains('/') => &bytes[slash + 1..],
        _ => bytes,
    };
    // SAFETY: both end with a zero byte and are only read.
    let differs = unsafe {
        libc::fnmatch(
            copy.as_ptr().cast(),
            name.as_ptr().cast(),
            libc::FNM_PATHNAME | libc::FNM_NOESCAPE,
        )
    };
    differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn there_and_back() {
        let mut text = String::new();
        write(&mut text, "bash", None);
        write(
            &mut text,
            "/opt/*/redis-server",
            Some(&calls(&["close", "send"])),
        );
        assert_eq!(text, "bash=off;/opt/*/redis-server=close,send");
        let rules: Vec<_> = parse(&text).collect();
        assert_eq!(rules.len(), 2);
        assert_eq!((rules[0].pattern, rules[0].verdict), ("bash", Verdict::Off));
        assert_eq!(rules[1].pattern, "/opt/*/redis-server");
        let Verdict::Pass(calls) = rules[1].verdict else {
            panic!("{rules:?}");
        };
        for call in Call::ALL {
            let wanted = matches!(call, Call::Close | Call::CloseFile | Call::Send);
            assert_eq!(calls.has(*call), wanted, "{call:?}");
        }
    }

    #[test]
    fn what_is_no_rule_is_left_out() {
        let left = |text: &str| parse(text).count();
        assert_eq!(left(""), 0);
        assert_eq!(left("bash"), 0);
        assert_eq!(left("a=recv;b=off;c=close,"), 1);
    }

    #[test]
    fn names_and_paths() {
        for (pattern, path, wanted) in [
            ("nginx", c"/usr/sbin/nginx", true),
            ("nginx", c"nginx", true),
            ("nginx", c"/usr/sbin/nginx-debug", false),
            ("nginx*", c"/usr/sbin/nginx-debug", true),
            ("nginx*", c"/opt/nginx/bin/sh", false),
            ("/opt/*/bin/x", c"/opt/a/bin/x", true),
            ("/opt/*/bin/x", c"/opt/a/b/bin/x", false),
            ("/opt/x", c"x", false),
            ("python3.[0-9]*", c"/usr/bin/python3.11", true),
        ] {
            assert_eq!(fits(pattern, path), wanted, "{pattern} {path:?}");
        }
        assert!(!fits(&"*".repeat(300), c"x"));
    }

    #[test]
    fn patterns_that_cannot_be_written() {
        for good in ["nginx", "/usr/*/x y", "*/x", "redis-?erver"] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "",
            "a=b",
            "a;b",
            "a\"b",
            "a\\b",
            "ä",
            "a\nb",
            "bin/x",
            &"x".repeat(256),
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
