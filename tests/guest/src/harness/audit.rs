// SPDX-License-Identifier: MIT OR Apache-2.0

//! Audit: rules for a process, and the records, by multicast. Source of the numbers: linux/audit.h.

use super::*;

const AUDIT_SET: u16 = 1001;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;
const STATUS_ENABLED: u32 = 1;
const FILTER_EXIT: u32 = 4;
const ALWAYS: u32 = 2;
const FIELD_PID: u32 = 0;
const EQUAL: u32 = 0x4000_0000;
const MASK_WORDS: usize = 64;
const GROUP_READLOG: u32 = 1;
/// A system call.
const RECORD_SYSCALL: u16 = 1300;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Audit, on, with a rule about some calls of a process. Off again when dropped.
pub struct Audit {
    rule: Vec<u32>,
    /// Gets the records.
    log: i32,
}

impl Audit {
    /// Switches it on. Only tasks that are made afterwards are seen.
    #[track_caller]
    pub fn on() -> Self {
        let log = socket();
        // struct sockaddr_nl
        let group: [u32; 3] = [libc::AF_NETLINK as u32, 0, GROUP_READLOG];
        expect_ok!(sys!(libc::SYS_bind, log, group.as_ptr(), 12));
        set_nonblocking(log, true);
        enable(true);
        Self {
            rule: Vec::new(),
            log,
        }
    }

    /// Wants a record of each of these calls of process `pid`.
    #[track_caller]
    pub fn watch(&mut self, pid: i32, calls: &[i64]) {
        let mut mask = [0_u32; MASK_WORDS];
        for nr in calls {
            mask[*nr as usize / 32] |= 1 << (nr % 32);
        }
        // struct audit_rule_data
        let mut rule = vec![FILTER_EXIT, ALWAYS, 1];
        rule.extend(mask);
        for first in [FIELD_PID, pid as u32, EQUAL] {
            rule.push(first);
            rule.extend([0; MASK_WORDS - 1]);
        }
        rule.push(0);
        tell(AUDIT_ADD_RULE, &rule);
        self.rule = rule;
    }

    /// Waits until there are as many records of the call `nr` and returns those of all calls so far.
    #[track_caller]
    pub fn calls_until(&mut self, nr: i64, count: usize) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        eventually("the records", || {
            let mut message = [0_u8; 8192];
            loop {
                let n = sys!(
                    libc::SYS_read,
                    self.log,
                    message.as_mut_ptr(),
                    message.len()
                );
                let Some(text) = message.get(HEADER..n.max(0) as usize) else {
                    break;
                };
                if u16::from_ne_bytes([message[4], message[5]]) == RECORD_SYSCALL {
                    records.push(Record(String::from_utf8_lossy(text).into_owned()));
                }
            }
            records.iter().filter(|r| r.is(nr)).count() >= count
        });
        records
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if !self.rule.is_empty() {
            tell(AUDIT_DEL_RULE, &self.rule);
        }
        enable(false);
        sys!(libc::SYS_close, self.log);
    }
}

/// A record of a system call.
pub struct Record(String);

impl Record {
    /// Whether it is of the call `nr`.
    pub fn is(&self, nr: i64) -> bool {
        self.field("syscall") == nr.to_string()
    }

    /// A field.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        let mut words = self.0.split_whitespace();
        words
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }
}

fn enable(on: bool) {
    // struct audit_status: mask, enabled, and eight fields that are not set.
    tell(
        AUDIT_SET,
        &[STATUS_ENABLED, u32::from(on), 0, 0, 0, 0, 0, 0, 0, 0],
    );
}

#[track_caller]
fn socket() -> i32 {
    fd(sys!(
        libc::SYS_socket,
        libc::AF_NETLINK,
        libc::SOCK_RAW | libc::SOCK_CLOEXEC,
        libc::NETLINK_AUDIT
    ))
}

/// Sends a message to audit and expects that it does as told.
#[track_caller]
fn tell(kind: u16, body: &[u32]) {
    let socket = socket();
    let len = HEADER as u32 + 4 * body.len() as u32;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u32;
    let mut message = vec![len, u32::from(kind) | flags << 16, 1, 0];
    message.extend(body);
    expect_ok!(sys!(
        libc::SYS_sendto,
        socket,
        message.as_ptr(),
        len,
        0,
        0,
        0
    ));
    let mut answer = [0_i32; 256];
    expect_ok!(sys!(
        libc::SYS_recvfrom,
        socket,
        answer.as_mut_ptr(),
        1024,
        0,
        0,
        0
    ));
    // struct nlmsgerr
    assert_eq!(answer[1] & 0xffff, libc::NLMSG_ERROR);
    assert_eq!(
        answer[4],
        0,
        "audit says {} to {kind}",
        show(answer[4].into())
    );
    expect_ok!(sys!(libc::SYS_close, socket));
}
