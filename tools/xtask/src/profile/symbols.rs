// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which function an instruction belongs to.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result};
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use rustc_demangle::demangle;

use crate::paths;

/// Where the kernel's half of the addresses begins.
const KERNEL: u64 = 1 << 63;

/// A function, or what is as near to one as is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    /// `kernel`, or the file name of a program or library.
    pub object: String,
    /// Its name.
    pub name: String,
}

/// Names of addresses, each valid up to the next.
#[derive(Debug, Default)]
struct Names(BTreeMap<u64, String>);

impl Names {
    /// Name of an address, and how far into it the address is.
    fn get(&self, address: u64) -> Option<(&str, u64)> {
        let (start, name) = self.0.range(..=address).next_back()?;
        Some((name, address - start))
    }

    /// Names of the kernel's functions, from its `System.map`. Of several names
    /// of one address the first remains.
    fn of_kernel(map: &str) -> Names {
        let mut names = Names::default();
        for line in map.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            // Padding in front of functions
            if !"tTwW".contains(kind) || name.starts_with("__pfx_") {
                continue;
            }
            if let Ok(address) = u64::from_str_radix(address, 16) {
                names.0.entry(address).or_insert_with(|| readable(name));
            }
        }
        names
    }

    /// Names of a program's functions by the addresses in its file. What lies
    /// behind a function whose size is known, where no other begins, is named
    /// after it: functions without a name are common in stripped libraries.
    fn of_file(file: &object::File) -> Names {
        let mut names = Names::default();
        let mut ends = Vec::new();
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            let name = symbol.name().unwrap_or_default();
            if symbol.kind() != SymbolKind::Text || symbol.is_undefined() || name.is_empty() {
                continue;
            }
            let name = names
                .0
                .entry(symbol.address())
                .or_insert_with(|| readable(name));
            if symbol.size() > 0 {
                ends.push((symbol.address() + symbol.size(), format!("(after {name})")));
            }
        }
        for (end, name) in ends {
            names.0.entry(end).or_insert(name);
        }
        names
    }
}

/// A name as its source has it, without the hash at its end.
fn readable(name: &str) -> String {
    format!("{:#}", demangle(name))
}

/// A part of a program or library in a server's memory.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    addresses: Range<u64>,
    offset: u64,
    path: String,
}

impl Mapping {
    /// The executable ones of `/proc/PID/maps`.
    fn parse(maps: &str) -> Vec<Mapping> {
        let mapping = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let hex = |text| u64::from_str_radix(text, 16).ok();
            let addresses = hex(start)?..hex(end)?;
            if !words.next()?.contains('x') {
                return None;
            }
            let offset = hex(words.next()?)?;
            let path = words.skip(2).collect::<Vec<_>>().join(" ");
            Some(Mapping {
                addresses,
                offset,
                path,
            })
        };
        maps.lines().filter_map(mapping).collect()
    }

    fn object(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// A program or library.
#[derive(Debug, Default)]
struct Binary {
    names: Names,
    /// Offsets in the file with the addresses that its symbols have.
    segments: Vec<(Range<u64>, u64)>,
}

impl Binary {
    fn read(path: &str) -> Result<Binary> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("{path} is no program or library"))?;
        let segments = file.segments().map(|segment| {
            let (offset, length) = segment.file_range();
            (offset..offset + length, segment.address())
        });
        Ok(Binary {
            names: Names::of_file(&file),
            segments: segments.collect(),
        })
    }

    fn get(&self, offset: u64) -> Option<(&str, u64)> {
        let (range, address) = self
            .segments
            .iter()
            .find(|(range, _)| range.contains(&offset))?;
        self.names.get(offset - range.start + address)
    }
}

/// All that is executed in a guest.
#[derive(Debug)]
pub struct Symbols {
    kernel: Names,
    mappings: Vec<Mapping>,
    /// By path.
    binaries: BTreeMap<String, Binary>,
}

