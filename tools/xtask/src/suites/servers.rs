// SPDX-License-Identifier: MIT OR Apache-2.0

//! The suites: where their tests are, and how one is run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context as _, Result};
use clap::ValueEnum;

use super::output::Syntax;
use super::source;
use crate::exec;
use crate::paths::{self, Context};
use crate::progress;

/// What `./x suites` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// The distribution's redis-server.
    Redis,
    /// memcached of the distribution's version, over TCP.
    Memcached,
    /// The same over TLS.
    MemcachedTls,
    /// The distribution's lighttpd.
    Lighttpd,
}

/// A server's own tests.
#[derive(Debug)]
pub struct Suite {
    /// As the command line has it.
    pub name: &'static str,
    /// Package whose version is tested.
    package: &'static str,
    /// How results are written.
    pub syntax: Syntax,
    /// Runs the file of tests `$1` in the tree.
    pub command: &'static str,
    /// Seconds that one file of tests may take in the guest, emulated.
    pub limit: u64,
    /// The files of tests of a tree.
    files: fn(&Path) -> Result<Vec<String>>,
    /// Files that test nothing here.
    without: &'static [&'static str],
    /// The files that take little time.
    quick: &'static [&'static str],
    /// Makes the tree out of the source.
    make: fn(&Context, &Path, &Path) -> Result<()>,
}

const REDIS: Suite = Suite {
    name: "redis",
    package: "redis-server",
    syntax: Syntax::Redis,
    command: "./runtest --clients 1 --durable --single \"$1\"",
    limit: 1200,
    files: redis_files,
    without: &[],
    quick: REDIS_QUICK,
    make: make_redis,
};

const MEMCACHED: Suite = Suite {
    name: "memcached",
    package: "memcached",
    syntax: Syntax::Tap,
    command: "perl \"t/$1.t\"",
    limit: 900,
    files: |tree| perl_tests(&tree.join("t")),
    // Looks at the project's own sources.
    without: &["whitespace"],
    quick: MEMCACHED_QUICK,
    make: make_memcached,
};

const MEMCACHED_TLS: Suite = Suite {
    name: "memcached-tls",
    command: "SSL_TEST=1 perl \"t/$1.t\"",
    ..MEMCACHED
};

const LIGHTTPD: Suite = Suite {
    name: "lighttpd",
    package: "lighttpd",
    syntax: Syntax::Tap,
    command: "cd tests && export srcdir=. top_builddir=.. LIGHTTPD_EXE_PATH=../lighttpd &&\n\
              ./prepare.sh && perl \"./$1.t\"",
    limit: 600,
    files: |tree| perl_tests(&tree.join("tests")),
    without: &[],
    quick: &["core-condition", "mod-fastcgi", "mod-scgi", "request"],
    make: make_lighttpd,
};

const REDIS_QUICK: &[&str] = &[
    "unit/auth",
    "unit/info",
    "unit/limits",
    "unit/pause",
    "unit/protocol",
    "unit/pubsub",
    "unit/pubsubshard",
    "unit/querybuf",
    "unit/quit",
    "unit/replybufsize",
    "unit/slowlog",
    "unit/tracking",
    "unit/type/incr",
];

const MEMCACHED_QUICK: &[&str] = &[
    "64bit",
    "cas",
    "conn-limits",
    "flags",
    "incrdecr",
    "issue_22",
    "issue_67",
    "multiversioning",
    "noreply",
    "stats-conns",
    "watcher_connid",
];

/// The suites that a name means: no name is all.
pub fn chosen(name: Option<Name>) -> Vec<&'static Suite> {
    match name {
        None => vec![&REDIS, &MEMCACHED, &MEMCACHED_TLS, &LIGHTTPD],
        Some(Name::Redis) => vec![&REDIS],
        Some(Name::Memcached) => vec![&MEMCACHED],
        Some(Name::MemcachedTls) => vec![&MEMCACHED_TLS],
        Some(Name::Lighttpd) => vec![&LIGHTTPD],
    }
}

impl Suite {
    /// Returns the directory with the tests and all that they need; makes it,
    /// unless it is in the cache.
    ///
    /// # Errors
    ///
    /// The source cannot be had, or does not build.
    pub fn tree(&self, ctx: &Context) -> Result<PathBuf> {
        let _lock = ctx.lock_cache()?;
        let source = source::get(ctx, self.package)?;
        let tree = source.with_file_name("tree");
        if tree.is_dir() {
            return Ok(tree);
        }
        let unfinished = source.with_file_name("unfinished");
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--no-target-directory"])
            .args([&source, &unfinished]);
        if ctx.dry_run {
            exec::print(&copy);
        } else {
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)
                    .with_context(|| format!("cannot remove {}", unfinished.display()))?;
            }
            // With its times: make would make the Makefile again.
            exec::run(ctx, &mut copy)?;
        }
        (self.make)(ctx, &source, &unfinished)?;
        if !ctx.dry_run {
            fs::rename(&unfinished, &tree)
                .with_context(|| format!("cannot rename {}", unfinished.display()))?;
        }
        Ok(tree)
    }

    /// Names of the files of tests, in their order.
    ///
    /// # Errors
    ///
    /// The tree is not what it was when this was written, or no name has `only` in it.
    pub fn files(&self, tree: &Path, quick: bool, only: Option<&str>) -> Result<Vec<String>> {
        let mut files = (self.files)(tree)?;
        files.retain(|file| !self.without.contains(&file.as_str()));
        if quick {
            files.retain(|file| self.quick.contains(&file.as_str()));
        }
        if let Some(only) = only {
            let all = files.join(" ");
            files.retain(|file| file.contains(only));
            if files.is_empty() {
                bail!(
                    "--only: no file of tests of {} is called like {only}; there are {all}",
                    self.name
                );
            }
        }
        if files.is_empty() {
            bail!("{} has no tests", tree.display());
        }
        Ok(files)
    }
}

