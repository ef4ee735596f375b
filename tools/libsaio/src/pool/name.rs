// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of pools.

use std::fmt;
use std::io;
use std::str::FromStr;

use super::Invalid;
use crate::sys::SAIO_POOL_NAME_LEN;

/// Longest name in bytes: the kernel ends it with a zero.
const NAME_MAX: usize = SAIO_POOL_NAME_LEN as usize - 1;

/// Name of a pool: 1 to 31 letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The pool that is always there, for rings that name none.
    pub fn default_pool() -> Self {
        Self("default".to_owned())
    }

    /// Whether it is [`Self::default_pool`].
    pub fn is_default_pool(&self) -> bool {
        *self == Self::default_pool()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn raw(&self) -> [u8; SAIO_POOL_NAME_LEN as usize] {
        let mut raw = [0; SAIO_POOL_NAME_LEN as usize];
        raw[..self.0.len()].copy_from_slice(self.0.as_bytes());
        raw
    }

    pub(super) fn from_raw(raw: &[u8]) -> io::Result<Self> {
        let end = raw.iter().position(|&b| b == 0).unwrap_or(raw.len());
        String::from_utf8_lossy(&raw[..end])
            .parse()
            .map_err(|error: Invalid| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=NAME_MAX).contains(&text.len());
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if fits && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid(format!(
            "{text:?} is no name of a pool: 1 to {NAME_MAX} letters, digits, '-', '_' and '.'"
        )))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["web", "a", "A-1_b.c", &"x".repeat(31)] {
            let name: Name = good.parse().unwrap();
            assert_eq!(Name::from_raw(&name.raw()).unwrap(), name);
        }
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(32)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!(Name::from_raw(&[0; 32]).is_err());
    }
}
