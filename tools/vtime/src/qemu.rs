// SPDX-License-Identifier: GPL-2.0-or-later

//! The border to QEMU: everything unsafe is here.
//!
//! A quantum is counted by additions that QEMU puts into the translated code, to
//! a counter that only its vCPU writes. The callback at its end is in the
//! translated code as well, under a condition.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::iter;
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use qemu_plugin_sys as sys;

use crate::clock::{Clock, PATIENCE};
use crate::code::{self, Access, Kind};
use crate::options::Options;
use crate::report::{Counters, Report};

/// The version of QEMU's plugin interface that is used here: that of QEMU 9.1.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = sys::QEMU_PLUGIN_VERSION as c_int;

/// What QEMU keeps for each vCPU.
#[repr(C)]
struct Counted {
    quantum: u64,
    polling: u64,
}

/// Everything; there is one QEMU and one plugin in it.
struct Plugin {
    options: Options,
    clock: Clock,
    report: Mutex<Report>,
    counters: Scoreboard,
}

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// QEMU's array with a [`Counted`] for each vCPU; never freed.
struct Scoreboard(*mut sys::qemu_plugin_scoreboard);

// SAFETY: QEMU's functions on it may be called by any thread; the pointer is
// only passed to them.
unsafe impl Send for Scoreboard {}
// SAFETY: as above.
unsafe impl Sync for Scoreboard {}

impl Scoreboard {
    fn quantum_entry(&self) -> sys::qemu_plugin_u64 {
        sys::qemu_plugin_u64 {
            score: self.0,
            offset: offset_of!(Counted, quantum),
        }
    }

    fn polling_entry(&self) -> sys::qemu_plugin_u64 {
        sys::qemu_plugin_u64 {
            score: self.0,
            offset: offset_of!(Counted, polling),
        }
    }

    /// Returns and clears a vCPU's quantum; only its own thread may.
    fn take_quantum(&self, cpu: c_uint) -> u64 {
        let entry = self.quantum_entry();
        // SAFETY: the entry is in the scoreboard, which has one for each vCPU
        // that QEMU calls us for.
        unsafe {
            let instructions = sys::qemu_plugin_u64_get(entry, cpu);
            sys::qemu_plugin_u64_set(entry, cpu, 0);
            instructions
        }
    }
}

impl Counters for Scoreboard {
    fn quantum(&self, cpu: usize) -> u64 {
        // SAFETY: as in `take_quantum`. The vCPU may add to it at this moment,
        // which is an aligned store of 8 bytes: the old or the new value.
        unsafe { sys::qemu_plugin_u64_get(self.quantum_entry(), cpu as c_uint) }
    }

    fn polling(&self, cpu: usize) -> u64 {
        // SAFETY: as above.
        unsafe { sys::qemu_plugin_u64_get(self.polling_entry(), cpu as c_uint) }
    }
}

impl Plugin {
    /// Brings the report up to date, changes it and writes it.
    fn write_report(&self, change: impl FnOnce(&mut Report)) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.update(&self.clock.times(), &self.counters);
        change(&mut report);
        if let Err(error) = report.write(&self.options.report) {
            eprintln!("vtime: {}: {error}", self.options.report.display());
        }
    }
}

/// Called by QEMU when it loads the plugin; not 0: QEMU ends.
///
/// # Safety
///
/// `info` and the `argc` texts at `argv` are valid during the call.
#[no_mangle]
pub unsafe extern "C" fn qemu_plugin_install(
    id: sys::qemu_plugin_id_t,
    info: *const sys::qemu_info_t,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let (target, is_system) = unsafe {
        let info = &*info;
        (CStr::from_ptr(info.target_name), info.system_emulation)
    };
    let arguments = (0..argc as usize).map(|index| {
        // SAFETY: the caller's promise.
        let text = unsafe { CStr::from_ptr(*argv.add(index)) };
        text.to_str().unwrap_or("(not UTF-8)")
    });
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("vtime: {error}");
            return 1;
        }
    };
    if !is_system || target != c"x86_64" {
        eprintln!("vtime: it is for qemu-system-x86_64 only");
        return 1;
    }
    let report = Report::new(&options);
    if let Err(error) = report.write(&options.report) {
        eprintln!("vtime: report={}: {error}", options.report.display());
        return 1;
    }

    // SAFETY: called while a plugin is installed, as it has to be.
    let counters = Scoreboard(unsafe { sys::qemu_plugin_scoreboard_new(size_of::<Counted>()) });
    let plugin = Plugin {
        clock: Clock::new(options.quantum, PATIENCE),
        options,
        report: Mutex::new(report),
        counters,
    };
    if PLUGIN.set(plugin).is_err() {
        eprintln!("vtime: it is loaded twice");
        return 1;
    }
    // SAFETY: the id is ours, and the functions have the types that QEMU wants.
    unsafe {
        sys::qemu_plugin_register_vcpu_init_cb(id, Some(cpu_is_there));
        sys::qemu_plugin_register_vcpu_idle_cb(id, Some(cpu_halts));
        sys::qemu_plugin_register_vcpu_resume_cb(id, Some(cpu_resumes));
        sys::qemu_plugin_register_vcpu_tb_trans_cb(id, Some(translate));
        sys::qemu_plugin_register_atexit_cb(id, Some(at_exit), ptr::null_mut());
    }
    0
}

extern "C" fn cpu_is_there(_id: sys::qemu_plugin_id_t, cpu: c_uint) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.clock.add(cpu as usize);
    }
}

