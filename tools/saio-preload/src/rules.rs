// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which rules of the list are for this program: one may have it go without SAIO, or have calls
//! go straight through.

use std::ffi::{c_char, CStr};
use std::fmt::Write;
use std::sync::OnceLock;

use saio::preload::rules::{self, Calls, Verdict};
use saio::sys;

/// What the rules for this program say.
#[derive(Debug, PartialEq, Eq)]
struct Matched {
    off: bool,
    passed: Calls,
    /// Their patterns, as members of a JSON array. They need no escapes.
    patterns: String,
}

static MATCHED: OnceLock<Matched> = OnceLock::new();

/// Reads a list. Takes memory if rules of it are for this program.
pub fn read(list: &str) {
    let mut link = [0; libc::PATH_MAX as usize];
    let names = [called(), executable(&mut link)];
    if let Some(matched) = find(list, &names) {
        let _ = MATCHED.set(matched);
    }
}

/// Whether this program goes without SAIO.
pub fn off() -> bool {
    MATCHED.get().is_some_and(|matched| matched.off)
}

/// Calls that go straight through in this program.
pub fn passed() -> Calls {
    MATCHED.get().map_or(Calls::NONE, |matched| matched.passed)
}

/// Patterns of the rules for this program, as members of a JSON array, if there are any.
pub fn matched() -> Option<&'static str> {
    MATCHED.get().map(|matched| &*matched.patterns)
}

/// What the rules say that are for one of these names.
fn find(list: &str, names: &[Option<&CStr>]) -> Option<Matched> {
    let mut matched = Matched {
        off: false,
        passed: Calls::NONE,
        patterns: String::new(),
    };
    for rule in rules::parse(list) {
        let ours = |name: &&CStr| rules::fits(rule.pattern, name);
        if !names.iter().flatten().any(ours) {
            continue;
        }
        match rule.verdict {
            Verdict::Off => matched.off = true,
            Verdict::Pass(calls) => matched.passed = matched.passed.and(calls),
        }
        let comma = if matched.patterns.is_empty() { "" } else { "," };
        let _ = write!(matched.patterns, "{comma}\"{}\"", rule.pattern);
    }
    (!matched.patterns.is_empty()).then_some(matched)
}

/// The path that was given to `execve`: that of a script, not of its interpreter, and a link as
/// it is called.
fn called() -> Option<&'static CStr> {
    // SAFETY: only reads what the kernel left for the process.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    // SAFETY: a C string that the kernel has put beside the environment, if there is one. It is
    // not used once the constructor is over: programs overwrite it to change their title.
    (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) })
}

/// The path of the executable file.
fn executable(link: &mut [u8; libc::PATH_MAX as usize]) -> Option<&CStr> {
    let args = [
        libc::AT_FDCWD as usize,
        c"/proc/self/exe".as_ptr() as usize,
        link.as_mut_ptr() as usize,
        // The rest is zero, so it ends with one.
        link.len() - 1,
        0,
        0,
    ];
    // SAFETY: a C string, and memory of that length.
    sys::check(unsafe { sys::syscall(libc::SYS_readlinkat, args) }).ok()?;
    CStr::from_bytes_until_nul(link).ok()
}

#[cfg(test)]
mod tests {
    use saio::preload::Call;

    use super::*;

    #[test]
    fn all_that_fit_count() {
        let names = [
            Some(c"/usr/bin/redis-server"),
            Some(c"/usr/bin/redis-check-rdb"),
            None,
        ];
        let list = "redis-server=close;nginx=off;/usr/bin/redis-check-*=send;x=write";
        let matched = find(list, &names).unwrap();
        assert!(!matched.off);
        let passed = Call::ALL.iter().filter(|call| matched.passed.has(**call));
        let passed: Vec<_> = passed.map(|call| call.name()).collect();
        assert_eq!(passed, ["send", "close", "close_file"]);
        assert_eq!(
            matched.patterns,
            "\"redis-server\",\"/usr/bin/redis-check-*\""
        );
        assert!(find("redis-*=off", &names).unwrap().off);
        assert_eq!(find("nginx=off", &names), None);
        assert_eq!(find("", &names), None);
    }

    #[test]
    fn this_program_has_names() {
        let mut link = [0; libc::PATH_MAX as usize];
        let exe = std::env::current_exe().unwrap();
        let seen = executable(&mut link).unwrap();
        assert_eq!(seen.to_str().unwrap(), exe.to_str().unwrap());
        assert!(called().is_some());
    }
}
