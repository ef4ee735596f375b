// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: everybody may read pools; to make, change and remove them takes CAP_SYS_ADMIN, of
//! which neither the user nor the group of a process is a substitute.

use crate::harness::*;

const NAME: &str = "permit";
/// `_LINUX_CAPABILITY_VERSION_3`
const CAPABILITIES: u32 = 0x2008_0522;
const CAP_SYS_ADMIN: u32 = 21;

pub fn run() {
    let pool = Pool::new(NAME, |p| p.group(ANYBODY));
    in_child(|| {
        become_user(1000, 1000, &[]);
        only_reads();
    });
    in_child(|| {
        drop_admin();
        only_reads();
    });
    assert_eq!(pool.get().workers, 1);
}

fn only_reads() {
    for mut attr in [pool_attr(NAME), pool_attr("absent"), pool_attr("a b")] {
        for cmd in [CREATE, SET, REMOVE] {
            expect_errno!(pool_call(cmd, &mut attr), libc::EPERM);
        }
    }
    let mut attr = pool_attr(NAME).workers(2);
    expect_errno!(pool_call(SET, &mut attr), libc::EPERM);
    expect_errno!(pool_remove(NAME, FORCE), libc::EPERM);

    assert_eq!(pool_get(NAME).name, pool_name(NAME));
    let mut attr = pool_attr("");
    assert_eq!(pool_call(NEXT, &mut attr), 0);
    let mut stat: PoolStat = zeroed();
    stat.name = pool_name(NAME);
    assert_eq!(sys!(POOL, STAT, &mut stat, size_of::<PoolStat>()), 0);
}

/// Gives the one capability up, as root.
fn drop_admin() {
    let header = [CAPABILITIES, 0];
    // Effective, permitted and inheritable ones, the low 32 of each first.
    let mut sets = [0u32; 6];
    expect_ok!(sys!(libc::SYS_capget, &header, &mut sets));
    for set in &mut sets[..3] {
        *set &= !(1 << CAP_SYS_ADMIN);
    }
    expect_ok!(sys!(libc::SYS_capset, &header, &sets));
}
