// SPDX-License-Identifier: MIT OR Apache-2.0

//! C programs against the library as it is installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use saio_test_programs::build::{make, output};
use saio_test_programs::echo::Server;

/// Where the library is installed, and programs lie that are linked with it.
fn built(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    BUILT.call_once(|| make(out, &["libsaio"]));
    out.join(name)
}

/// What pkg-config says.
fn pkg_config(what: &str) -> String {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", built("libsaio/lib/pkgconfig"));
    output(command.args([what, "saio"]))
}

fn has_saio() -> bool {
    rust_saio::sys::probe() == libc::EINVAL
}

#[test]
fn header_and_library_name_the_same_functions() {
    let mut nm = Command::new("nm");
    nm.args(["--dynamic", "--defined-only", "--format=just-symbols"]);
    let exported = output(nm.arg(built("libsaio/lib/libsaio.so")));
    let exported: BTreeSet<_> = exported.lines().map(str::trim).collect();

    let header = fs::read_to_string(built("libsaio/include/saio.h")).unwrap();
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
    let version = pkg_config("--modversion");
    assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
    let mut readelf = Command::new("readelf");
    readelf
        .arg("--dynamic")
        .arg(built("libsaio/lib/libsaio.so"));
    let said = output(&mut readelf);
    assert!(said.contains("soname: [libsaio.so.0]"), "{said}");
}

#[test]
fn api_works() {
    for name in ["api", "api-static"] {
        let said = output(&mut Command::new(built(name)));
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
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/libsaio.md");
    let manual = fs::read_to_string(manual).unwrap();
    let (_, code) = manual.split_once("```c\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    // A directory of its own: the library is installed anew there.
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("from-manual");
    fs::create_dir_all(&out).unwrap();
    let main = "int main(void) { return !hello(-1); }";
    fs::write(out.join("manual.c"), format!("{code}\n{main}\n")).unwrap();
    let program = out.join("manual");
    make(&out, &[program.to_str().unwrap()]);
    // It fails, with or without SAIO.
    output(&mut Command::new(program));
}

#[test]
fn example_answers() {
    for name in ["echo", "echo-static"] {
        let server = Server::start(&mut Command::new(built(name)));
        server.check();
        server.stop(has_saio());
    }
}
