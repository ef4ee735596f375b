// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which tests make sense for which server.

/// Names of tests.
pub type Group = &'static [&'static str];

/// For every server.
const EVERY: Group = &[
    "1b",
    "1k",
    "20k",
    "256k",
    "1m",
    "mixed",
    "many",
    "half-close",
    "slow-readers",
    "resets",
    "kill",
    "volume",
];
/// For those that can be told to end at any moment.
const RESTART: Group = &["restart"];
/// For those without a limit of 1 MiB.
const LARGE: Group = &["8m", "64m"];
const UPLOADS: Group = &["aborted-uploads"];
/// HTTP of any server.
const HTTP: Group = &["404", "bad-request", "head", "keep-alive-off", "http-1.0"];
/// Files.
const FILES: Group = &[
    "not-modified",
    "range-single",
    "range-multi",
    "range-suffix",
    "range-unsatisfiable",
    "post-refused",
];
/// What is begun is finished when the server is reloaded or told to stop.
const GRACEFUL: Group = &["reload", "stop"];
const PIPELINED: Group = &["pipelined"];
const DEEP: Group = &["pipelined", "pipelined-16", "pipelined-128"];

/// Echo.
pub const ANY: &[Group] = &[EVERY, RESTART, LARGE, DEEP];
/// A server of files.
pub const STATIC: &[Group] = &[
    EVERY, RESTART, PIPELINED, LARGE, UPLOADS, HTTP, FILES, GRACEFUL,
];
/// nginx.
pub const NGINX: &[Group] = &[
    EVERY,
    RESTART,
    PIPELINED,
    LARGE,
    UPLOADS,
    HTTP,
    FILES,
    GRACEFUL,
    &["file-cache"],
];
/// nginx whose kernel encrypts.
pub const KERNEL_TLS: &[Group] = &[
    &["kernel-tls", "tls-records", "tls-segments"],
    EVERY,
    RESTART,
    PIPELINED,
    LARGE,
    UPLOADS,
    HTTP,
    FILES,
    GRACEFUL,
];
/// nginx with HTTP/2; without it clients get HTTP/1.1, which is tested elsewhere.
pub const HTTP2: &[Group] = &[&["http2-one-by-one", "http2-at-once"]];
/// nginx that logs.
pub const ACCESS_LOG: &[Group] = &[&["access-log", "mixed", "pipelined", "many", "volume"]];
/// lighttpd.
pub const LIGHTTPD: &[Group] = STATIC;
/// HAProxy with a server behind it that is dead.
pub const RETRIES: &[Group] = &[EVERY, PIPELINED, HTTP, &["dead-server"]];
/// An application on HTTP.
pub const APPLICATION: &[Group] = &[
    EVERY,
    RESTART,
    PIPELINED,
    LARGE,
    UPLOADS,
    HTTP,
    &["post", "chunked"],
];
/// Redis.
pub const REDIS: &[Group] = &[
    EVERY,
    RESTART,
    LARGE,
    UPLOADS,
    DEEP,
    &["pubsub", "bgsave", "digest"],
];
/// Redis with a log.
pub const REDIS_LOG: &[Group] = &[
    EVERY,
    RESTART,
    LARGE,
    UPLOADS,
    DEEP,
    &["pubsub", "bgsave", "digest", "kept-over-restart"],
];
/// memcached.
pub const MEMCACHED: &[Group] = &[EVERY, RESTART, UPLOADS, DEEP, &["cas"]];
/// memcached with TLS: its threads go on while its exit takes OpenSSL down, and may crash then.
pub const MEMCACHED_TLS: &[Group] = &[EVERY, UPLOADS];