/// The list that the suite itself goes through.
fn redis_files(tree: &Path) -> Result<Vec<String>> {
    let helper = tree.join("tests/test_helper.tcl");
    let text = paths::read(&helper)?;
    let list =
        redis_list(&text).with_context(|| format!("{} has no list of tests", helper.display()))?;
    if !list.is_empty() {
        return Ok(list);
    }
    bail!("{} lists no tests", helper.display());
}

fn redis_list(text: &str) -> Option<Vec<String>> {
    let (_, rest) = text.split_once("set ::all_tests {")?;
    let (list, _) = rest.split_once('}')?;
    Some(list.split_whitespace().map(str::to_string).collect())
}

/// Names of the Perl tests in a directory, without `.t`.
fn perl_tests(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_suffix(".t")?.to_string())
        })
        .collect();
    names.sort();
    Ok(names)
}

fn make_redis(ctx: &Context, _source: &Path, tree: &Path) -> Result<()> {
    wrap(ctx, &tree.join("src/redis-server"), "/usr/bin/redis-server")?;
    for tool in ["cli", "benchmark", "check-aof", "check-rdb"] {
        let name = format!("redis-{tool}");
        let link = tree.join("src").join(&name);
        if ctx.dry_run {
            println!("ln -s /usr/bin/{name} {}", link.display());
            continue;
        }
        symlink(Path::new("/usr/bin").join(name), &link)
            .with_context(|| format!("cannot make the link {}", link.display()))?;
    }
    Ok(())
}

fn make_memcached(ctx: &Context, _source: &Path, tree: &Path) -> Result<()> {
    // By default the tests use Unix sockets, which are no flows.
    let mut configure = Command::new("./configure");
    configure
        .args(["--disable-unix-socket", "--enable-tls"])
        .current_dir(tree);
    let mut make = Command::new("make");
    make.args(["memcached-debug", "sizes", "testapp", "timedrun"])
        .arg(format!("-j{}", ctx.jobs))
        .current_dir(tree);
    for (what, command) in [("configure", &configure), ("make", &make)] {
        let log = ctx.log(&format!("suites-memcached-{what}"));
        progress::logged(ctx, &format!("memcached: {what}"), command, &log)?;
    }
    let server = tree.join("memcached-debug");
    let binary = tree.join("memcached-debug.real");
    if !ctx.dry_run {
        fs::rename(&server, &binary)
            .with_context(|| format!("cannot rename {}", server.display()))?;
    }
    wrap(ctx, &server, "\"$0.real\"")
}

fn make_lighttpd(ctx: &Context, source: &Path, tree: &Path) -> Result<()> {
    for name in ["fcgi-responder", "scgi-responder"] {
        let mut cc = Command::new("cc");
        cc.arg("-O2")
            .arg(source.join(format!("tests/{name}.c")))
            .arg("-o")
            .arg(tree.join("tests").join(name));
        exec::run(ctx, &mut cc)?;
    }
    wrap(ctx, &tree.join("lighttpd"), "/usr/sbin/lighttpd")
}

/// Writes the script that the tests start in place of the server.
fn wrap(ctx: &Context, path: &Path, server: &str) -> Result<()> {
    if ctx.dry_run {
        println!("# {} starts {server}", path.display());
        return Ok(());
    }
    paths::write(
        path,
        format!("#!/bin/sh\nexec ${{SAIO_SUITE:-}} {server} \"$@\"\n"),
    )?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_redis_is_found() {
        let text =
            "source x\nset ::all_tests {\n    unit/printver\n    unit/type/list-2\n}\nset y {z}\n";
        let list = redis_list(text).unwrap();
        assert_eq!(list, ["unit/printver", "unit/type/list-2"]);
        assert_eq!(redis_list("nothing"), None);
    }

    #[test]
    fn files_are_chosen() {
        let suite = Suite {
            files: |_| {
                Ok(["a", "cas", "flags", "whitespace"]
                    .map(str::to_string)
                    .to_vec())
            },
            ..MEMCACHED
        };
        let files = |quick, only| suite.files(Path::new("/"), quick, only);
        assert_eq!(files(false, None).unwrap(), ["a", "cas", "flags"]);
        assert_eq!(files(true, None).unwrap(), ["cas", "flags"]);
        assert_eq!(files(false, Some("fl")).unwrap(), ["flags"]);
        assert!(files(false, Some("no")).is_err());
    }
}
