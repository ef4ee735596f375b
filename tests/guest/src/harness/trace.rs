// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tracepoints of the kernel, recorded apart from everybody else's.

use super::{expect_ok, neg, skip, sys};
use std::{
    fs,
    path::{Path, PathBuf},
};

const TRACEFS: &str = "/sys/kernel/tracing";
/// Room for each CPU.
const BUFFER_KIB: u32 = 8192;

/// A recording of events `saio:*`.
pub struct Trace {
    instance: PathBuf,
}

/// Something that happened.
#[derive(Debug)]
pub struct Event {
    /// The task that it happened in.
    pub pid: i32,
    pub cpu: usize,
    /// Without `saio_`.
    pub name: String,
    fields: String,
}

impl Trace {
    /// Records these events from now on, named without `saio_`. Skips the test if the kernel cannot:
    /// nothing must have been made that has to be cleaned up.
    #[track_caller]
    pub fn start(events: &[&str]) -> Self {
        let instances = Path::new(TRACEFS).join("instances");
        if !instances.is_dir() {
            mount_tracefs();
        }
        if !Path::new(TRACEFS).join("events/saio").is_dir() {
            skip("the kernel has no tracepoints (CONFIG_FTRACE)");
        }
        let instance = instances.join("saio-selftest");
        // A test that was killed may have left its own.
        let _ = fs::remove_dir(&instance);
        fs::create_dir(&instance).expect("an instance can be made");
        let trace = Self { instance };
        // CPUs have clocks of their own otherwise.
        trace.write("trace_clock", "global");
        trace.write("buffer_size_kb", &BUFFER_KIB.to_string());
        for event in events {
            trace.write(&format!("events/saio/saio_{event}/enable"), "1");
        }
        trace
    }

    #[track_caller]
    fn write(&self, file: &str, text: &str) {
        let path = self.instance.join(file);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    #[track_caller]
    fn read(&self, file: &str) -> String {
        let path = self.instance.join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Forgets what was recorded, and starts again.
    #[track_caller]
    pub fn clear(&self) {
        self.write("trace", "");
        self.write("tracing_on", "1");
    }

    /// Stops, and gives what happened since the start, or since it was cleared, in order. Nothing
    /// must be lost.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        self.write("tracing_on", "0");
        let events = self.read("trace").lines().filter_map(parse).collect();
        let cpus = fs::read_dir(self.instance.join("per_cpu")).expect("there are CPUs");
        for cpu in cpus.flatten() {
            let stats = fs::read_to_string(cpu.path().join("stats")).unwrap_or_default();
            let overrun = stats.lines().find(|line| line.starts_with("overrun:"));
            assert!(
                overrun.is_none_or(|line| line == "overrun: 0"),
                "events were lost: {overrun:?}"
            );
        }
        events
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Errors: the next recording finds them.
        let _ = fs::remove_dir(&self.instance);
    }
}

impl Event {
    /// The value of a field, as text.
    #[track_caller]
    pub fn text(&self, field: &str) -> &str {
        let pairs = self.fields.split_whitespace();
        let mut values = pairs.filter_map(|pair| pair.strip_prefix(field)?.strip_prefix('='));
        values
            .next()
            .unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }
}

/// A line: `comm-pid [cpu] flags time: saio_name: fields`; none for comments.
fn parse(line: &str) -> Option<Event> {
    if line.starts_with('#') {
        return None;
    }
    let (task, rest) = line.split_once(" [")?;
    let (cpu, rest) = rest.split_once(']')?;
    let (name, fields) = rest.split_once(" saio_")?.1.split_once(':')?;
    Some(Event {
        pid: task.trim().rsplit_once('-')?.1.parse().ok()?,
        cpu: cpu.parse().ok()?,
        name: name.to_owned(),
        fields: fields.trim().to_owned(),
    })
}

fn mount_tracefs() {
    let [kind, target] = [c"tracefs", c"/sys/kernel/tracing"].map(|text| text.as_ptr());
    match sys!(libc::SYS_mount, kind, target, kind, 0, 0) {
        errno if errno == neg(libc::ENODEV) || errno == neg(libc::ENOENT) => {
            skip("the kernel has no tracefs (CONFIG_FTRACE)");
        }
        result => expect_ok!(result),
    };
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = "     saio/web-0-123     [001] d..1.   12.345678: saio_dispatch: ring=1 \
                    owner=9 nr=1 flags=0x10 user_data=0x0 flow=0x10000 args=0x1,0x2 where=pool";
        let event = parse(line).expect("a line with an event");
        assert_eq!((event.pid, event.cpu), (123, 1));
        assert_eq!(event.name, "dispatch");
        assert_eq!(event.text("where"), "pool");
        assert_eq!(event.text("ring"), "1");
        assert!(parse("# tracer: nop").is_none());
        assert!(parse("CPU:1 [LOST 12 EVENTS]").is_none());
    }
}
