// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a server that is patched for ESCA gives right answers under the preload library in every
//! mode, and its calls are deferred.

use saio_test_programs::esca::{self, ANSWERS, CLIENTS};

use super::built;
use crate::harness::Pool;

/// All but the first answer of a connection, which becomes a flow by it.
const DEFERRED: u64 = ANSWERS - CLIENTS;

pub fn inline() {
    check("inline");
}

pub fn auto() {
    let _pool = Pool::new("esca", |p| p);
    check("auto");
}

pub fn pool() {
    let pool = Pool::new("esca", |p| p);
    check("pool");
    let stat = pool.stat();
    assert!(stat.entries >= 2 * DEFERRED, "{} entries", stat.entries);
}

fn check(mode: &str) {
    let mut run = esca::command(&built("programs/server"));
    run.env("LD_PRELOAD", built("libsaio_preload.so"))
        .envs([("SAIO_MODE", mode), ("SAIO_STATS", "stderr")]);
    if mode != "inline" {
        run.env("SAIO_POOL", "esca");
    }
    let said = esca::check(&mut run, "library");
    let server = esca::statistics(&said);
    assert_eq!(server["mode"], mode, "{said}");
    for call in ["writev", "sendfile"] {
        assert_eq!(server["deferred"][call], DEFERRED, "{said}");
    }
}
