// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether KVM works here: a device file does not tell, so a guest is booted.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use saio_init::Job;
use serde::{Deserialize, Serialize};

use crate::exec;
use crate::guestlog;
use crate::paths::{self, Context};
use crate::qemu::{Accelerator, Machine};

/// A probe that takes longer has failed: under KVM it takes a second.
const LIMIT: Duration = Duration::from_secs(20);

/// A verdict, valid for one kernel image until the host is booted again.
#[derive(Debug, Serialize, Deserialize)]
struct Verdict {
    key: String,
    problem: Option<String>,
}

/// Returns why KVM cannot be used, none if it can.
///
/// # Errors
///
/// The kernel image cannot be found, or the probe not be started.
pub fn problem(ctx: &Context, machine: &Machine, job: &Job) -> Result<Option<String>> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Ok(Some(format!("/dev/kvm: {error}")));
    }
    let key = key(&machine.image)?;
    let cache = ctx.cache.join("kvm-probe.json");
    let known = fs::read_to_string(&cache)
        .ok()
        .and_then(|text| serde_json::from_str::<Verdict>(&text).ok())
        .filter(|verdict| verdict.key == key);
    if let Some(verdict) = known {
        return Ok(verdict.problem);
    }

    exec::step("probing KVM with a boot");
    let problem = probe(machine, job)?;
    let verdict = Verdict { key, problem };
    paths::write(&cache, serde_json::to_string(&verdict)?)?;
    Ok(verdict.problem)
}

fn probe(machine: &Machine, job: &Job) -> Result<Option<String>> {
    let probe = Machine {
        accelerator: Accelerator::Kvm,
        cpu_model: None,
        time_limit: Some(LIMIT),
        dir: machine.dir.with_extension("probe"),
        ..machine.clone()
    };
    let job = Job {
        argv: vec!["/bin/true".to_string()],
        cwd: "/".into(),
        time_limit_s: None,
        ..job.clone()
    };
    let outcome = probe.run(&job, &mut |_| {})?;
    let problem = match outcome.status {
        Some(0) => None,
        Some(status) => Some(format!("the probe ended with status {status}")),
        None if outcome.timed_out => Some(format!("no answer in {} s", LIMIT.as_secs())),
        None => Some("the probe died".to_string()),
    };
    let last = guestlog::tail(&outcome.log, 1);
    let problem = problem.map(|problem| {
        if last.trim().is_empty() {
            problem
        } else {
            format!("{problem}; last words: {}", last.trim())
        }
    });
    fs::remove_dir_all(&probe.dir)
        .with_context(|| format!("cannot remove {}", probe.dir.display()))?;
    Ok(problem)
}

/// Names a kernel image on a host that was not booted since.
fn key(image: &Path) -> Result<String> {
    let meta = fs::metadata(image).with_context(|| format!("cannot find {}", image.display()))?;
    let boot = paths::read(Path::new("/proc/sys/kernel/random/boot_id"))?;
    Ok(format!(
        "{} {} {} {}",
        image.display(),
        meta.size(),
        meta.mtime(),
        boot.trim()
    ))
}
