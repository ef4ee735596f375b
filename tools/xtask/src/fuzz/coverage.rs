// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which code of SAIO a guest has reached: QEMU logs what it translates, which is what is about
//! to run. The kernel needs nothing for it, and runs at full speed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{bail, Context as _, Result};

use crate::boot::Guest;
use crate::exec;
use crate::paths::{self, Context};
use crate::toolchain::Toolchain;

/// Most bytes of padding between two functions.
const GAP: u64 = 64;

/// A function of SAIO.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Function {
    name: String,
    start: u64,
    end: u64,
}

/// What is needed to tell what was reached.
#[derive(Debug)]
pub struct Coverage {
    functions: Vec<Function>,
    /// Address of every instruction of these.
    code: BTreeSet<u64>,
    /// What QEMU writes.
    log: PathBuf,
    /// Where the list by function goes.
    list: PathBuf,
}

impl Coverage {
    /// Has the guest's code of SAIO logged.
    ///
    /// # Errors
    ///
    /// The kernel's build has no symbols, or there is no LLVM.
    pub fn prepare(ctx: &Context, guest: &mut Guest) -> Result<Self> {
        let tools = Toolchain::find(ctx)?;
        let build = guest.build_dir()?;
        let mut objects = Vec::new();
        let dir = build.join("kernel/saio");
        for entry in std::fs::read_dir(&dir)
            .with_context(|| format!("cannot read {}", dir.display()))?
            .flatten()
        {
            if entry.path().extension().is_some_and(|end| end == "o") {
                objects.push(entry.path());
            }
        }
        let mut nm = Command::new(tools.llvm("llvm-nm"));
        nm.args(["--defined-only", "--format=posix"]).args(&objects);
        let symbols = exec::output(&mut nm)?;
        let map = paths::read(&build.join("System.map"))?;
        let functions = functions(&symbols, &map);
        let ranges = ranges(&functions);
        if ranges.is_empty() {
            bail!("{} has no functions of SAIO", build.display());
        }
        let mut code = BTreeSet::new();
        for (start, end) in &ranges {
            let mut objdump = Command::new(tools.llvm("llvm-objdump"));
            objdump
                .args(["-d", "--no-show-raw-insn"])
                .arg(format!("--start-address={start:#x}"))
                .arg(format!("--stop-address={end:#x}"))
                .arg(build.join("vmlinux"));
            let text = exec::output(&mut objdump)?;
            code.extend(text.lines().filter_map(instruction));
        }
        let log = guest.log_code(&ranges);
        let list = guest.out_dir().join("coverage.txt");
        Ok(Coverage {
            functions,
            code,
            log,
            list,
        })
    }

    /// Says what was reached, and writes the list of functions.
    ///
    /// # Errors
    ///
    /// QEMU has logged nothing.
    pub fn report(&self) -> Result<()> {
        let file =
            File::open(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        let mut reached = BTreeSet::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(|| format!("cannot read {}", self.log.display()))?;
            reached.extend(logged(&String::from_utf8_lossy(&line)));
        }
        if reached.is_empty() {
            bail!(
                "{} has no instructions: this QEMU cannot disassemble",
                self.log.display()
            );
        }
        let count = |set: &BTreeSet<u64>, function: &Function| {
            set.range(function.start..function.end).count()
        };
        let (mut entered, mut text) = (0, String::new());
        for function in &self.functions {
            let all = count(&self.code, function);
            let seen = count(&reached, function).min(all);
            entered += usize::from(seen > 0);
            text.push_str(&format!("{seen:5} of {all:5}  {}\n", function.name));
        }
        paths::write(&self.list, text)?;
        let seen = reached.intersection(&self.code).count();
        println!(
            "code reached: {entered} of {} functions, {seen} of {} instructions ({} %) of SAIO; by \
             function: {}",
            self.functions.len(),
            self.code.len(),
            100 * seen / self.code.len().max(1),
            self.list.display()
        );
        Ok(())
    }
}

/// The functions that objects define, with the addresses that the kernel gives them.
fn functions(symbols: &str, map: &str) -> Vec<Function> {
    let names: BTreeSet<&str> = symbols
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            rest.starts_with(['t', 'T', 'w', 'W']).then_some(name)
        })
        .collect();
    let mut all: Vec<(u64, &str)> = map
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((address, words.nth(1)?))
        })
        .collect();
    all.sort_unstable();
    let address = |name| {
        all.iter()
            .find(|(_, other)| *other == name)
            .map(|(at, _)| *at)
    };
    // What runs at boot only is no code to reach.
    let boot = address("_sinittext").zip(address("_einittext"));
    let boot = boot.map_or(0..0, |(start, end)| start..end);
    let mut functions: Vec<Function> = Vec::new();
    for (i, (start, name)) in all.iter().enumerate() {
        let end = all[i..].iter().find(|(next, _)| next > start);
        let (Some((end, _)), true) = (end, names.contains(name)) else {
            continue;
        };
        // Of several names for the same code one is enough.
        let known = functions.last().is_some_and(|last| last.start == *start);
        if known || boot.contains(start) {
            continue;
        }
        functions.push(Function {
            name: (*name).to_string(),
            start: *start,
            end: *end,
        });
    }
    functions
}

/// The code of all functions, in as few pieces as there are.
fn ranges(functions: &[Function]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for function in functions {
        match ranges.last_mut() {
            Some((_, end)) if function.start - *end <= GAP => *end = function.end,
            _ => ranges.push((function.start, function.end)),
        }
    }
    ranges
}

/// The address of an instruction in what llvm-objdump prints; padding is none.
fn instruction(line: &str) -> Option<u64> {
    let (address, rest) = line.split_once(": ")?;
    let padding = ["nop", "int3", "data16"];
    if padding
        .iter()
        .any(|word| rest.trim_start().starts_with(word))
    {
        return None;
    }
    u64::from_str_radix(address.trim(), 16).ok()
}

/// The address of an instruction in QEMU's log.
fn logged(line: &str) -> Option<u64> {
    let (address, rest) = line.strip_prefix("0x")?.split_once(':')?;
    (!rest.trim().is_empty()).then_some(())?;
    u64::from_str_radix(address, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_the_objects_are_found_in_the_map() {
        let symbols = "a.o:\nfoo T 0 10\nbar t 10 8\nvalue d 0 4\nboot t 0 4\n";
        let map = "00ff00 T other\n00ff10 T foo\n00ff20 t bar\n00ff28 D value\n00ff30 T _sinittext\n00ff30 t boot\n00ff40 T _einittext\n";
        let found = functions(symbols, map);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].start, found[0].end), (0xff10, 0xff20));
        assert_eq!(ranges(&found), [(0xff10, 0xff28)]);
        let far = [(0, 10), (20, 30), (1000, 1010)].map(|(start, end)| Function {
            name: String::new(),
            start,
            end,
        });
        assert_eq!(ranges(&far), [(0, 30), (1000, 1010)]);
    }

    #[test]
    fn addresses_are_read() {
        assert_eq!(
            instruction("ffffffff81193ce0:      \tpushq\t%rbp"),
            Some(0xffff_ffff_8119_3ce0)
        );
        assert_eq!(instruction("ffffffff81193ce0: nopl (%rax)"), None);
        assert_eq!(instruction("foo>:"), None);
        assert_eq!(
            logged("0xffffffff81193ce0:  55          pushq    %rbp"),
            Some(0xffff_ffff_8119_3ce0)
        );
        assert_eq!(logged("0xffffffff81193ce0:  "), None);
        assert_eq!(logged("IN: "), None);
    }
}
