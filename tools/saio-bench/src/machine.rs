// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the measurement ran on, for the results file.

use std::fs;

use bench_report::results::{Kernel, Machine};

/// This machine; `accel` says what runs it.
pub fn machine(accel: &str) -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    let cpus = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    Machine {
        cpu: value(&cpuinfo, "model name", ':').unwrap_or_else(|| "unknown".to_owned()),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: memory_bytes(&read("/proc/meminfo")),
        os: value(&read("/etc/os-release"), "PRETTY_NAME", '=').map_or_else(
            || "Linux".to_owned(),
            |name| name.trim_matches('"').to_owned(),
        ),
        accel: accel.to_owned(),
    }
}

/// The running kernel; `config` names its configuration.
pub fn kernel(config: &str) -> Kernel {
    Kernel {
        release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        config: config.to_owned(),
        commandline: read("/proc/cmdline").trim().to_owned(),
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn value(text: &str, name: &str, separator: char) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(separator)?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn memory_bytes(meminfo: &str) -> u64 {
    value(meminfo, "MemTotal", ':')
        .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_proc_files() {
        let cpuinfo = "processor\t: 0\nmodel name\t: QEMU TCG CPU\n";
        assert_eq!(value(cpuinfo, "model name", ':').unwrap(), "QEMU TCG CPU");
        assert_eq!(
            memory_bytes("MemTotal:        2048 kB\nMemFree: 1 kB\n"),
            2 << 20
        );
        assert_eq!(memory_bytes(""), 0);
    }

    #[test]
    fn this_machine() {
        let machine = machine("none");
        assert!(machine.cpus > 0 && machine.memory_bytes > 0);
        assert!(!kernel("x").release.is_empty());
    }
}
