// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: while a flow is parked, what would encrypt its bytes (TCP_ULP, TLS_TX) gives
//! EBUSY; once the peer has read them both succeed, and what the flow sends from then on is
//! encrypted. What is published and has not run when they are asked for leaves in clear, before
//! that.

use crate::harness::*;
use std::time::{Duration, Instant};

/// Type of a TLS record with data, version 1.2.
const RECORD: [u8; 3] = [23, 3, 3];

pub fn run() {
    if add_tls(tcp_pair(0, 0).ours) == neg(libc::ENOENT) {
        skip("the kernel has no TLS (CONFIG_TLS)");
    }
    let (mut flow, parked) = parked();
    let ours = flow.ours;
    expect_errno!(add_tls(ours), libc::EBUSY);
    expect_errno!(set_key(ours, libc::TLS_TX), libc::EBUSY);
    flow.unpark(&parked);
    expect_ok!(add_tls(ours));

    // TLS alone changes nothing yet; the key does.
    let parked = flow.park();
    expect_errno!(set_key(ours, libc::TLS_TX), libc::EBUSY);
    flow.unpark(&parked);
    expect_ok!(set_key(ours, libc::TLS_TX));
    expect_encrypted(&mut flow);

    let mut flow = Flow::roomy();
    change_behind(&mut flow, b"in clear", add_tls);
    change_behind(&mut flow, b", still", |ours| set_key(ours, libc::TLS_TX));
    expect_bytes(flow.peer, b"in clear, still");
    expect_encrypted(&mut flow);
}

/// Publishes bytes, then changes the socket by an ordinary call until that is not refused.
fn change_behind(flow: &mut Flow, bytes: &[u8], change: impl Fn(i32) -> i64) {
    flow.ring.fill_arena(0, bytes);
    flow.ring.push(flow.write(0, bytes.len()));
    flow.ring.publish();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match change(flow.ours) {
            0 => break,
            refused => assert_eq!(refused, neg(libc::EBUSY)),
        }
        assert!(Instant::now() < end, "the change never gets through");
        flow.ring.enter(1, 0);
    }
    expect_results(&in_order(flow.ring.wait(1)), &[bytes.len() as i64]);
}

/// What the flow sends comes as a record, which the key decrypts.
fn expect_encrypted(flow: &mut Flow) {
    let peer = flow.peer;
    flow.ring.fill_arena(0, b"secret");
    assert_eq!(flow.ring.run_one(flow.write(0, 6)), 6);
    let mut start = [0u8; RECORD.len()];
    let flags = libc::MSG_PEEK | libc::MSG_WAITALL;
    let peeked = sys!(
        libc::SYS_recvfrom,
        peer,
        &mut start,
        RECORD.len(),
        flags,
        0,
        0
    );
    assert_eq!((peeked, start), (RECORD.len() as i64, RECORD));
    expect_ok!(add_tls(peer));
    expect_ok!(set_key(peer, libc::TLS_RX));
    expect_bytes(peer, b"secret");
}

/// Lets the socket speak TLS; it needs keys to do so.
fn add_tls(socket: i32) -> i64 {
    let tls = c"tls".as_ptr();
    sys!(
        libc::SYS_setsockopt,
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_ULP,
        tls,
        3
    )
}

/// Gives the socket a key, the same for every one, for what it sends (`TLS_TX`) or gets
/// (`TLS_RX`).
fn set_key(socket: i32, direction: i32) -> i64 {
    let key = libc::tls12_crypto_info_aes_gcm_128 {
        info: libc::tls_crypto_info {
            version: libc::TLS_1_2_VERSION,
            cipher_type: libc::TLS_CIPHER_AES_GCM_128,
        },
        iv: [1; libc::TLS_CIPHER_AES_GCM_128_IV_SIZE],
        key: [2; libc::TLS_CIPHER_AES_GCM_128_KEY_SIZE],
        salt: [3; libc::TLS_CIPHER_AES_GCM_128_SALT_SIZE],
        rec_seq: [0; libc::TLS_CIPHER_AES_GCM_128_REC_SEQ_SIZE],
    };
    sys!(
        libc::SYS_setsockopt,
        socket,
        libc::SOL_TLS,
        direction,
        &key,
        size_of_val(&key)
    )
}
