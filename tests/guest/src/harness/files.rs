// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files of a test, which starts in an empty directory of its own, and bytes to fill them with.

use super::{expect_ok, sys};
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    fs,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::Path,
};

/// A result that is a descriptor.
#[track_caller]
pub fn fd(result: i64) -> i32 {
    expect_ok!(result) as i32
}

/// Makes a file of these bytes in the test's directory; gives a descriptor to read and write it.
pub fn file(name: &str, bytes: &[u8]) -> i32 {
    fs::write(name, bytes).expect("the test's directory can be written");
    let name = CString::new(name).expect("names have no zero bytes");
    fd(sys!(
        libc::SYS_openat,
        libc::AT_FDCWD,
        name.as_ptr(),
        libc::O_RDWR | libc::O_CLOEXEC
    ))
}

pub fn exists(name: &str) -> bool {
    fs::symlink_metadata(name).is_ok()
}

/// What can be compared of a file: mode, number of links, time, and its bytes, or what it points to.
#[derive(Debug, PartialEq)]
pub struct Node {
    mode: u32,
    links: u64,
    /// Of the last change, if it is one that was set; 0 otherwise.
    time: i64,
    content: Vec<u8>,
}

/// The files below a directory, by their names from there.
pub fn tree(directory: &str) -> BTreeMap<String, Node> {
    let mut all = BTreeMap::new();
    add_tree(Path::new(directory), Path::new(""), &mut all);
    all
}

fn add_tree(root: &Path, below: &Path, all: &mut BTreeMap<String, Node>) {
    for entry in fs::read_dir(root.join(below)).expect("the directory is there") {
        let name = below.join(entry.expect("it can be read").file_name());
        let path = root.join(&name);
        let meta = fs::symlink_metadata(&path).expect("it exists");
        let content = if meta.is_symlink() {
            let target = fs::read_link(&path).expect("it is a link");
            target.into_os_string().into_vec()
        } else if meta.is_file() {
            fs::read(&path).expect("root can read it")
        } else {
            Vec::new()
        };
        let time = meta.mtime();
        let node = Node {
            mode: meta.mode(),
            links: meta.nlink(),
            time: if time < 1_000_000 { time } else { 0 },
            content,
        };
        all.insert(name.display().to_string(), node);
        if meta.is_dir() {
            add_tree(root, &name, all);
        }
    }
}

/// Lets this process and its children mount what nobody else sees.
#[track_caller]
pub fn private_mounts() {
    expect_ok!(sys!(libc::SYS_unshare, libc::CLONE_NEWNS));
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    expect_ok!(sys!(libc::SYS_mount, 0, c"/".as_ptr(), 0, flags, 0));
}

/// Mounts an empty tmpfs. Behind [`private_mounts`].
#[track_caller]
pub fn mount_tmpfs(target: &CStr) {
    let kind = c"tmpfs".as_ptr();
    expect_ok!(sys!(libc::SYS_mount, kind, target.as_ptr(), kind, 0, 0));
}

/// Random numbers that are the same in every run.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed + 1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&rng.next().to_ne_bytes());
    }
    bytes.truncate(len);
    bytes
}
