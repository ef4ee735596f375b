// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which processors are whose, where a figure needs several: what runs side by side must not be moved about.

use anyhow::{ensure, Context, Result};
use nix::sched::{sched_getaffinity, sched_setaffinity, CpuSet};
use nix::unistd::Pid;

use crate::server::Process;

/// Processors by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processors {
    /// One for each worker of the server
    pub server: Vec<usize>,
    /// One for each thread of the pool
    pub pool: Vec<usize>,
    /// What is left
    pub client: Vec<usize>,
}

impl Processors {
    /// Those that this program may use, shared out.
    ///
    /// # Errors
    ///
    /// There are too few: the client needs one at least.
    pub fn share(workers: u32, threads: u32) -> Result<Self> {
        let set = sched_getaffinity(Pid::from_raw(0)).context("cannot ask for processors")?;
        let all = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
        Self::of(all.collect(), workers as usize, threads as usize)
    }

    fn of(mut all: Vec<usize>, workers: usize, threads: usize) -> Result<Self> {
        ensure!(
            all.len() > workers + threads,
            "{workers} workers, {threads} threads of a pool and a client need {} processors, and here are {}",
            workers + threads + 1,
            all.len()
        );
        let client = all.split_off(workers + threads);
        let pool = all.split_off(workers);
        Ok(Self {
            server: all,
            pool,
            client,
        })
    }

    /// Keeps a server on its own, each worker on one.
    ///
    /// # Errors
    ///
    /// A thread has ended.
    pub fn keep_server(&self, server: &Process) -> Result<()> {
        for task in server.tasks() {
            keep(task, &self.server)?;
        }
        for (worker, cpu) in server.workers().into_iter().zip(&self.server) {
            keep(worker, &[*cpu])?;
        }
        Ok(())
    }

    /// Runs something with this thread, and what it starts, on those of the client.
    ///
    /// # Errors
    ///
    /// As of what is run.
    pub fn as_client<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this)?;
        keep(0, &self.client)?;
        let result = run();
        sched_setaffinity(this, &before)?;
        result
    }
}

/// Keeps a thread on some processors.
fn keep(task: u32, cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    sched_setaffinity(Pid::from_raw(task as i32), &set)
        .with_context(|| format!("cannot keep thread {task} on processors {cpus:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_their_own() {
        let processors = Processors::of(vec![0, 1, 2, 5, 6], 2, 1).unwrap();
        assert_eq!(processors.server, [0, 1]);
        assert_eq!(processors.pool, [2]);
        assert_eq!(processors.client, [5, 6]);
        let error = Processors::of(vec![0, 1], 1, 1).unwrap_err().to_string();
        assert!(
            error.contains("need 3 processors, and here are 2"),
            "{error}"
        );
    }

    #[test]
    fn the_client_comes_back() {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).unwrap();
        let first = (0..CpuSet::count()).find(|cpu| before.is_set(*cpu).unwrap());
        let processors = Processors {
            server: vec![],
            pool: vec![],
            client: vec![first.unwrap()],
        };
        let inside = processors
            .as_client(|| Ok(sched_getaffinity(this)?))
            .unwrap();
        let count = (0..CpuSet::count()).filter(|cpu| inside.is_set(*cpu).unwrap());
        assert_eq!(count.count(), 1);
        assert_eq!(sched_getaffinity(this).unwrap(), before);
    }
}
