// SPDX-License-Identifier: MIT OR Apache-2.0

//! The virtual machine: its command line, its run, its end.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use saio_init::{Job, PORT_STATUS, PORT_STDERR, PORT_STDOUT, TAG_OUT, TAG_ROOT};

use crate::eta::TimeLeft;
use crate::exec;
use crate::guestlog;
use crate::initramfs;
use crate::paths;
use crate::profile;
use crate::vtime::{self, Plugin};

/// How often the guest's output is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Features that make `rep movsb` and `rep stosb` the kernel's ways to copy and
/// to clear. Each byte of it counts as an instruction, so that either would
/// seem dear.
const BYTE_COPIES: [&str; 5] = ["erms", "fsrm", "fsrs", "fsrc", "fzrm"];

/// Processor emulation or virtualisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accelerator {
    /// The host's processor runs the guest.
    Kvm,
    /// QEMU translates the guest's code.
    Tcg,
    /// As TCG, one virtual CPU, and the guest's clock counts instructions.
    Icount,
    /// As icount, and the plugin counts each instruction.
    Profile(profile::Plugin),
    /// As TCG, and the plugin keeps the virtual CPUs in step by instructions.
    VirtualTime(Plugin),
}

impl Accelerator {
    /// Whether the guest's clock counts instructions.
    pub fn is_icount(&self) -> bool {
        matches!(self, Accelerator::Icount | Accelerator::Profile(_))
    }

    /// Whether instructions are what is measured.
    fn counts_instructions(&self) -> bool {
        self.is_icount() || matches!(self, Accelerator::VirtualTime(_))
    }
}

/// A virtual machine for one job.
#[derive(Debug, Clone)]
pub struct Machine {
    /// QEMU: a name on `PATH` or a path.
    pub program: PathBuf,
    /// What runs the guest's code.
    pub accelerator: Accelerator,
    /// Number of virtual CPUs; with icount always one.
    pub cpus: usize,
    /// Memory, as QEMU writes sizes: 2G.
    pub memory: String,
    /// QEMU's CPU model; none: the best one.
    pub cpu_model: Option<String>,
    /// The kernel's image.
    pub image: PathBuf,
    /// The guest's init.
    pub init: PathBuf,
    /// Time until the guest is ended; none: never.
    pub time_limit: Option<Duration>,
    /// Addresses of code of which it is logged that it runs, from each to before the other.
    pub logged_code: Vec<(u64, u64)>,
    /// Directory for the initramfs, the logs and what the guest brings back.
    pub dir: PathBuf,
}

/// How a guest ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Exit status of the job; none if the guest died before it told.
    pub status: Option<i32>,
    /// Whether the time limit ended it.
    pub timed_out: bool,
    /// The console's log.
    pub log: String,
    /// Where the log lies.
    pub log_path: PathBuf,
    /// Lines of the log that fail the run.
    pub complaints: Vec<String>,
}

/// Receives what the job writes to its standard output.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

impl Machine {
    /// Directory that the guest sees as `/mnt/out`.
    pub fn out_dir(&self) -> PathBuf {
        self.dir.join("out")
    }

    /// Where the plugin of virtual time writes its report.
    pub fn vtime_report(&self) -> PathBuf {
        self.file("vtime.json")
    }

    /// Where QEMU logs code that runs, see [`Machine::logged_code`].
    pub fn code_log(&self) -> PathBuf {
        self.file("code.log")
    }

    /// A file in the run's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The command that starts it.
    pub fn command(&self, interactive: bool) -> Command {
        let mut qemu = Command::new(&self.program);
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-machine", "pc"]);
        match &self.accelerator {
            Accelerator::Kvm => qemu.args(["-accel", "kvm"]),
            Accelerator::Tcg => qemu.args(["-accel", "tcg"]),
            Accelerator::Icount => icount(&mut qemu),
            Accelerator::Profile(plugin) => icount(&mut qemu)
                .arg("-plugin")
                .arg(plugin.option(&self.file(profile::REPORT))),
            Accelerator::VirtualTime(plugin) => qemu
                .args(["-accel", "tcg,thread=multi"])
                .arg("-plugin")
                .arg(plugin.option(&self.vtime_report())),
        };
        qemu.arg("-cpu").arg(self.cpu());
        qemu.arg("-smp").arg(self.cpu_count().to_string());
        qemu.arg("-m").arg(&self.memory);
        qemu.arg("-kernel").arg(&self.image);
        qemu.arg("-initrd").arg(self.file("initramfs.cpio"));
        qemu.arg("-append").arg(self.kernel_arguments(interactive));

        if !self.logged_code.is_empty() {
            let ranges = self.logged_code.iter();
            let ranges = ranges.map(|(start, end)| format!("{start:#x}+{:#x}", end - start));
            qemu.args(["-d", "in_asm", "-dfilter"])
                .arg(ranges.collect::<Vec<_>>().join(","))
                .arg("-D")
                .arg(self.code_log());
        }

        share(&mut qemu, TAG_ROOT, Path::new("/"), ",readonly=on");
        share(&mut qemu, TAG_OUT, &self.out_dir(), "");
        qemu.args(["-device", "virtio-rng-pci"]);
        if interactive {
            qemu.args(["-serial", "mon:stdio"]);
        } else {
            qemu.arg("-serial")
                .arg(format!("file:{}", escape(&self.file("console.log"))));
            // Without ioeventfd what the guest wrote is in the file before
            // its next instruction, and so before it powers off.
            qemu.args(["-device", "virtio-serial-pci,ioeventfd=off"]);
            for port in [PORT_STDOUT, PORT_STDERR, PORT_STATUS] {
                let path = escape(&self.file(port));
                qemu.arg("-chardev")
                    .arg(format!("file,id={port},path={path}"))
                    .arg("-device")
                    .arg(format!("virtserialport,chardev={port},name={port}"));
            }
        }
        qemu
    }

