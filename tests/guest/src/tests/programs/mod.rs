// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs that use SAIO. They are built before the guest boots, beside this one.

use std::env;
use std::path::PathBuf;

pub mod api_c;
pub mod echo;
pub mod esca;

/// A program or library, by its path from the directory of this program.
fn built(path: &str) -> PathBuf {
    let this = env::current_exe().expect("/proc is mounted");
    let program = this.with_file_name(path);
    assert!(
        program.exists(),
        "{} is not there; ./x test guest::programs builds it",
        program.display()
    );
    program
}
