// SPDX-License-Identifier: MIT OR Apache-2.0

//! From what the kernel writes to what the user reads.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::event::{Event, OnRing};
use super::line::{self, Entry, Line};
use super::pending::{Pending, Started};
use super::summary::Summary;
use super::tasks::Tasks;
use super::{json, text, Finished};

/// How long a look at the processes holds. A kernel that loses events loses more while somebody looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How events are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For scripts.
    Json,
    /// As the kernel has them.
    Raw,
}

/// A trace under way.
pub struct Session<W> {
    out: W,
    form: Form,
    tasks: Tasks,
    /// When the processes were looked at after a loss.
    looked: Option<Instant>,
    /// Whether births were lost since.
    stale: bool,
    pending: Pending,
    summary: Summary,
    /// The beginning of a line whose rest has not been read.
    rest: Vec<u8>,
}

impl<W: Write> Session<W> {
    /// Begins one.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn new(out: W, form: Form, tasks: Tasks) -> Result<Self> {
        let mut session = Self {
            out,
            form,
            tasks,
            looked: None,
            stale: false,
            pending: Pending::default(),
            summary: Summary::default(),
            rest: Vec::new(),
        };
        if form == Form::Json {
            session.write(&json::start())?;
        }
        Ok(session)
    }

    /// Takes the next bytes of the kernel, which may end within a line.
    ///
    /// # Errors
    ///
    /// The output cannot be written, or after a loss /proc cannot be read.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(());
        };
        self.look()?;
        let after = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, after);
        for line in lines[..end].split(|&byte| byte == b'\n') {
            self.line(line)?;
        }
        Ok(())
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().context("cannot write the trace")
    }

    /// Writes what has no result, and gives the summary.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn finish(mut self) -> Result<Summary> {
        for started in self.pending.take() {
            match self.form {
                Form::Text => self.write(&text::unfinished(&started))?,
                Form::Json => self.write(&json::unfinished(&started))?,
                Form::Raw => {}
            }
        }
        self.flush()?;
        Ok(self.summary)
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        match line::parse(&line::text(line)) {
            Some(Line::Event(entry)) => match Event::parse(&entry) {
                Some(event) => self.event(&entry, event, line),
                None => self.not_understood(line),
            },
            Some(Line::Lost(count)) => self.lost(count, line),
            None => self.not_understood(line),
        }
    }

    fn event(&mut self, entry: &Entry, event: Event, line: &[u8]) -> Result<()> {
        match event {
            Event::Fork { parent, child } => {
                self.tasks.fork(parent, child);
                return Ok(());
            }
            // Threads of a pool work for everybody.
            Event::Thread { .. } if self.tasks.is_choosy() => return Ok(()),
            Event::Ring { owner, .. } if !self.tasks.has(owner) => return Ok(()),
            _ => {}
        }
        self.raw(line)?;
        if let Event::Ring { ring, owner, what } = &event {
            self.on_ring(entry, *ring, *owner, what)?;
        }
        let text = match self.form {
            Form::Text => text::event(entry.time_us, &event),
            Form::Json => json::event(entry.time_us, &event),
            Form::Raw => None,
        };
        self.write(&text.unwrap_or_default())
    }

    fn on_ring(&mut self, entry: &Entry, ring: u64, owner: u32, what: &OnRing) -> Result<()> {
        match what {
            OnRing::Dispatch(dispatch) => self.pending.start(Started {
                time_us: entry.time_us,
                ring,
                owner,
                entry: dispatch.clone(),
            }),
            OnRing::Complete(complete) => {
                self.summary.add(complete);
                let started = self.pending.finish(ring, complete);
                let finished = Finished {
                    time_us: entry.time_us,
                    cpu: entry.cpu,
                    ring,
                    owner,
                    complete,
                    started: started.as_ref(),
                };
                match self.form {
                    Form::Text => self.write(&text::finished(&finished))?,
                    Form::Json => self.write(&json::finished(&finished))?,
                    Form::Raw => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What was dispatched may have ended unseen: a later result must not be taken for its own.
    fn lost(&mut self, count: Option<u64>, line: &[u8]) -> Result<()> {
        self.pending.take();
        self.summary.lose(count);
        self.stale = true;
        self.look()?;
        match self.form {
            Form::Text => self.write(&text::lost(count)),
            Form::Json => self.write(&json::lost(count)),
            Form::Raw => self.raw(line),
        }
    }

    /// After a loss, takes in descendants whose birth was not seen.
    fn look(&mut self) -> Result<()> {
        let due = self.looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
        if self.stale && due {
            self.tasks.look()?;
            self.stale = false;
            self.looked = Some(Instant::now());
        }
        Ok(())
    }

    fn not_understood(&mut self, line: &[u8]) -> Result<()> {
        self.summary.not_understood += 1;
        self.raw(line)
    }

    fn raw(&mut self, line: &[u8]) -> Result<()> {
        if self.form != Form::Raw {
            return Ok(());
        }
        let line = [line, b"\n"].concat();
        self.out.write_all(&line).context("cannot write the trace")
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.out
            .write_all(text.as_bytes())
            .context("cannot write the trace")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const KERNEL: &str = "           nginx-1234    [000] .....     1.000001: saio_submit: ring=7 owner=1234 to_submit=3 published=3
           nginx-1234    [000] .....     1.000002: saio_dispatch: ring=7 owner=1234 nr=44 flags=0x18 user_data=0x12 flow=0x10002 args=0x1000200000005,0x200,0xee,0x40,0x0,0x0 where=inline
           nginx-1234    [000] .....     1.000003: saio_dispatch: ring=7 owner=1234 nr=40 flags=0x18 user_data=0x13 flow=0x10002 args=0x1000200000005,0x9,0x0,0x400,0x0,0x0 where=inline
           nginx-1234    [000] .....     1.000010: saio_park: ring=7 owner=1234 flow=0x10002 left=4096
           redis-77      [001] .....     1.000011: saio_dispatch: ring=8 owner=77 nr=3 flags=0x0 user_data=0x1 flow=0x0 args=0x5,0x0,0x0,0x0,0x0,0x0 where=inline
           redis-77      [001] .....     1.000012: saio_complete: ring=8 owner=77 nr=3 user_data=0x1 flow=0x0 result=-9 where=inline
            saio-90      [001] .....     1.000020: saio_thread_wake: pool=web thread=1
            saio-90      [001] .....     1.000021: saio_steal: ring=7 owner=1234 flow=0x10002 pool=web from=0 to=1
            saio-90      [001] .....     1.000030: saio_complete: ring=7 owner=1234 nr=44 user_data=0x12 flow=0x10002 result=238 where=pool
            saio-90      [001] .....     1.000031: saio_complete: ring=7 owner=1234 nr=40 user_data=0x13 flow=0x10002 result=1024 where=pool
           nginx-1234    [000] .....     1.000040: sched_process_fork: comm=nginx pid=1234 child_comm=nginx child_pid=1300
           nginx-1300    [000] .....     1.000050: saio_dispatch: ring=9 owner=1300 nr=999 flags=0x1 user_data=0x1 flow=0x0 args=0x1,0x0,0x0,0x0,0x0,0x0 where=inline
           nginx-1300    [000] .....     1.000060: saio_new: ring=9
";

    fn run(form: Form, tasks: Tasks, input: &str) -> (String, Summary) {
        let mut out = Vec::new();
        let mut session = Session::new(&mut out, form, tasks).unwrap();
        // Wherever a read may end.
        for bytes in input.as_bytes().chunks(7) {
            session.feed(bytes).unwrap();
        }
        let summary = session.finish().unwrap();
        (String::from_utf8(out).unwrap(), summary)
    }

    #[test]
    fn everything_for_people() {
        let (text, summary) = run(Form::Text, Tasks::Everybody, KERNEL);
        assert_eq!(summary.not_understood, 1);
        insta::assert_snapshot!("text", text);
    }

    #[test]
    fn everything_for_scripts() {
        let (text, _) = run(Form::Json, Tasks::Everybody, KERNEL);
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["type"].is_string(), "{line}");
        }
        insta::assert_snapshot!("json", text);
    }

    #[test]
    fn raw_lines_are_those_of_the_kernel() {
        let (text, summary) = run(Form::Raw, Tasks::Everybody, KERNEL);
        let wanted: Vec<&str> = KERNEL
            .lines()
            .filter(|line| !line.contains("fork"))
            .collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
        assert!(summary.text().contains("sendfile"));
    }

    #[test]
    fn only_what_is_followed() {
        let tasks = Tasks::Some {
            roots: vec![1234],
            tasks: HashSet::from([1234]),
        };
        let (text, _) = run(Form::Text, tasks, KERNEL);
        assert!(text.contains("ring7 sendto") && text.contains("1300 ring9"));
        assert!(!text.contains("ring8") && !text.contains("thread 1 wake"));
    }

    #[test]
    fn descendants_are_looked_for_after_a_loss() {
        let own = std::process::id();
        let input = format!("CPU:0 [LOST 5 EVENTS]\n{KERNEL}").replace("1234", &own.to_string());
        let tasks = Tasks::Some {
            roots: vec![own],
            tasks: HashSet::new(),
        };
        let (text, _) = run(Form::Text, tasks, &input);
        assert!(text.contains(&format!("{own} ring7 sendto")), "{text}");
        assert!(!text.contains("ring8"), "{text}");
    }

    #[test]
    fn no_result_is_matched_across_a_loss() {
        let dispatch = KERNEL.lines().nth(1).unwrap();
        let complete = KERNEL.lines().nth(8).unwrap();
        let input = format!("{dispatch}\nCPU:0 [LOST 5 EVENTS]\n{complete}\n");
        let (text, summary) = run(Form::Text, Tasks::Everybody, &input);
        assert!(text.contains("--- 5 events lost\n"), "{text}");
        assert!(text.contains("sendto(? flow 2) = 238"), "{text}");
        assert!(summary.text().contains("at least 5 events were lost"));
    }
}