    fn cpu_count(&self) -> usize {
        if self.accelerator.is_icount() {
            1
        } else {
            self.cpus
        }
    }

    fn cpu(&self) -> String {
        let model = match (&self.cpu_model, &self.accelerator) {
            (Some(model), _) => return model.clone(),
            (None, Accelerator::Kvm) => "host",
            (None, _) => "max",
        };
        let mut model = model.to_string();
        if self.accelerator.counts_instructions() {
            let known = exec::output(Command::new(&self.program).args(["-cpu", "help"]))
                .unwrap_or_default();
            for feature in BYTE_COPIES {
                if known.split_whitespace().any(|word| word == feature) {
                    model.push_str(&format!(",{feature}=off"));
                }
            }
        }
        model
    }

    fn kernel_arguments(&self, interactive: bool) -> String {
        // A panic or an oops ends QEMU: -no-reboot turns the reset into an exit.
        let mut words = vec![
            "console=ttyS0",
            "rdinit=/init",
            "panic=-1",
            "oops=panic",
            if interactive {
                "loglevel=4"
            } else {
                "loglevel=7"
            },
        ];
        if self.accelerator != Accelerator::Kvm {
            // Its only rival is as emulated as itself, and slower to read.
            words.push("tsc=reliable");
        }
        if matches!(self.accelerator, Accelerator::VirtualTime(_)) {
            words.push(vtime::IDLE);
        }
        words.join(" ")
    }

    /// Makes the directory and the initramfs.
    fn prepare(&self, job: &Job) -> Result<()> {
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir)
                .with_context(|| format!("cannot remove {}", self.dir.display()))?;
        }
        paths::make_dir(&self.out_dir())?;
        for name in ["console.log", PORT_STDOUT, PORT_STDERR, PORT_STATUS] {
            paths::write(&self.file(name), "")?;
        }
        initramfs::write(&self.file("initramfs.cpio"), &self.init, job)
    }

    /// Boots, runs the job with its output passed on, and waits for the end.
    ///
    /// # Errors
    ///
    /// QEMU cannot be run. What the guest does is no error: see [`Outcome`].
    pub fn run(&self, job: &Job, stdout: Sink<'_>) -> Result<Outcome> {
        self.prepare(job)?;
        let interactive = job.argv.is_empty();
        let mut command = self.command(interactive);
        if !interactive {
            command.stdin(Stdio::null());
        }
        let started = Instant::now();
        let mut qemu = match command.spawn() {
            Ok(qemu) => qemu,
            Err(error) => {
                let what = exec::start_error(&error, &command);
                return Err(error).context(what);
            }
        };

        let mut out = Follow::open(&self.file(PORT_STDOUT))?;
        let mut err = Follow::open(&self.file(PORT_STDERR))?;
        let mut left = self
            .accelerator
            .counts_instructions()
            .then(TimeLeft::default);
        let mut pass_on = || -> Result<()> {
            out.read(&mut *stdout)?;
            err.read(|bytes| {
                // Nobody reads our stderr: nothing is left to tell them.
                let _ = match &mut left {
                    Some(left) => std::io::stderr().write_all(&left.pass(bytes, Instant::now())),
                    None => std::io::stderr().write_all(bytes),
                };
            })
        };
        let mut timed_out = false;
        let exit = loop {
            pass_on()?;
            if let Some(exit) = qemu.try_wait().context("cannot wait for QEMU")? {
                break exit;
            }
            if self
                .time_limit
                .is_some_and(|limit| started.elapsed() > limit)
            {
                timed_out = true;
                break end(&mut qemu)?;
            }
            thread::sleep(POLL);
        };
        pass_on()?;

        let log_path = self.file("console.log");
        let bytes =
            fs::read(&log_path).with_context(|| format!("cannot read {}", log_path.display()))?;
        let log = String::from_utf8_lossy(&bytes).replace('\r', "");
        let status = if interactive {
            exit.code()
        } else {
            paths::read(&self.file(PORT_STATUS))?.trim().parse().ok()
        };
        Ok(Outcome {
            status,
            timed_out,
            complaints: guestlog::complaints(&log),
            log,
            log_path,
        })
    }
}

