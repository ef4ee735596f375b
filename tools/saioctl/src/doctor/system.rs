// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the system says about itself: files under /proc and /boot.

use std::fs;
use std::process::{Command, Stdio};

/// The kernel's release, as `uname -r` prints it.
pub fn release() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim_end().to_owned())
}

/// Value of a field of /proc/self/status.
pub fn status_field(name: &str) -> Option<String> {
    field(&fs::read_to_string("/proc/self/status").ok()?, name)
}

fn field(status: &str, name: &str) -> Option<String> {
    status.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?;
        Some(value.trim().to_owned())
    })
}

/// Whether this process may lock any amount of memory (`CAP_IPC_LOCK`).
pub fn may_lock_memory() -> bool {
    has_capability(14)
}

/// Whether this process may do what root may (`CAP_SYS_ADMIN`).
pub fn may_administrate() -> bool {
    has_capability(21)
}

fn has_capability(number: u32) -> bool {
    status_field("CapEff")
        .and_then(|hex| u64::from_str_radix(&hex, 16).ok())
        .is_some_and(|capabilities| capabilities >> number & 1 == 1)
}

/// Value of a sysctl under `kernel`; `None` if the kernel has none of that name.
pub fn kernel_sysctl(name: &str) -> Option<String> {
    let value = fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
    Some(value.trim().to_owned())
}

/// Where the configuration of the running kernel was found, and its text.
pub fn kernel_config() -> Option<(String, String)> {
    let packed = "/proc/config.gz";
    if let Ok(file) = fs::File::open(packed) {
        let output = Command::new("gzip")
            .arg("-dc")
            .stdin(file)
            .stderr(Stdio::null())
            .output();
        if let Ok(output) = output.as_ref().map(|output| &output.stdout) {
            if !output.is_empty() {
                return Some((packed.into(), String::from_utf8_lossy(output).into_owned()));
            }
        }
    }
    let file = format!("/boot/config-{}", release()?);
    let text = fs::read_to_string(&file).ok()?;
    Some((file, text))
}

/// Whether a kernel configuration sets an option to y.
pub fn config_has(config: &str, option: &str) -> bool {
    config
        .lines()
        .any(|line| line.strip_prefix(option).and_then(|l| l.strip_prefix('=')) == Some("y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_status() {
        let status = "Name:\tcat\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(field(status, "Seccomp").as_deref(), Some("2"));
        assert_eq!(field(status, "CapEff"), None);
    }

    #[test]
    fn options_of_a_configuration() {
        let config = "# CONFIG_NET is not set\nCONFIG_SAIO=y\nCONFIG_SAIO_X=m\n";
        assert!(config_has(config, "CONFIG_SAIO"));
        assert!(!config_has(config, "CONFIG_SAIO_X"));
        assert!(!config_has(config, "CONFIG_NET"));
    }
}
