// SPDX-License-Identifier: MIT OR Apache-2.0

//! The checks of worker pools. Without pools SAIO works too, so nothing here fails by that alone.

use nix::errno::Errno;
use nix::unistd::{getegid, getgroups, Gid};
use saio::pool::{self, Group, Pool};

use super::checks::{result, BOOT_SAIO};
use super::probe::Outcome;
use super::{system, Check};

const POOLS: &str = "pools";
const ATTACH: &str = "attach";
const MAKE_ONE: &str =
    "make a pool: saioctl pool set web --workers 1 --group GROUP, with the group that the server runs in";

/// Both checks. `trial` is what a first look at the pools gave; `None`: the kernel has no SAIO at all.
pub fn checks(trial: Option<Outcome>) -> [Check; 2] {
    match trial {
        None => [POOLS, ATTACH].map(|name| {
            Check::fail(
                name,
                "not tried: saio_setup does not answer",
                "mend the check of the calls first",
            )
        }),
        // A filter that kills would have done so in the trial.
        Some(Outcome::Done(_)) => match pool::list() {
            Ok(pools) => [some(&pools), attach(&pools, privileged(), &groups())],
            Err(error) => without(Check::fail(
                POOLS,
                format!("saio_pool: {error}"),
                "run saioctl doctor again",
            )),
        },
        Some(Outcome::Errno { errno, .. }) if errno == libc::ENOSYS => without(Check::warn(
            POOLS,
            "this kernel has no worker pools: everything runs inline",
            BOOT_SAIO,
        )),
        Some(Outcome::Errno { errno, .. }) if [libc::EPERM, libc::EACCES].contains(&errno) => {
            without(Check::warn(
                POOLS,
                format!("saio_pool: {:?}: who asks may not look at the pools", Errno::from_raw(errno)),
                "let the seccomp filter or security module allow system call 1003; servers may attach to pools without it",
            ))
        }
        Some(other) => without(result(POOLS, other)),
    }
}

fn without(pools: Check) -> [Check; 2] {
    let attach = Check::warn(
        ATTACH,
        "no pool to attach to",
        "mend the check of the pools first",
    );
    [pools, attach]
}

fn some(pools: &[Pool]) -> Check {
    let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    match pools.iter().any(|pool| !pool.name.is_default_pool()) {
        true => Check::ok(POOLS, names.join(", ")),
        false => Check::warn(POOLS, "none was made: there is only the default", MAKE_ONE),
    }
}

fn attach(pools: &[Pool], privileged: bool, groups: &[Gid]) -> Check {
    let allowed = |pool: &&Pool| match pool.attributes.group {
        Group::Anybody => true,
        Group::Id(gid) => privileged || groups.contains(&Gid::from_raw(gid)),
    };
    let names: Vec<&str> = pools
        .iter()
        .filter(allowed)
        .map(|pool| pool.name.as_str())
        .collect();
    if !names.is_empty() {
        return Check::ok(
            ATTACH,
            format!("this user may attach to {}", names.join(", ")),
        );
    }
    Check::warn(
        ATTACH,
        "this user may attach to no pool; as the user of the server it may be otherwise",
        "let a group of the server's user attach: saioctl pool set NAME --group GROUP",
    )
}

fn privileged() -> bool {
    system::may_administrate()
}

fn groups() -> Vec<Gid> {
    let mut groups = getgroups().unwrap_or_default();
    groups.push(getegid());
    groups
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Status;
    use super::*;
    use saio::pool::Attributes;

    fn pool(name: &str, group: Group) -> Pool {
        Pool {
            name: name.parse().unwrap(),
            id: 1,
            rings: 0,
            attributes: Attributes {
                workers: 1,
                max: 2,
                idle: Duration::from_micros(200),
                cpus: [0].into_iter().collect(),
                group,
            },
        }
    }

    #[test]
    fn without_pools_and_without_a_look_at_them_it_still_works() {
        for errno in [libc::ENOSYS, libc::EPERM, libc::EACCES] {
            let checks = checks(Some(Outcome::Errno {
                call: "saio_pool".into(),
                errno,
            }));
            assert!(checks.iter().all(|check| check.status == Status::Warn));
        }
    }

    #[test]
    fn kernel_without_anything_and_bad_answers_fail() {
        assert!(checks(None)
            .iter()
            .all(|check| check.status == Status::Fail));
        let [pools, _] = checks(Some(Outcome::Killed(libc::SIGSYS)));
        assert_eq!(pools.status, Status::Fail);
    }

    #[test]
    fn default_alone_is_worth_a_word() {
        let default = pool("default", Group::Id(0));
        let check = some(std::slice::from_ref(&default));
        assert_eq!(check.status, Status::Warn);
        let check = some(&[default, pool("web", Group::Id(0))]);
        assert_eq!((check.status, &*check.seen), (Status::Ok, "default, web"));
    }

    #[test]
    fn groups_decide_who_may_attach() {
        let pools = [pool("a", Group::Id(7)), pool("b", Group::Id(8))];
        let status = |privileged, groups: &[u32]| {
            let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
            attach(&pools, privileged, &groups)
        };
        assert_eq!(status(false, &[1]).status, Status::Warn);
        assert!(status(false, &[1, 8]).seen.ends_with("attach to b"));
        assert!(status(true, &[1]).seen.ends_with("attach to a, b"));
        let open = [pool("c", Group::Anybody)];
        assert_eq!(attach(&open, false, &[]).status, Status::Ok);
    }
}
