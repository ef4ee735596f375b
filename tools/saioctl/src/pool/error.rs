// SPDX-License-Identifier: MIT OR Apache-2.0

//! What went wrong, in words that say what to do.

use std::fmt;
use std::io;

use anyhow::{anyhow, Error};
use nix::errno::Errno;
use saio::pool::{Change, Name};

use super::kernel::Pools;
use super::spec;

/// What was asked for makes no sense here: exit status 2.
#[derive(Debug)]
pub struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// An error of the type [`Unusable`].
pub fn unusable(text: impl Into<String>) -> Error {
    Unusable(text.into()).into()
}

/// The errno of a call.
pub fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// `saio_pool` failed, when it was only to look.
pub fn looking(error: io::Error) -> Error {
    match errno(&error) {
        Errno::ENOSYS => anyhow!(
            "this kernel has no worker pools (saio_pool: ENOSYS); saioctl doctor says what to do"
        ),
        Errno::EPERM | Errno::EACCES => anyhow!(
            "saio_pool: {:?}: a seccomp filter or security module does not allow it",
            errno(&error)
        ),
        Errno::EINVAL | Errno::E2BIG => anyhow!(
            "saio_pool: {:?}: use a saioctl that belongs to the running kernel, they disagree about the ABI",
            errno(&error)
        ),
        // Not of the call: what it gave makes no sense.
        Errno::UnknownErrno => anyhow!("saio_pool: {error}"),
        errno => anyhow!("saio_pool: {errno:?}"),
    }
}

/// `saio_pool` failed, when it was to make a pool or to change it.
pub fn changing(error: io::Error, change: &Change) -> Error {
    match errno(&error) {
        Errno::EPERM | Errno::EACCES => anyhow!("changing pools needs root (CAP_SYS_ADMIN)"),
        Errno::EINVAL => unusable(format!(
            "the kernel refuses {} (saio_pool: EINVAL)",
            given(change)
        )),
        Errno::ENOSPC => anyhow!(
            "there are {} pools, the most there can be; saioctl pool rm removes one",
            saio::sys::SAIO_MAX_POOLS
        ),
        Errno::EEXIST | Errno::ENOENT => {
            anyhow!("somebody else makes or removes pools at the moment; try again")
        }
        errno @ (Errno::ENOMEM | Errno::EAGAIN) => {
            anyhow!("the kernel cannot start a thread (saio_pool: {errno:?})")
        }
        _ => looking(error),
    }
}

/// The attributes that were given, for a kernel that does not say which of them it refuses.
fn given(change: &Change) -> String {
    let given = [
        change.workers.map(|workers| format!("workers {workers}")),
        change.max.map(|max| format!("max {max}")),
        change
            .idle
            .map(|idle| format!("idle {}", spec::idle_text(idle))),
        change.cpus.as_ref().map(|cpus| format!("CPUs {cpus}")),
        change
            .group
            .map(|group| format!("group {}", spec::group_text(group))),
    ];
    let given: Vec<String> = given.into_iter().flatten().collect();
    match &given[..] {
        [] => "the pool's name".to_owned(),
        [one] => one.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}

/// There is no pool of this name: says which there are.
pub fn missing(kernel: &dyn Pools, name: &Name) -> Error {
    let pools = kernel.list().unwrap_or_default();
    let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    anyhow!("there is no pool {name}; there are: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::Fake;
    use super::*;

    fn refused(errno: Errno, change: &Change) -> String {
        changing(io::Error::from_raw_os_error(errno as i32), change).to_string()
    }

    #[test]
    fn refusals_name_the_fix() {
        let none = Change::default();
        assert!(refused(Errno::EPERM, &none).contains("CAP_SYS_ADMIN"));
        assert!(refused(Errno::ENOSYS, &none).contains("saioctl doctor"));
        assert!(refused(Errno::ENOSPC, &none).contains("saioctl pool rm"));
    }

    #[test]
    fn bad_attributes_are_named() {
        let mut change = Change {
            cpus: Some([3].into_iter().collect()),
            ..Default::default()
        };
        assert!(refused(Errno::EINVAL, &change).contains("refuses CPUs 3 ("));
        change.workers = Some(2);
        assert!(refused(Errno::EINVAL, &change).contains("one of workers 2, CPUs 3 ("));
        let error = changing(io::Error::from_raw_os_error(libc::EINVAL), &change);
        assert!(error.is::<Unusable>());
    }

    #[test]
    fn missing_pool_lists_those_that_exist() {
        let error = missing(&Fake::new(), &"web".parse().unwrap());
        assert_eq!(
            error.to_string(),
            "there is no pool web; there are: default"
        );
    }
}
