// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a Landlock domain that the owner enters after a ring was made, and after entries were
//! published, binds them: files outside cannot be opened any more, nor connections be made. A flow that
//! was made before goes on, as its socket does.

use crate::harness::*;

/// Rights, as `linux/landlock.h` has them.
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const CONNECT_TCP: u64 = 1 << 1;
const RULE_PATH_BENEATH: u32 = 1;
const CREATE_RULESET_VERSION: u32 = 1;
/// The version of the ABI that has rights on the network.
const WITH_NETWORK: i64 = 4;

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

pub fn run() {
    let version = sys!(
        libc::SYS_landlock_create_ruleset,
        0,
        0,
        CREATE_RULESET_VERSION
    );
    if version == neg(libc::ENOSYS) || version == neg(libc::EOPNOTSUPP) {
        skip("the kernel has no Landlock (CONFIG_SECURITY_LANDLOCK, and landlock in CONFIG_LSM)");
    }
    let version = expect_ok!(version);
    for name in ["in", "out"] {
        std::fs::create_dir(name).expect("the test's directory can be written");
        std::fs::write(format!("{name}/file"), "text").expect("so can this");
    }
    in_child(|| files_and_connections(version >= WITH_NETWORK));
}

fn restrict(network: bool) {
    let handled = [
        READ_FILE | WRITE_FILE,
        if network { CONNECT_TCP } else { 0 },
    ];
    let size = if network { 16 } else { 8 };
    let ruleset = fd(sys!(libc::SYS_landlock_create_ruleset, &handled, size, 0));
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    let rule = PathBeneath {
        allowed: READ_FILE | WRITE_FILE,
        parent: fd(sys!(
            libc::SYS_openat,
            libc::AT_FDCWD,
            c"in".as_ptr(),
            flags
        )),
    };
    expect_ok!(sys!(
        libc::SYS_landlock_add_rule,
        ruleset,
        RULE_PATH_BENEATH,
        &raw const rule,
        0
    ));
    expect_ok!(sys!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1));
    expect_ok!(sys!(libc::SYS_landlock_restrict_self, ruleset, 0));
}

fn files_and_connections(network: bool) {
    let listener = Listener::new(8);
    let mut flow = Flow::on(flow_ring(), listener.pair(0, 0));
    flow.ring.fill_arena(0, b"text");
    let clients = [0; 2].map(|_| listener.client(0));
    let open = |name: &'static std::ffi::CStr, flags| {
        sqe!(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), flags)
    };
    let entries = |client| {
        [
            open(c"in/file", libc::O_RDONLY).data(0),
            open(c"out/file", libc::O_RDONLY).data(1),
            open(c"out/file", libc::O_WRONLY).data(2),
            listener.connect_entry(client).data(3),
            flow.write(0, 4).data(4),
        ]
    };
    let (before, after) = (entries(clients[0]), entries(clients[1]));
    let results = flow.ring.run(&before);
    assert!(results.iter().all(|result| *result >= 0), "{results:?}");

    for entry in after {
        flow.ring.push(entry);
    }
    flow.ring.publish();
    restrict(network);
    assert_eq!(flow.ring.enter(5, 5), 5);
    let results = in_order(flow.ring.reap());
    let denied = neg(libc::EACCES);
    expect_ok!(results[0]);
    let connected = if network { denied } else { 0 };
    expect_results(&results[1..], &[denied, denied, connected, 4]);
    expect_bytes(flow.peer, b"texttext");
}