impl Symbols {
    /// Knows a kernel by its `System.map`, and programs and libraries by
    /// `/proc/PID/maps` of those who run them; no two of them have code at the
    /// same address.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn new(system_map: &Path, maps: &str) -> Result<Symbols> {
        let mappings = Mapping::parse(maps);
        let mut binaries = BTreeMap::new();
        for mapping in mappings.iter().filter(|it| it.path.starts_with('/')) {
            if !binaries.contains_key(&mapping.path) {
                // The guest's init is not one of the host's files.
                let binary = Binary::read(&mapping.path).unwrap_or_default();
                binaries.insert(mapping.path.clone(), binary);
            }
        }
        Ok(Symbols {
            kernel: Names::of_kernel(&paths::read(system_map)?),
            mappings,
            binaries,
        })
    }

    /// What an instruction belongs to, and how far into it it is.
    pub fn get(&self, address: u64) -> (Symbol, u64) {
        let of = |object: &str, found: Option<(&str, u64)>| {
            let (name, offset) = found.unwrap_or(("(unknown)", address));
            let (object, name) = (object.to_string(), name.to_string());
            (Symbol { object, name }, offset)
        };
        if address >= KERNEL {
            return of("kernel", self.kernel.get(address));
        }
        let mut mappings = self.mappings.iter();
        let Some(mapping) = mappings.find(|it| it.addresses.contains(&address)) else {
            return of("(nowhere)", None);
        };
        let offset = address - mapping.addresses.start + mapping.offset;
        let binary = self.binaries.get(&mapping.path);
        let found = binary.and_then(|binary| binary.get(offset));
        of(mapping.object(), found)
    }
}

/// Where a process has its program, by its `/proc/PID/maps`. Libraries do not
/// tell one process from another.
pub fn program(maps: &str) -> Vec<Range<u64>> {
    let mappings = Mapping::parse(maps);
    // It comes first.
    let program = mappings.first().map(|it| &it.path);
    let parts = mappings.iter().filter(|it| Some(&it.path) == program);
    parts.map(|it| it.addresses.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL_MAP: &str = "\
ffffffff80fffff0 T __pfx_first
ffffffff81000000 T first
ffffffff81000000 t alias
ffffffff81000040 t _RNvNtCsabc_4saio4ring4take
ffffffff81000080 d data
";

    #[test]
    fn functions_of_the_kernel() {
        let names = Names::of_kernel(KERNEL_MAP);
        assert_eq!(names.get(0xffff_ffff_8100_0003), Some(("first", 3)));
        let take = names.get(0xffff_ffff_8100_0090);
        assert_eq!(take, Some(("saio::ring::take", 0x50)));
        assert_eq!(names.get(0xffff_ffff_8000_0000), None);
    }

    #[test]
    fn executable_mappings() {
        let maps = "\
5600-5700 r--p 00000000 fd:00 17      /usr/sbin/some server
5700-5900 r-xp 00000100 fd:00 17      /usr/sbin/some server
7ffc-7ffe r-xp 00000000 00:00 0       [vdso]
";
        let mappings = Mapping::parse(maps);
        assert_eq!(mappings.len(), 2);
        assert_eq!(mappings[0].addresses, 0x5700..0x5900);
        assert_eq!(mappings[0].offset, 0x100);
        assert_eq!(mappings[0].object(), "some server");
        assert_eq!(mappings[1].object(), "[vdso]");
    }

    #[inline(never)]
    fn a_function_of_this_program() -> u32 {
        std::hint::black_box(7)
    }

    #[test]
    fn functions_of_a_program() {
        let dir = std::env::temp_dir().join(format!("xtask-symbols-{}", std::process::id()));
        let system_map = dir.join("System.map");
        paths::write(&system_map, KERNEL_MAP).unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let symbols = Symbols::new(&system_map, &maps).unwrap();
        fs::remove_dir_all(&dir).unwrap();

        let address = a_function_of_this_program as *const () as u64;
        let (symbol, offset) = symbols.get(address);
        assert!(
            symbol.name.ends_with("::a_function_of_this_program"),
            "{symbol:?}"
        );
        assert!(symbol.object.starts_with("xtask-"), "{symbol:?}");
        assert_eq!(offset, 0);
        assert!(program(&maps).iter().any(|range| range.contains(&address)));

        assert_eq!(symbols.get(0xffff_ffff_8100_0003).0.object, "kernel");
        assert_eq!(symbols.get(1).0.object, "(nowhere)");
    }

    #[test]
    fn a_program_is_what_comes_first() {
        let maps = "\
10-20 r--p 0 fd:00 17 /bin/a
20-30 r-xp 0 fd:00 17 /bin/a
30-34 r-xp 0 fd:00 17 /bin/a
40-50 r-xp 0 fd:00 18 /lib/b
";
        assert_eq!(program(maps), [0x20..0x30, 0x30..0x34]);
        assert_eq!(program(""), []);
    }

    #[test]
    fn a_gap_behind_a_function_is_named_after_it() {
        let mut names = Names::default();
        names.0.insert(16, "f".to_string());
        names.0.insert(20, "(after f)".to_string());
        assert_eq!(names.get(19), Some(("f", 3)));
        assert_eq!(names.get(25), Some(("(after f)", 5)));
    }
}
