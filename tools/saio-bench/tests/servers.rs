// SPDX-License-Identifier: MIT OR Apache-2.0

//! Is the comparison itself right? Each server that is installed, compared with itself without SAIO.

use std::path::Path;
use std::process::Command;

/// Runs the short form on both sides without SAIO. What is not installed is skipped, and said.
#[test]
fn servers_answer_as_they_do_themselves() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let output = Command::new(assert_cmd::cargo::cargo_bin!("saio-bench"))
        .env_remove("SAIO_OUT")
        .args(["verify", "all", "--mode", "none", "--quick", "--configs"])
        .arg(configs)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter(|line| line.contains("# SKIP")) {
        println!("{line}");
    }
    let problems: Vec<&str> = text.lines().filter(|l| !l.starts_with("ok ")).collect();
    assert!(output.status.success(), "{}", problems.join("\n"));
    let plan = text.lines().find_map(|line| line.strip_prefix("1.."));
    let results = text.lines().filter(|line| line.starts_with("ok "));
    assert_eq!(plan, Some(results.count().to_string().as_str()));
}