extern "C" fn cpu_halts(_id: sys::qemu_plugin_id_t, cpu: c_uint) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.clock.halt(cpu as usize);
    }
}

extern "C" fn cpu_resumes(_id: sys::qemu_plugin_id_t, cpu: c_uint) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.clock.resume(cpu as usize);
    }
}

extern "C" fn quantum_is_done(cpu: c_uint, _data: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        let counters = &plugin.counters;
        plugin
            .clock
            .advance(cpu as usize, || counters.take_quantum(cpu));
    }
}

extern "C" fn mark(cpu: c_uint, nr: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.write_report(|report| report.mark(nr.addr() as u8, cpu as usize));
    }
}

extern "C" fn at_exit(_id: sys::qemu_plugin_id_t, _data: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.write_report(Report::complete);
    }
}

/// Called for each block of code that QEMU translates: adds the counting to it.
extern "C" fn translate(_id: sys::qemu_plugin_id_t, block: *mut sys::qemu_plugin_tb) {
    let Some(plugin) = PLUGIN.get() else {
        return;
    };
    // SAFETY: the block is the one that QEMU translates.
    let address = unsafe { sys::qemu_plugin_tb_vaddr(block) };
    let mut entries = vec![plugin.counters.quantum_entry()];
    if plugin.options.polling.contains(&address) {
        entries.push(plugin.counters.polling_entry());
    }
    let mut plain = 0;
    for (insn, kind) in instructions(block) {
        plain += u64::from(!matches!(kind, Kind::Repeated(_)));
        match kind {
            Kind::Plain => {}
            Kind::Mark(nr) => on_mark(insn, nr),
            Kind::Syscall => charge(insn, &entries, plugin.options.crossing),
            Kind::Pause => charge(insn, &entries, plugin.options.pause - 1),
            Kind::Repeated(access) => charge_elements(insn, &entries, access),
        }
    }
    at_quantum(block, plugin);
    for entry in entries {
        // SAFETY: the block is the one that QEMU translates, the entry is ours.
        unsafe {
            sys::qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, ADD, entry, plain);
        }
    }
}

/// The operation of all counting.
const ADD: sys::qemu_plugin_op = sys::qemu_plugin_op::QEMU_PLUGIN_INLINE_ADD_U64;

/// Makes each execution of an instruction, which is of the block that QEMU
/// translates, add to counters.
fn charge(insn: *mut sys::qemu_plugin_insn, entries: &[sys::qemu_plugin_u64], price: u64) {
    for entry in entries.iter().filter(|_| price > 0) {
        // SAFETY: the instruction is of this block, the entry is ours.
        unsafe {
            sys::qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, ADD, *entry, price);
        }
    }
}

/// Makes each element of a repeated instruction count as an instruction. Some
/// versions of QEMU leave the block after each element and some do not, but
/// accesses to memory are the same in all.
fn charge_elements(
    insn: *mut sys::qemu_plugin_insn,
    entries: &[sys::qemu_plugin_u64],
    access: Access,
) {
    let which = match access {
        Access::Reads => sys::qemu_plugin_mem_rw::QEMU_PLUGIN_MEM_R,
        Access::Writes => sys::qemu_plugin_mem_rw::QEMU_PLUGIN_MEM_W,
    };
    for entry in entries {
        // SAFETY: as in `charge`.
        unsafe {
            sys::qemu_plugin_register_vcpu_mem_inline_per_vcpu(insn, which, ADD, *entry, 1);
        }
    }
}

/// Makes an instruction call [`mark`].
fn on_mark(insn: *mut sys::qemu_plugin_insn, nr: u8) {
    // SAFETY: as in `charge`; the callback takes any number.
    unsafe {
        sys::qemu_plugin_register_vcpu_insn_exec_cb(
            insn,
            Some(mark),
            sys::qemu_plugin_cb_flags::QEMU_PLUGIN_CB_NO_REGS,
            ptr::without_provenance_mut(usize::from(nr)),
        );
    }
}

/// Makes a block call [`quantum_is_done`] when it is.
fn at_quantum(block: *mut sys::qemu_plugin_tb, plugin: &Plugin) {
    // SAFETY: the block is the one that QEMU translates, the entry is ours.
    unsafe {
        sys::qemu_plugin_register_vcpu_tb_exec_cond_cb(
            block,
            Some(quantum_is_done),
            sys::qemu_plugin_cb_flags::QEMU_PLUGIN_CB_NO_REGS,
            sys::qemu_plugin_cond::QEMU_PLUGIN_COND_GE,
            plugin.counters.quantum_entry(),
            plugin.options.quantum,
            ptr::null_mut(),
        );
    }
}

/// The instructions of a block with what they are.
fn instructions(
    block: *mut sys::qemu_plugin_tb,
) -> impl Iterator<Item = (*mut sys::qemu_plugin_insn, Kind)> {
    // SAFETY: the block is the one that QEMU translates.
    let total = unsafe { sys::qemu_plugin_tb_n_insns(block) };
    let mut next = 0..total;
    iter::from_fn(move || {
        let index = next.next()?;
        let mut bytes = [0; code::MARK_LENGTH];
        // SAFETY: the index is below the number of instructions, and as many
        // bytes are asked for as there is room.
        unsafe {
            let insn = sys::qemu_plugin_tb_get_insn(block, index);
            let length = sys::qemu_plugin_insn_data(insn, bytes.as_mut_ptr().cast(), bytes.len());
            let known = bytes.get(..length).unwrap_or(&bytes);
            Some((insn, code::classify(known)))
        }
    })
}
