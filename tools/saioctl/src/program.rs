// SPDX-License-Identifier: MIT OR Apache-2.0

//! What kind of program a command is: whether the dynamic linker will load the preload library into it.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{access, getegid, geteuid, AccessFlags};

/// Enough for the program headers of every linker in use, and for a `#!` line.
const HEAD: u64 = 64 * 1024;
/// The kernel follows `#!` this often.
const MAX_SCRIPTS: usize = 5;

const PT_INTERP: u32 = 3;
const ELFCLASS64: u8 = 2;

/// Finds a command as a shell does: in `PATH` if its name has no slash.
///
/// # Errors
///
/// `NotFound` if there is no such file, `PermissionDenied` if there are only files that may not be executed.
pub fn find(command: &OsStr, path: Option<&OsStr>) -> io::Result<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        let file = PathBuf::from(command);
        return executable(&file).map(|()| file);
    }
    let mut result = Err(io::Error::from(io::ErrorKind::NotFound));
    for dir in std::env::split_paths(path.unwrap_or(OsStr::new("/usr/bin:/bin"))) {
        let file = dir.join(command);
        match executable(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => result = Err(error),
            Err(_) => {}
        }
    }
    result
}

fn executable(file: &Path) -> io::Result<()> {
    let metadata = fs::metadata(file)?;
    if metadata.is_dir() || access(file, AccessFlags::X_OK).is_err() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

/// Why the preload library will not be loaded into a program, as a sentence; `None` if it will be, as far as
/// can be seen.
pub fn obstacle(file: &Path, path: Option<&OsStr>) -> Option<String> {
    let mut file = file.to_path_buf();
    for _ in 0..MAX_SCRIPTS {
        if let Some(reason) = privileged(&file) {
            return Some(format!("{} {reason}", file.display()));
        }
        match kind(&head(&file).ok()?) {
            Kind::Dynamic | Kind::Other => return None,
            Kind::Static => {
                return Some(format!(
                    "{} is statically linked: no library can be preloaded into it, it will run without SAIO",
                    file.display()
                ))
            }
            Kind::ThirtyTwoBit => {
                return Some(format!(
                    "{} is a 32-bit program: SAIO is for 64-bit programs only",
                    file.display()
                ))
            }
            Kind::Script(interpreter) => file = find(&interpreter, path).ok()?,
        }
    }
    None
}

fn head(file: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

fn privileged(file: &Path) -> Option<&'static str> {
    let metadata = fs::metadata(file).ok()?;
    if metadata.mode() & libc::S_ISUID != 0 && metadata.uid() != geteuid().as_raw() {
        return Some("is set-user-ID: the dynamic linker ignores the preload library, it will run without SAIO");
    }
    if metadata.mode() & libc::S_ISGID != 0 && metadata.gid() != getegid().as_raw() {
        return Some("is set-group-ID: the dynamic linker ignores the preload library, it will run without SAIO");
    }
    if !geteuid().is_root() && has_capabilities(file) {
        return Some("has file capabilities: the dynamic linker ignores the preload library, it will run without SAIO");
    }
    None
}

fn has_capabilities(file: &Path) -> bool {
    let Ok(file) = CString::new(file.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: both strings end with a zero byte; with size 0 the call writes nothing and returns the length.
    let len = unsafe {
        libc::getxattr(
            file.as_ptr(),
            c"security.capability".as_ptr(),
            std::ptr::null_mut(),
            0,
        )
    };
    len > 0
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Dynamic,
    Static,
    ThirtyTwoBit,
    /// A script, with its interpreter
    Script(OsString),
    Other,
}

fn kind(head: &[u8]) -> Kind {
    if let Some(line) = head.strip_prefix(b"#!") {
        return script(line);
    }
    if !head.starts_with(b"\x7fELF") {
        return Kind::Other;
    }
    if head.get(4) != Some(&ELFCLASS64) {
        return Kind::ThirtyTwoBit;
    }
    match has_interpreter(head) {
        Some(true) => Kind::Dynamic,
        Some(false) => Kind::Static,
        None => Kind::Other,
    }
}

fn script(line: &[u8]) -> Kind {
    let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let Some(interpreter) = words.next() else {
        return Kind::Other;
    };
    // `#!/usr/bin/env NAME` says which program it will be in the next word.
    let is_env = Path::new(OsStr::from_bytes(interpreter)).file_name() == Some(OsStr::new("env"));
    let named = words
        .find(|word| !word.starts_with(b"-") && !word.contains(&b'='))
        .filter(|_| is_env);
    Kind::Script(OsString::from_vec(named.unwrap_or(interpreter).to_vec()))
}

/// Whether a 64-bit little-endian ELF file names a dynamic linker; `None` if its headers are out of reach.
fn has_interpreter(head: &[u8]) -> Option<bool> {
    let start = usize::try_from(u64::from_le_bytes(bytes(head, 32)?)).ok()?;
    let size = usize::from(u16::from_le_bytes(bytes(head, 54)?));
    let count = usize::from(u16::from_le_bytes(bytes(head, 56)?));
    for index in 0..count {
        let offset = start.checked_add(index * size)?;
        if u32::from_le_bytes(bytes(head, offset)?) == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

fn bytes<const N: usize>(head: &[u8], offset: usize) -> Option<[u8; N]> {
    head.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header followed by program headers of these types.
    fn elf(class: u8, types: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..4].copy_from_slice(b"\x7fELF");
        file[4] = class;
        file[5] = 1;
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&u16::try_from(types.len()).unwrap().to_le_bytes());
        for kind in types {
            let mut header = [0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            file.extend_from_slice(&header);
        }
        file
    }

    #[test]
    fn elf_files_are_told_apart() {
        assert_eq!(kind(&elf(ELFCLASS64, &[6, PT_INTERP, 1])), Kind::Dynamic);
        assert_eq!(kind(&elf(ELFCLASS64, &[1, 1])), Kind::Static);
        assert_eq!(kind(&elf(1, &[PT_INTERP])), Kind::ThirtyTwoBit);
        assert_eq!(kind(b"hello"), Kind::Other);
        assert_eq!(kind(b""), Kind::Other);
    }

    #[test]
    fn cut_off_headers_are_no_verdict() {
        let file = elf(ELFCLASS64, &[1, 1, PT_INTERP]);
        assert_eq!(kind(&file[..100]), Kind::Other);
    }

    #[test]
    fn scripts_name_their_interpreter() {
        let script = |line: &str| kind(line.as_bytes());
        assert_eq!(script("#!/bin/sh\nx"), Kind::Script("/bin/sh".into()));
        assert_eq!(script("#! /bin/sh -e\n"), Kind::Script("/bin/sh".into()));
        assert_eq!(
            script("#!/usr/bin/env -S A=1 node --x\n"),
            Kind::Script("node".into())
        );
        assert_eq!(script("#!\n"), Kind::Other);
    }

    #[test]
    fn this_test_is_dynamic() {
        let exe = std::env::current_exe().unwrap();
        assert_eq!(kind(&head(&exe).unwrap()), Kind::Dynamic);
        assert_eq!(obstacle(&exe, None), None);
    }

    #[test]
    fn commands_are_searched_in_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), "").unwrap();
        let path = std::env::join_paths([dir.path(), Path::new("/bin")]).unwrap();
        assert!(find(OsStr::new("sh"), Some(&path)).is_ok());
        let kind = |name: &str| find(OsStr::new(name), Some(&path)).unwrap_err().kind();
        assert_eq!(kind("plain"), io::ErrorKind::PermissionDenied);
        assert_eq!(kind("no-such-command"), io::ErrorKind::NotFound);
    }
}
