// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finds rings by the descriptors of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use super::fdinfo::Info;
use crate::process::{self, Absent, Proc};

/// What a link to a ring in `/proc/PID/fd` reads.
const LINK: &str = "anon_inode:[saio]";

/// What was found.
pub struct Found {
    /// Rings in the order of their numbers.
    pub rings: Vec<Info>,
    /// Processes that exist and whose descriptors this user may not see.
    pub unreadable: usize,
}

/// The rings of all processes, or of a process with all that descends from it.
///
/// # Errors
///
/// /proc cannot be read, the process does not exist, or the kernel describes rings otherwise than it should.
pub fn rings(proc: &Proc, root: Option<u32>) -> Result<Found> {
    let mut processes = proc.all()?;
    if let Some(root) = root {
        let tree = process::trees(&processes, &[root]);
        if tree.is_empty() {
            return Err(Absent(root).into());
        }
        processes.retain(|process| tree.contains(&process.pid));
    }
    let mut rings = BTreeMap::new();
    let mut unreadable = 0;
    for process in processes.iter().filter(|process| !process.kernel) {
        match proc.fds(process.pid) {
            Ok(fds) => {
                for fd in fds {
                    let info = ring(proc, process.pid, fd)?;
                    // A forked child has the descriptor too.
                    rings.extend(info.map(|info| (info.ring, info)));
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => unreadable += 1,
            // It is gone.
            Err(_) => {}
        }
    }
    let mut rings: Vec<Info> = rings.into_values().collect();
    if root.is_some() {
        let pids = processes.iter().map(|process| process.pid);
        let owners: BTreeSet<u32> = pids.flat_map(|pid| proc.threads(pid)).collect();
        rings.retain(|info| owners.contains(&info.owner));
    }
    Ok(Found { rings, unreadable })
}

/// The ring behind a descriptor; `None` if it is something else, or gone.
fn ring(proc: &Proc, pid: u32, fd: u32) -> Result<Option<Info>> {
    match fs::read_link(proc.file(pid, &format!("fd/{fd}"))) {
        Ok(link) if link == Path::new(LINK) => {}
        _ => return Ok(None),
    }
    let file = proc.file(pid, &format!("fdinfo/{fd}"));
    let Ok(text) = fs::read_to_string(&file) else {
        return Ok(None);
    };
    // The number may have become another file's in between.
    if !text.contains("saio-ring:") {
        return Ok(None);
    }
    let info = Info::parse(&text).with_context(|| {
        format!(
            "{}: kernel and saioctl are of different versions",
            file.display()
        )
    })?;
    Ok(Some(info))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::super::fdinfo::tests::SAMPLE;
    use super::*;

    fn process(dir: &TempDir, pid: u32, parent: u32, flags: u32) {
        let at = dir.path().join(pid.to_string());
        for name in ["fd", "fdinfo", &format!("task/{pid}")] {
            fs::create_dir_all(at.join(name)).unwrap();
        }
        let stat = format!("{pid} (x) S {parent} 0 0 0 0 {flags} 0\n");
        fs::write(at.join("stat"), stat).unwrap();
    }

    fn fd(dir: &TempDir, pid: u32, fd: u32, link: &str, info: &str) {
        let at = dir.path().join(pid.to_string());
        symlink(link, at.join(format!("fd/{fd}"))).unwrap();
        fs::write(at.join(format!("fdinfo/{fd}")), info).unwrap();
    }

    /// Process 1234 has ring 7, its child 1300 has ring 8 and a copy of the parent's descriptor, 20 has nothing.
    fn tree() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        process(&dir, 1234, 1, 0);
        process(&dir, 1300, 1234, 0);
        process(&dir, 20, 1, 0);
        process(&dir, 2, 0, 0x0020_0000);
        let second = SAMPLE
            .replace("saio-owner:\t1234", "saio-owner:\t1300")
            .replace("saio-ring:\t7", "saio-ring:\t8");
        fd(&dir, 1234, 500, LINK, SAMPLE);
        fd(&dir, 1300, 500, LINK, SAMPLE);
        fd(&dir, 1300, 501, LINK, &second);
        fd(&dir, 20, 0, "socket:[7]", SAMPLE);
        fd(&dir, 20, 1, LINK, "pos:\t0\n");
        dir
    }

    fn numbers(found: &Found) -> Vec<u64> {
        found.rings.iter().map(|info| info.ring).collect()
    }

    #[test]
    fn every_ring_is_found_once() {
        let dir = tree();
        let found = rings(&Proc::at(dir.path()), None).unwrap();
        assert_eq!(numbers(&found), [7, 8]);
        assert_eq!(found.unreadable, 0);
    }

    #[test]
    fn only_rings_of_the_tree() {
        let dir = tree();
        let of = |pid| numbers(&rings(&Proc::at(dir.path()), Some(pid)).unwrap());
        assert_eq!(of(1234), [7, 8]);
        assert_eq!(of(1300), [8]);
        assert!(of(20).is_empty());
    }

    #[test]
    fn processes_may_vanish() {
        let dir = tree();
        fs::remove_dir_all(dir.path().join("20/fd")).unwrap();
        fs::remove_file(dir.path().join("1300/fdinfo/501")).unwrap();
        fs::create_dir(dir.path().join("77")).unwrap();
        let found = rings(&Proc::at(dir.path()), None).unwrap();
        assert_eq!(numbers(&found), [7]);
        assert_eq!(found.unreadable, 0);
    }

    #[test]
    fn errors_say_what_to_look_at() {
        let dir = tree();
        fs::write(dir.path().join("1300/fdinfo/501"), "saio-ring:\t8\n").unwrap();
        let error = |pid| {
            let found = rings(&Proc::at(dir.path()), pid).map(|_| ());
            found.unwrap_err()
        };
        assert!(format!("{:#}", error(None)).contains("fdinfo/501: kernel and saioctl"));
        assert!(error(Some(9)).is::<Absent>());
    }
}
