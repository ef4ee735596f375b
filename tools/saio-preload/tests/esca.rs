// SPDX-License-Identifier: MIT OR Apache-2.0

//! A server in C that is patched as those of ESCA and of the original SAIO are, without the library and with it.
//! Where the kernel has no SAIO the library does nothing, and the server must not notice.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use saio_test_programs::build::make;
use saio_test_programs::esca::{check, command, statistics};
use serde_json::json;

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

#[test]
fn patched_server_runs_with_the_library_and_without() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["esca"]);
    let mut run = command(&dir.path().join("server"));
    assert_eq!(check(&mut run, "shim"), "");

    run.env("LD_PRELOAD", library());
    let said = check(&mut run, "library");
    let no_saio = "saio: this kernel has no SAIO (saio_setup: ENOSYS); running without it\n";
    assert!(["", no_saio].contains(&&*said), "{said}");

    // Switched off, where the kernel has it too; the counters say why every call went through.
    run.env("SAIO_MODE", "off").env("SAIO_STATS", "stderr");
    let server = statistics(&check(&mut run, "library"));
    assert_eq!(server["mode"], "off");
    assert_eq!(server["why"]["writev"], json!({"off": 320}), "{server}");
    assert_eq!(server["why"]["sendfile"], json!({"off": 320}), "{server}");

    // The same by a rule for programs of this name.
    run.env_remove("SAIO_MODE")
        .env("SAIO_RULES", "nginx=off;serv*=off");
    let said = check(&mut run, "library");
    let server = statistics(&said);
    assert_eq!(server["mode"], "off");
    assert_eq!(server["rules"], json!(["serv*"]));
    assert!(!said.contains("no SAIO"), "{said}");
}