/// Lets the guest's clock count instructions.
fn icount(qemu: &mut Command) -> &mut Command {
    qemu.args(["-accel", "tcg"])
        .args(["-icount", "shift=0,sleep=off"])
}

/// Shares a directory of the host over 9p.
fn share(qemu: &mut Command, tag: &str, path: &Path, more: &str) {
    // `none` lets a user without root share: ownership that cannot be set is
    // not set. `remap` keeps inode numbers apart where mounts meet.
    qemu.arg("-fsdev")
        .arg(format!(
            "local,id={tag},path={},security_model=none,multidevs=remap{more}",
            escape(path)
        ))
        .arg("-device")
        .arg(format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"));
}

/// Writes a path as a value of a QEMU option, where a comma ends it.
pub fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

fn end(qemu: &mut Child) -> Result<std::process::ExitStatus> {
    qemu.kill().context("cannot end QEMU")?;
    qemu.wait().context("cannot wait for QEMU")
}

/// Reads a file that another process appends to.
struct Follow {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl Follow {
    fn open(path: &Path) -> Result<Follow> {
        let file = OpenOptions::new()
            .read(true)
            .open(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Follow {
            file,
            path: path.to_path_buf(),
            buffer: vec![0; 64 << 10],
        })
    }

    fn read(&mut self, mut take: impl FnMut(&[u8])) -> Result<()> {
        loop {
            let length = self
                .file
                .read(&mut self.buffer)
                .with_context(|| format!("cannot read {}", self.path.display()))?;
            if length == 0 {
                return Ok(());
            }
            take(&self.buffer[..length]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(accelerator: Accelerator) -> Machine {
        Machine {
            program: "qemu".into(),
            accelerator,
            cpus: 4,
            memory: "1G".to_string(),
            cpu_model: Some("max".to_string()),
            image: "/k/bzImage".into(),
            init: "/i/init".into(),
            time_limit: None,
            logged_code: Vec::new(),
            dir: "/d,1".into(),
        }
    }

    #[test]
    fn counting_instructions_takes_one_cpu() {
        let line = exec::show(&machine(Accelerator::Icount).command(false));
        assert!(line.contains("-icount shift=0,sleep=off"));
        assert!(line.contains("-smp 1 "));
        assert!(!line.contains("kvm"));
    }

    #[test]
    fn a_profile_takes_one_cpu_and_the_plugin() {
        let plugin = profile::Plugin {
            library: "/p/libiprof.so".into(),
            switch: Some("ff00-ff80".to_string()),
        };
        let line = exec::show(&machine(Accelerator::Profile(plugin)).command(false));
        assert!(line.contains(
            "-icount shift=0,sleep=off -plugin \
             /p/libiprof.so,report=/d,,1/counts.jsonl,switch=ff00-ff80 "
        ));
        assert!(line.contains("-smp 1 "));
    }

    #[test]
    fn virtual_time_takes_the_plugin_and_all_cpus() {
        let plugin = Plugin {
            library: "/p,1/libvtime.so".into(),
            quantum: 10_000,
            crossing: 1000,
            polling: Some("ff00-ff80".to_string()),
        };
        let line = exec::show(&machine(Accelerator::VirtualTime(plugin)).command(false));
        assert!(line.contains("-accel tcg,thread=multi -plugin "));
        assert!(line.contains(
            "/p,,1/libvtime.so,quantum=10000,crossing=1000,pause=40,\
             report=/d,,1/vtime.json,polling=ff00-ff80 "
        ));
        assert!(line.contains("-smp 4 "));
        assert!(line.contains("tsc=reliable idle=poll"));
        assert!(!line.contains("-icount"));
        assert!(!exec::show(&machine(Accelerator::Tcg).command(false)).contains("idle="));
    }

    #[test]
    fn code_that_is_logged_is_given_by_start_and_length() {
        let mut machine = machine(Accelerator::Tcg);
        machine.logged_code = vec![(0x100, 0x180), (0x200, 0x201)];
        let line = exec::show(&machine.command(false));
        assert!(line.contains("-d in_asm -dfilter 0x100+0x80,0x200+0x1 -D /d,1/code.log"));
    }

    #[test]
    fn commas_in_paths_are_doubled_and_the_root_is_read_only() {
        let line = exec::show(&machine(Accelerator::Kvm).command(false));
        assert!(line.contains("path=/d,,1/out,"));
        assert!(line.contains("path=/,security_model=none,multidevs=remap,readonly=on"));
    }
}
