// SPDX-License-Identifier: MIT OR Apache-2.0

//! A control group (v2) of a test.

use super::{eventually, skip};
use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = "/sys/fs/cgroup";

/// A group that is removed with its maker, when all in it have ended.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes a group, with a controller if one is named. Skips the test if the kernel cannot: nothing
    /// must have been made that has to be cleaned up.
    pub fn new(controller: &str) -> Self {
        let root = Path::new(ROOT);
        let Ok(there) = fs::read_to_string(root.join("cgroup.controllers")) else {
            skip(&format!("there are no control groups v2 at {ROOT}"));
        };
        if !controller.is_empty() {
            if !there.split_whitespace().any(|name| name == controller) {
                skip(&format!("the kernel has no controller {controller:?}"));
            }
            let file = root.join("cgroup.subtree_control");
            fs::write(file, format!("+{controller}")).expect("root can give out a controller");
        }
        let path = root.join("saio-selftest");
        // A test that was killed may have left its own.
        let _ = fs::remove_dir(&path);
        fs::create_dir(&path).expect("a group can be made");
        Self { path }
    }

    /// Moves this process there.
    #[track_caller]
    pub fn enter(&self) {
        self.write("cgroup.procs", "0");
    }

    #[track_caller]
    pub fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    #[track_caller]
    fn read(&self, file: &str) -> String {
        let path = self.path.join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A file that is a number.
    #[track_caller]
    pub fn number(&self, file: &str) -> u64 {
        let text = self.read(file);
        let number = text.trim().parse();
        number.unwrap_or_else(|_| panic!("{file}: {text:?}"))
    }

    /// A number in a file of names and numbers.
    #[track_caller]
    pub fn counter(&self, file: &str, name: &str) -> u64 {
        let text = self.read(file);
        let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
        let value = pairs.find_map(|(key, value)| (key == name).then(|| value.parse().ok())?);
        value.unwrap_or_else(|| panic!("no {name} in {file}: {text:?}"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What still lives in it is killed after the test.
            let _ = fs::remove_dir(&self.path);
            return;
        }
        eventually("the group is empty", || fs::remove_dir(&self.path).is_ok());
    }
}
