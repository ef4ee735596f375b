// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that say which programs go without SAIO, and which of their calls go straight through.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use saio::preload::rules::{self, Calls, TEXT_MAX};
use serde::Deserialize;
use toml::Spanned;

use crate::fault::{self, Fault};
use crate::pool::unusable;

/// What holds if no file is named.
const DEFAULT: &str = include_str!("../../../../configs/preload/default.toml");

/// What holds for programs whose name or path a pattern fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The pattern.
    pub pattern: String,
    /// Calls that go straight through; `None`: the program goes without SAIO.
    pub pass: Option<Vec<String>>,
    /// Why.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    program: BTreeMap<Spanned<String>, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    off: Option<Spanned<bool>>,
    pass: Option<Spanned<Vec<Spanned<String>>>>,
    reason: Option<Spanned<String>>,
}

/// Reads a file, or what holds without one.
///
/// # Errors
///
/// It cannot be read, or is wrong; the error names line and key.
pub fn load(file: Option<&Path>) -> Result<Vec<Rule>> {
    let Some(file) = file else {
        return parse(DEFAULT)
            .map_err(|fault| unusable(format!("configs/preload/default.toml:{fault}")));
    };
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| unusable(format!("--preload-config: cannot read {name}: {error}")))?;
    parse(&text).map_err(|fault| unusable(format!("{name}:{fault}")))
}

/// Rules as the library takes them from its environment.
pub fn variable(rules: &[Rule]) -> String {
    let mut text = String::new();
    for rule in rules {
        rules::write(&mut text, &rule.pattern, rule.pass.as_deref());
    }
    text
}

fn parse(text: &str) -> Result<Vec<Rule>, Fault> {
    let file: File = fault::parse(text)?;
    let rules = file.program.into_iter();
    let rules: Vec<Rule> = rules
        .map(|(pattern, entry)| entry.rule(text, &pattern))
        .collect::<Result<_, _>>()?;
    if variable(&rules).len() > TEXT_MAX {
        return Err(Fault::of_file(format!(
            "its patterns and calls are more than {TEXT_MAX} bytes, which is all that the library takes"
        )));
    }
    Ok(rules)
}

impl Entry {
    fn rule(self, text: &str, pattern: &Spanned<String>) -> Result<Rule, Fault> {
        let name = pattern.get_ref();
        if let Some(why) = rules::fault(name) {
            let what = format!("{name:?} cannot be a name or path of a program: {why}");
            return Err(Fault::at(text, &pattern.span(), what));
        }
        let of_entry = |what: &str| Fault::at(text, &pattern.span(), format!("{name}: {what}"));
        let pass = match (&self.off, self.pass) {
            (Some(_), Some(pass)) => {
                let what = "pass: with off, every call goes straight through; drop one of them";
                return Err(Fault::at(text, &pass.span(), what));
            }
            (Some(off), None) if !off.get_ref() => {
                let what = "off: can only be true; leave the program out instead";
                return Err(Fault::at(text, &off.span(), what));
            }
            (Some(_), None) => None,
            (None, Some(pass)) => Some(calls(text, pass)?),
            (None, None) => {
                return Err(of_entry("neither off = true nor pass = [...] is given"));
            }
        };
        let Some(reason) = self.reason else {
            return Err(of_entry("no reason is given; it is for those who wonder"));
        };
        if reason.get_ref().trim().is_empty() || reason.get_ref().contains('\n') {
            let what = "reason: takes one line of text";
            return Err(Fault::at(text, &reason.span(), what));
        }
        Ok(Rule {
            pattern: name.clone(),
            pass,
            reason: reason.into_inner(),
        })
    }
}

/// Names of calls that can go straight through.
fn calls(text: &str, pass: Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Fault> {
    let known = Calls::NAMES.map(|(name, _)| name).join(", ");
    if pass.get_ref().is_empty() {
        let what = format!("pass: names no call; known ones: {known}");
        return Err(Fault::at(text, &pass.span(), what));
    }
    let name = |call: Spanned<String>| match Calls::by_name(call.get_ref()) {
        Some(_) => Ok(call.into_inner()),
        None => Err(Fault::at(
            text,
            &call.span(),
            format!(
                "pass: {:?} is no call that is ever queued; known ones: {known}",
                call.get_ref()
            ),
        )),
    };
    pass.into_inner().into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_a_variable() {
        let file = "[program.\"/opt/*/x\"]\noff = true\nreason = \"r\"\n\
            [program.redis-server]\npass = [\"close\", \"send\"]\nreason = \"s\"\n";
        let rules = parse(file).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[1].reason, "s");
        let text = variable(&rules);
        assert_eq!(text, "/opt/*/x=off;redis-server=close,send");
        assert_eq!(rules::parse(&text).count(), 2);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn faults_name_line_key_and_what_is_known() {
        let faults = [
            ("[program.x]\n\nof = true\n", 3, "unknown field `of`, expected one of `off`, `pass`, `reason`"),
            ("[programs.x]\n", 1, "unknown field `programs`, expected `program`"),
            ("[program.x]\noff = 1\n", 2, "invalid type"),
            ("[program.x]\noff = false\nreason = \"r\"\n", 2, "off: can only be true"),
            ("[program.x]\noff = true\npass = [\"send\"]\n", 3, "pass: with off"),
            ("\n[program.x]\nreason = \"r\"\n", 2, "x: neither off = true nor pass"),
            ("[program.x]\noff = true\n", 1, "x: no reason is given"),
            ("[program.x]\noff = true\nreason = \" \"\n", 3, "reason: takes one line"),
            ("[program.x]\npass = []\nreason = \"r\"\n", 2, "pass: names no call; known ones: write, "),
            (
                "[program.x]\npass = [\n\"close\",\n\"recv\"]\nreason = \"r\"\n",
                4,
                "pass: \"recv\" is no call that is ever queued; known ones: write, writev, send, sendmsg, sendfile, setsockopt, close, read",
            ),
            ("[program.\"a=b\"]\noff = true\nreason = \"r\"\n", 1, "\"a=b\" cannot be a name or path"),
            ("[program.x]\n[program.x]\n", 2, "duplicate key"),
        ];
        for (file, line, text) in faults {
            let fault = parse(file).unwrap_err();
            assert_eq!(fault.line, Some(line), "{file}{fault:?}");
            assert!(fault.text.contains(text), "{file}{fault:?}");
        }
        let mut long = String::new();
        for i in 0..400 {
            long += &format!(
                "[program.{}{i}]\noff = true\nreason = \"r\"\n",
                "x".repeat(200)
            );
        }
        assert!(parse(&long).unwrap_err().text.contains("65536 bytes"));
    }

    #[test]
    fn what_is_shipped_is_good() {
        let rules = load(None).unwrap();
        assert!(rules.len() > 5, "{} rules", rules.len());
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/preload");
        for entry in fs::read_dir(dir).unwrap() {
            load(Some(&entry.unwrap().path())).unwrap();
        }
    }
}
