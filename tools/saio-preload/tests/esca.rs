// SPDX-License-Identifier: MIT OR Apache-2.0

//! A server in C that is patched as those of ESCA and of the original SAIO are, without the library and with it.
//! Where the kernel has no SAIO the library does nothing, and the server must not notice.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn compile(dir: &Path, args: &[&str]) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/esca");
    let output = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-o"])
        .args(args)
        .arg("-I")
        .arg(&sources)
        .arg("-L")
        .arg(dir)
        .current_dir(sources)
        .output()
        .expect("cc, which rustc needs too");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

/// The server, linked as theirs: with a library of the same functions that does nothing.
fn server(dir: &Path) -> PathBuf {
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    compile(dir, &[&at("libshim.so"), "-shared", "-fPIC", "shim.c"]);
    let rpath = "-Wl,-rpath,$ORIGIN";
    compile(dir, &[&at("server"), "server.c", rpath, &at("libshim.so")]);
    dir.join("server")
}

/// The library: cargo does not build it for a test of its own.
fn library() -> PathBuf {
    let test = env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let build = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--package",
            "saio-preload",
            "--target-dir",
        ])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(build.unwrap().success(), "cargo build");
    target.join("debug/libsaio_preload.so")
}

fn right(output: &Output, interface: &str) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{stdout}{stderr}");
    let wanted = format!("320 answers, interface of the {interface}\n");
    assert_eq!(stdout, wanted, "{stderr}");
    stderr
}

#[test]
fn patched_server_runs_with_the_library_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let mut run = Command::new(&server);
    run.arg("40");
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("SAIO_")) {
        run.env_remove(name);
    }
    assert_eq!(right(&run.output().unwrap(), "shim"), "");

    run.env("LD_PRELOAD", library());
    let said = right(&run.output().unwrap(), "library");
    let no_saio = "saio: this kernel has no SAIO (saio_setup: ENOSYS); running without it\n";
    assert!(["", no_saio].contains(&&*said), "{said}");

    // Switched off, where the kernel has it too; the counters say why every call went through.
    run.env("SAIO_MODE", "off").env("SAIO_STATS", "stderr");
    let said = right(&run.output().unwrap(), "library");
    let server = said
        .lines()
        .find(|line| line.contains("\"server\""))
        .unwrap();
    assert!(server.contains("\"mode\":\"off\""), "{server}");
    assert!(server.contains("\"writev\":{\"off\":320}"), "{server}");
    assert!(server.contains("\"sendfile\":{\"off\":320}"), "{server}");

    // The same by a rule for programs of this name.
    run.env_remove("SAIO_MODE")
        .env("SAIO_RULES", "nginx=off;serv*=off");
    let said = right(&run.output().unwrap(), "library");
    let server = said
        .lines()
        .find(|line| line.contains("\"server\""))
        .unwrap();
    assert!(
        server.contains("\"mode\":\"off\",\"rules\":[\"serv*\"]"),
        "{server}"
    );
    assert!(!said.contains("no SAIO"), "{said}");
}
