// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's pools, behind a trait so that tests can do without such a kernel.

use std::io;

use saio::pool::{self, Change, Name, Pool};

/// A kernel with pools. Errors are those of `saio_pool`.
pub trait Pools {
    /// All pools.
    fn list(&self) -> io::Result<Vec<Pool>>;
    /// One of them.
    fn get(&self, name: &Name) -> io::Result<Pool>;
    /// Makes one.
    fn create(&self, name: &Name, change: &Change) -> io::Result<()>;
    /// Changes one.
    fn set(&self, name: &Name, change: &Change) -> io::Result<()>;
    /// Removes one, with `force` also if rings are attached.
    fn remove(&self, name: &Name, force: bool) -> io::Result<()>;
}

/// The kernel that runs.
pub struct Kernel;

impl Pools for Kernel {
    fn list(&self) -> io::Result<Vec<Pool>> {
        pool::list()
    }

    fn get(&self, name: &Name) -> io::Result<Pool> {
        pool::get(name)
    }

    fn create(&self, name: &Name, change: &Change) -> io::Result<()> {
        pool::create(name, change)
    }

    fn set(&self, name: &Name, change: &Change) -> io::Result<()> {
        pool::set(name, change)
    }

    fn remove(&self, name: &Name, force: bool) -> io::Result<()> {
        pool::remove(name, force)
    }
}

#[cfg(test)]
pub mod fake {
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use super::*;
    use saio::pool::{Attributes, Group};

    /// A kernel with CPUs 0 to 7 and, at first, the pool default.
    pub struct Fake {
        pub pools: RefCell<Vec<Pool>>,
        /// Calls that changed something, or tried to.
        pub calls: Cell<u32>,
        /// Which of these calls fail, counted from 1, and how.
        pub fails: Vec<(u32, i32)>,
    }

    impl Fake {
        pub fn new() -> Self {
            let fake = Self {
                pools: RefCell::default(),
                calls: Cell::new(0),
                fails: Vec::new(),
            };
            fake.create(&Name::default_pool(), &Change::default())
                .unwrap();
            fake.calls.set(0);
            fake
        }

        pub fn failing(fails: &[(u32, i32)]) -> Self {
            Self {
                fails: fails.to_vec(),
                ..Self::new()
            }
        }

        pub fn attach(&self, name: &str, rings: u32) {
            let mut pools = self.pools.borrow_mut();
            let pool = pools.iter_mut().find(|pool| pool.name.as_str() == name);
            pool.unwrap().rings = rings;
        }

        fn count(&self) -> io::Result<()> {
            self.calls.set(self.calls.get() + 1);
            match self.fails.iter().find(|(at, _)| *at == self.calls.get()) {
                Some(&(_, errno)) => Err(io::Error::from_raw_os_error(errno)),
                None => Ok(()),
            }
        }

        fn index(&self, name: &Name) -> io::Result<usize> {
            let pools = self.pools.borrow();
            let index = pools.iter().position(|pool| pool.name == *name);
            index.ok_or(io::Error::from_raw_os_error(libc::ENOENT))
        }
    }

    fn change_attributes(attributes: &mut Attributes, change: &Change) {
        let change = change.clone();
        attributes.workers = change.workers.unwrap_or(attributes.workers);
        let max = attributes.max.max(attributes.workers);
        attributes.max = change.max.unwrap_or(max);
        attributes.idle = change.idle.unwrap_or(attributes.idle);
        attributes.cpus = change.cpus.unwrap_or(attributes.cpus.clone());
        attributes.group = change.group.unwrap_or(attributes.group);
    }

    impl Pools for Fake {
        fn list(&self) -> io::Result<Vec<Pool>> {
            Ok(self.pools.borrow().clone())
        }

        fn get(&self, name: &Name) -> io::Result<Pool> {
            Ok(self.pools.borrow()[self.index(name)?].clone())
        }

        fn create(&self, name: &Name, change: &Change) -> io::Result<()> {
            self.count()?;
            if self.index(name).is_ok() {
                return Err(io::Error::from_raw_os_error(libc::EEXIST));
            }
            let mut attributes = Attributes {
                workers: 1,
                max: 2 * change.workers.unwrap_or(1),
                idle: Duration::from_micros(200),
                cpus: (0..8).collect(),
                group: Group::Id(0),
            };
            change_attributes(&mut attributes, change);
            let mut pools = self.pools.borrow_mut();
            let id = pools.last().map_or(1, |pool| pool.id + 1);
            pools.push(Pool {
                name: name.clone(),
                id,
                rings: 0,
                attributes,
            });
            Ok(())
        }

        fn set(&self, name: &Name, change: &Change) -> io::Result<()> {
            self.count()?;
            let index = self.index(name)?;
            let mut pools = self.pools.borrow_mut();
            change_attributes(&mut pools[index].attributes, change);
            Ok(())
        }

        fn remove(&self, name: &Name, force: bool) -> io::Result<()> {
            self.count()?;
            let index = self.index(name)?;
            let mut pools = self.pools.borrow_mut();
            if name.is_default_pool() || (pools[index].rings > 0 && !force) {
                return Err(io::Error::from_raw_os_error(libc::EBUSY));
            }
            pools.remove(index);
            Ok(())
        }
    }
}
