// SPDX-License-Identifier: MIT OR Apache-2.0

//! C programs against the library as it is installed.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library's directory in the source tree.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where the library is installed: once for all tests.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libsaio");
        let _ = fs::remove_dir_all(&prefix);
        // A test lies in TARGET/PROFILE/deps.
        let exe = env::current_exe().unwrap();
        let built = exe.ancestors().nth(2).unwrap();
        let profile = match built.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            name => name,
        };
        let mut make = Command::new("make");
        make.arg("-C").arg(source()).arg("install");
        make.arg(format!("PREFIX={}", prefix.display()));
        make.arg(format!("PROFILE={profile}"));
        make.arg(format!("CARGO={}", env!("CARGO")));
        make.env("CARGO_TARGET_DIR", built.parent().unwrap());
        output(&mut make);
        prefix
    })
}

/// Runs a command that has to succeed; what it said.
fn output(command: &mut Command) -> String {
    let out = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "{command:?}:\n{said}{complained}");
    said.into_owned()
}

/// What pkg-config says.
fn flags(args: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    let said = output(command.args(args).arg("saio"));
    said.split_whitespace().map(String::from).collect()
}

/// Compiles a program, with the dynamic or the static library.
fn compile(file: &Path, name: &str, dynamic: bool) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]);
    cc.args(flags(&["--cflags"]))
        .arg(file)
        .arg("-o")
        .arg(&program);
    // The kernel's own header, which is not installed here.
    let uapi = source().join("../../rust/kernel-saio/include/uapi");
    cc.arg("-isystem").arg(uapi);
    let lib = prefix().join("lib");
    if dynamic {
        cc.args(flags(&["--libs"]));
        cc.arg(format!("-Wl,-rpath,{}", lib.display()));
    } else {
        cc.arg(lib.join("libsaio.a"));
        let mut all = flags(&["--libs", "--static"]);
        all.retain(|flag| flag != "-lsaio");
        cc.args(all);
    }
    output(&mut cc);
    program
}

fn has_saio() -> bool {
    rust_saio::sys::probe() == libc::EINVAL
}

#[test]
fn header_and_library_name_the_same_functions() {
    let mut nm = Command::new("nm");
    nm.args(["--dynamic", "--defined-only", "--format=just-symbols"]);
    let exported = output(nm.arg(prefix().join("lib/libsaio.so")));
    let exported: BTreeSet<_> = exported.lines().map(str::trim).collect();

    let header = fs::read_to_string(prefix().join("include/saio.h")).unwrap();
    let mut declared = BTreeSet::new();
    // A declaration begins in the first column, with a type.
    for line in header.lines() {
        let types = ["int ", "ssize_t ", "void "];
        if let Some(rest) = types.iter().find_map(|name| line.strip_prefix(name)) {
            declared.insert(rest.split('(').next().unwrap());
        }
    }
    assert!(declared.len() > 20);
    assert_eq!(exported, declared);
}

#[test]
fn library_has_a_version() {
    let version = flags(&["--modversion"]);
    assert_eq!(version, [env!("CARGO_PKG_VERSION")]);
    let mut readelf = Command::new("readelf");
    let said = output(
        readelf
            .arg("--dynamic")
            .arg(prefix().join("lib/libsaio.so")),
    );
    assert!(said.contains("soname: [libsaio.so.0]"), "{said}");
}

#[test]
fn api_works() {
    for (name, dynamic) in [("api", true), ("api-static", false)] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api.c");
        let said = output(&mut Command::new(compile(&file, name, dynamic)));
        print!("{said}");
        let expected = if has_saio() {
            "all checked"
        } else {
            "no SAIO here"
        };
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn manual_compiles() {
    let manual = fs::read_to_string(source().join("../../docs/libsaio.md")).unwrap();
    let (_, code) = manual.split_once("```c\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manual.c");
    fs::write(
        &file,
        format!("{code}\nint main(void) {{ return !hello(-1); }}\n"),
    )
    .unwrap();
    // It fails, with or without SAIO.
    output(&mut Command::new(compile(&file, "manual", true)));
}

#[test]
fn example_answers() {
    for (name, dynamic) in [("echo", true), ("echo-static", false)] {
        let program = compile(&source().join("examples/echo.c"), name, dynamic);
        common::check(&mut Command::new(program), has_saio());
    }
}
