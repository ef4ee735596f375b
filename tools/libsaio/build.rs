// SPDX-License-Identifier: MIT OR Apache-2.0

//! Makes the Rust bindings of the ABI from the UAPI header, its only description.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    let manifest = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let include = manifest.join("../../rust/kernel-saio/include/uapi");
    let header = include.join("linux/saio.h");
    println!("cargo:rerun-if-changed={}", header.display());

    bindgen::Builder::default()
        .header(text(&header))
        .clang_arg(format!("-I{}", text(&include)))
        .allowlist_item("saio_.*|SAIO_.*|__NR_saio_.*")
        .prepend_enum_name(false)
        .derive_default(true)
        .layout_tests(false)
        // The comments are kernel-doc, which rustdoc would read as Markdown.
        .generate_comments(false)
        .use_core()
        .generate()
        .unwrap_or_else(|error| {
            panic!(
                "no bindings from {} (they need libclang and the kernel's user headers: apt install libclang-dev linux-libc-dev): {error}",
                header.display()
            )
        })
        .write_to_file(Path::new(&var("OUT_DIR")).join("bindings.rs"))
        .expect("OUT_DIR can be written");
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run by cargo only"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path of the source tree is UTF-8")
}
