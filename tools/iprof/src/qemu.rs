// SPDX-License-Identifier: GPL-2.0-or-later

//! The border to QEMU: everything unsafe is here.
//!
//! QEMU 9.0 changed how translated code adds to a counter and how the bytes of
//! an instruction are read. Both ways are known, so the plugin is loaded by QEMU
//! 7.2 to 8.2 (plugin API 1), and by 9.1 and newer (3).

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::mem::{size_of, transmute, transmute_copy};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU64};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use qemu_plugin_sys as sys;

use crate::code::{self, Kind};
use crate::options::Options;
use crate::profile::{Chunk, Profile, CHUNK};
use crate::report::Report;

/// The version of QEMU's plugin interface that is used here; QEMU reads it after
/// [`CHOOSE_VERSION`] ran.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: AtomicI32 = AtomicI32::new(1);

/// A QEMU that knows scoreboards refuses plugins for version 1, and the others
/// refuse those for 3. The linker runs it when the plugin is loaded.
#[used]
#[link_section = ".init_array"]
static CHOOSE_VERSION: extern "C" fn() = choose_version;

extern "C" fn choose_version() {
    if symbol(c"qemu_plugin_scoreboard_new").is_some() {
        let version = sys::QEMU_PLUGIN_VERSION as c_int;
        qemu_plugin_version.store(version, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A function of this QEMU, if it has it.
fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero; nothing is called.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// Adds to a counter in each execution of an instruction.
type AddTo =
    unsafe extern "C" fn(*mut sys::qemu_plugin_insn, sys::qemu_plugin_op, *mut c_void, u64);
type AddToEntry = unsafe extern "C" fn(
    *mut sys::qemu_plugin_insn,
    sys::qemu_plugin_op,
    sys::qemu_plugin_u64,
    u64,
);
type NewScoreboard = unsafe extern "C" fn(usize) -> *mut sys::qemu_plugin_scoreboard;
type FindEntry = unsafe extern "C" fn(*mut sys::qemu_plugin_scoreboard, c_uint) -> *mut c_void;
/// How bytes of an instruction were read before QEMU 9.1.
type Data = unsafe extern "C" fn(*const sys::qemu_plugin_insn) -> *const c_void;

/// What differs between versions.
enum Api {
    /// Before 9.0: counters are anywhere in memory.
    Memory { add: AddTo },
    /// Since then: QEMU has the counters.
    Scoreboards {
        new: NewScoreboard,
        find: FindEntry,
        add: AddToEntry,
        /// A scoreboard for each chunk.
        boards: Vec<Board>,
    },
}

struct Board(*mut sys::qemu_plugin_scoreboard);

// SAFETY: the pointer is only passed to QEMU's functions, which any thread may
// call.
unsafe impl Send for Board {}

impl Api {
    fn find() -> Option<Self> {
        // SAFETY: QEMU's functions of these names have these types.
        unsafe {
            if let Some(add) = symbol(c"qemu_plugin_register_vcpu_insn_exec_inline") {
                let add = transmute::<*mut c_void, AddTo>(add);
                return Some(Self::Memory { add });
            }
            let new = symbol(c"qemu_plugin_scoreboard_new")?;
            let find = symbol(c"qemu_plugin_scoreboard_find")?;
            let add = symbol(c"qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu")?;
            Some(Self::Scoreboards {
                new: transmute::<*mut c_void, NewScoreboard>(new),
                find: transmute::<*mut c_void, FindEntry>(find),
                add: transmute::<*mut c_void, AddToEntry>(add),
                boards: Vec::new(),
            })
        }
    }

    fn new_chunk(&mut self) -> Chunk {
        match self {
            Self::Memory { .. } => Box::leak(Box::new([const { AtomicU64::new(0) }; CHUNK])),
            Self::Scoreboards {
                new, find, boards, ..
            } => {
                // SAFETY: the scoreboard is never freed, and moves only when
                // vCPUs are added: there is one. It is all zeroes.
                unsafe {
                    let board = new(CHUNK * size_of::<AtomicU64>());
                    boards.push(Board(board));
                    &*find(board, 0).cast()
                }
            }
        }
    }

    /// Makes each execution of an instruction, which is of the block that QEMU
    /// translates, add one to a counter.
    fn count(&self, insn: *mut sys::qemu_plugin_insn, chunks: &[Chunk], counter: (usize, usize)) {
        const ADD: sys::qemu_plugin_op = sys::qemu_plugin_op::QEMU_PLUGIN_INLINE_ADD_U64;
        let (chunk, place) = counter;
        // SAFETY: the instruction is of this block, the counter lives for ever.
        unsafe {
            match self {
                Self::Memory { add } => {
                    add(insn, ADD, chunks[chunk][place].as_ptr().cast(), 1);
                }
                Self::Scoreboards { add, boards, .. } => {
                    let entry = sys::qemu_plugin_u64 {
                        score: boards[chunk].0,
                        offset: place * size_of::<AtomicU64>(),
                    };
                    add(insn, ADD, entry, 1);
                }
            }
        }
    }

    /// What an instruction of the block that QEMU translates is.
    fn classify(&self, insn: *const sys::qemu_plugin_insn) -> Kind {
        let mut bytes = [0; code::LENGTH];
        // SAFETY: the instruction is of this block, and no more bytes are taken
        // than it has and there is room for.
        let length = unsafe {
            match self {
                Self::Memory { .. } => {
                    let of_9_1 = sys::qemu_plugin_insn_data as *const ();
                    let data = transmute_copy::<*const (), Data>(&of_9_1)(insn);
                    let length = sys::qemu_plugin_insn_size(insn).min(bytes.len());
                    ptr::copy_nonoverlapping(data.cast(), bytes.as_mut_ptr(), length);
                    length
                }
                Self::Scoreboards { .. } => {
                    sys::qemu_plugin_insn_data(insn, bytes.as_mut_ptr().cast(), bytes.len())
                }
            }
        };
        code::classify(bytes.get(..length).unwrap_or(&bytes))
    }
}

/// Everything; there is one QEMU and one plugin in it.
struct Plugin {
    options: Options,
    state: Mutex<State>,
}

struct State {
    api: Api,
    profile: Profile,
    report: Report,
}

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// The plugin with its state; none before it is installed.
fn plugin() -> Option<(&'static Options, MutexGuard<'static, State>)> {
    let plugin = PLUGIN.get()?;
    // A thread that panicked has ended QEMU.
    let state = plugin.state.lock().unwrap_or_else(PoisonError::into_inner);
    Some((&plugin.options, state))
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
    let arguments = (0..argc as usize).map(|index| {
        // SAFETY: the caller's promise.
        let text = unsafe { CStr::from_ptr(*argv.add(index)) };
        text.to_str().unwrap_or("(not UTF-8)")
    });
    // SAFETY: the caller's promise.
    let installed = unsafe { check(&*info) }.and_then(|()| make(arguments));
    if let Err(error) = installed {
        eprintln!("iprof: {error}");
        return 1;
    }
    // SAFETY: the id is ours, and the function has the type that QEMU wants.
    unsafe { sys::qemu_plugin_register_vcpu_tb_trans_cb(id, Some(translate)) };
    0
}

/// Checks that the guest is one that can be counted.
///
/// # Safety
///
/// `info` is what QEMU gave.
unsafe fn check(info: &sys::qemu_info_t) -> Result<(), String> {
    // SAFETY: the caller's promise.
    let target = unsafe { CStr::from_ptr(info.target_name) };
    if !info.system_emulation || target != c"x86_64" {
        return Err("it is for qemu-system-x86_64 only".to_owned());
    }
    // SAFETY: this member is there when a system is emulated.
    let cpus = unsafe { info.__bindgen_anon_1.system.max_vcpus };
    if cpus != 1 {
        return Err(format!(
            "the guest has {cpus} CPUs, and only one can be counted: -smp 1"
        ));
    }
    Ok(())
}

fn make<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let options = Options::parse(arguments).map_err(|error| error.to_string())?;
    let report = Report::create(&options.report)
        .map_err(|error| format!("report={}: {error}", options.report.display()))?;
    let api = Api::find().ok_or("this QEMU has no inline addition that is known")?;
    let state = Mutex::new(State {
        api,
        profile: Profile::default(),
        report,
    });
    let plugin = Plugin { options, state };
    PLUGIN.set(plugin).map_err(|_| "it is loaded twice".into())
}

/// Called for each block of code that QEMU translates: adds the counting to it.
extern "C" fn translate(_id: sys::qemu_plugin_id_t, block: *mut sys::qemu_plugin_tb) {
    let Some((options, mut state)) = plugin() else {
        return;
    };
    let State { api, profile, .. } = &mut *state;
    // SAFETY: the block is the one that QEMU translates.
    let total = unsafe { sys::qemu_plugin_tb_n_insns(block) };
    for index in 0..total {
        // SAFETY: as above, and the index is below the number of instructions.
        let (insn, address) = unsafe {
            let insn = sys::qemu_plugin_tb_get_insn(block, index);
            (insn, sys::qemu_plugin_insn_vaddr(insn))
        };
        let counter = profile.counter(address, || api.new_chunk());
        api.count(insn, profile.chunks(), counter);
        match api.classify(insn) {
            Kind::Mark(nr) => on_mark(insn, nr),
            Kind::LoadStack if options.switch.contains(&address) => on_switch(insn),
            Kind::LoadStack | Kind::Plain => {}
        }
    }
}

/// Makes an instruction call [`mark`].
fn on_mark(insn: *mut sys::qemu_plugin_insn, nr: u8) {
    // SAFETY: the instruction is of the block that QEMU translates; the callback
    // takes any number.
    unsafe {
        sys::qemu_plugin_register_vcpu_insn_exec_cb(
            insn,
            Some(mark),
            sys::qemu_plugin_cb_flags::QEMU_PLUGIN_CB_NO_REGS,
            ptr::without_provenance_mut(usize::from(nr)),
        );
    }
}

/// Makes an instruction call [`switch`] with what it loads.
fn on_switch(insn: *mut sys::qemu_plugin_insn) {
    // QEMU 7.2 makes no callback for reads alone. This instruction does not write.
    let accesses = sys::qemu_plugin_mem_rw::QEMU_PLUGIN_MEM_RW;
    // SAFETY: as in `on_mark`.
    unsafe {
        sys::qemu_plugin_register_vcpu_mem_cb(
            insn,
            Some(switch),
            sys::qemu_plugin_cb_flags::QEMU_PLUGIN_CB_NO_REGS,
            accesses,
            ptr::null_mut(),
        );
    }
}

extern "C" fn mark(_cpu: c_uint, nr: *mut c_void) {
    let Some((options, mut state)) = plugin() else {
        return;
    };
    let State {
        profile, report, ..
    } = &mut *state;
    let interval = profile.mark(nr.addr() as u8);
    let written = interval.map_or(Ok(()), |interval| report.add(&interval));
    if let Err(error) = written {
        eprintln!("iprof: {}: {error}", options.report.display());
    }
}

extern "C" fn switch(
    _cpu: c_uint,
    _info: sys::qemu_plugin_meminfo_t,
    address: u64,
    _data: *mut c_void,
) {
    if let Some((_, mut state)) = plugin() {
        state.profile.switch(address);
    }
}
