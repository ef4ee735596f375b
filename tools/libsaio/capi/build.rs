// SPDX-License-Identifier: MIT OR Apache-2.0

//! Makes the Rust side of `saio.h`: structures and constants, and the declarations that the tests
//! compare the functions with.

use std::env;
use std::path::{Path, PathBuf};

/// Structures that other crates have.
const ELSEWHERE: &str =
    "pub use libc::iovec;\npub use rust_saio::sys::{saio_enter_arg, saio_params};";

fn main() {
    let header = PathBuf::from(var("CARGO_MANIFEST_DIR")).join("../include/saio.h");
    println!("cargo:rerun-if-changed={}", header.display());
    // Programs ask the loader for the version of the interface, not for the file's name.
    let soname = format!("libsaio.so.{}", var("CARGO_PKG_VERSION_MAJOR"));
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");

    bindgen::Builder::default()
        .header(
            header
                .to_str()
                .expect("the path of the source tree is UTF-8"),
        )
        .allowlist_file(".*/saio\\.h")
        .blocklist_type("iovec|saio_enter_arg|saio_params|.*_t")
        .raw_line(ELSEWHERE)
        .derive_default(true)
        .layout_tests(false)
        .generate_comments(false)
        .use_core()
        .generate()
        .unwrap_or_else(|error| panic!("no bindings from {}: {error}", header.display()))
        .write_to_file(Path::new(&var("OUT_DIR")).join("header.rs"))
        .expect("OUT_DIR can be written");
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run by cargo only"))
}
