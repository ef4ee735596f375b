// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: with kernel.saio_disabled 1 rings are made with CAP_SYS_ADMIN or in the group
//! kernel.saio_group only, with 2 by nobody, nor are pools; EPERM. Rings that exist go on. Other values
//! are EINVAL, and only root sets them.

use std::fs;
use std::io;

use crate::harness::*;

const USER: u32 = 1000;
const GROUP: u32 = 4242;

/// A sysctl that gets its value back.
struct Sysctl {
    name: &'static str,
    before: String,
}

impl Sysctl {
    fn of(name: &'static str) -> Self {
        let before = fs::read_to_string(path(name)).expect("the kernel has it");
        Self { name, before }
    }

    #[track_caller]
    fn set(&self, value: i64) {
        try_set(self.name, value).expect("root sets it");
        assert_eq!(
            fs::read_to_string(path(self.name)).expect("it can be read"),
            format!("{value}\n")
        );
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        fs::write(path(self.name), &self.before).expect("root sets it");
    }
}

fn path(name: &str) -> String {
    format!("/proc/sys/kernel/{name}")
}

fn try_set(name: &str, value: i64) -> io::Result<()> {
    fs::write(path(name), value.to_string())
}

pub fn run() {
    let (disabled, group) = (Sysctl::of("saio_disabled"), Sysctl::of("saio_group"));
    assert_eq!(
        (&*disabled.before, &*group.before),
        ("0\n", "-1\n"),
        "the values after boot"
    );
    let made_by = |gid: u32, groups: &[u32], errno: i32| {
        in_child(|| {
            become_user(USER, gid, groups);
            let made = setup(&mut zeroed());
            if errno == 0 {
                expect_ok!(made);
            } else {
                expect_errno!(made, errno);
            }
        });
    };
    made_by(USER, &[], 0);

    let mut ring = RawRing::new();
    disabled.set(1);
    made_by(USER, &[], libc::EPERM);
    made_by(0, &[0], libc::EPERM);
    expect_ok!(setup(&mut zeroed()));
    group.set(GROUP.into());
    made_by(USER, &[], libc::EPERM);
    made_by(GROUP, &[], 0);
    made_by(USER, &[7, GROUP], 0);

    disabled.set(2);
    made_by(GROUP, &[], libc::EPERM);
    expect_errno!(setup(&mut zeroed()), libc::EPERM);
    expect_errno!(pool_call(CREATE, &mut pool_attr("disabled")), libc::EPERM);
    let results = ring.run(&[sqe!(libc::SYS_getpid), sqe!(libc::SYS_getppid)]);
    expect_results(&results, &[sys!(libc::SYS_getpid), sys!(libc::SYS_getppid)]);

    for value in [-1, 3, i64::from(i32::MAX) + 1] {
        let error = try_set("saio_disabled", value).expect_err("no such value");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{value}");
    }
    in_child(|| {
        become_user(USER, USER, &[]);
        let error = try_set("saio_disabled", 0).expect_err("not for users");
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    });
    disabled.set(0);
    made_by(USER, &[], 0);
}
