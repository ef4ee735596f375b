// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Call policy: which system calls an entry of a ring may name.
//!
//! One row for each x86-64 call of Linux 6.12 (`common` and `64` in `syscall_64.tbl`). A number
//! without a row is [`Class::Never`], and so are the x32 numbers: the default is to deny.
//!
//! # The rule
//!
//! An inline entry is run by the owner of the ring itself, in its own mm and file table and with
//! its own credentials, from registers that only hold the six arguments. A call may run so
//! ([`Class::Inline`]) if all of this holds:
//!
//! 1. It takes what it needs from its arguments and from the task. It neither reads nor rewrites
//!    the saved user registers, which belong to `saio_enter`, and it returns.
//! 2. It leaves the thread what it was: no change of credentials, keyrings, filters, namespaces,
//!    session, scheduling or CPU state, so that every entry of a batch, and every byte that an
//!    earlier one left on a flow, has one answer to "on whose behalf".
//! 3. It submits no further calls: no second batch within a batch.
//! 4. A running program calls it to serve: work on files, sockets, memory, time, signals or its
//!    own state. Administering the machine and steering other processes is denied, as nothing
//!    is won by batching it and each such call would be one more to audit.
//!
//! Waiting is no obstacle: a signal ends the wait with `EINTR`. A temporary signal mask is: it is
//! undone only on the way back to user mode. Calls with one are allowed, with a mask that is not
//! null only as the last entry of a batch ([`Packed::sigmask_arg`]). `pselect6` and
//! `io_pgetevents` keep theirs behind a pointer to a structure; a pointer that is not null counts
//! as a mask.
//!
//! The table judges numbers, not arguments. Linux AIO is inline although `io_submit` takes
//! several requests, because all that it can ask for (read, write, fsync, poll) is inline too.
//! `in_x32_syscall()` reads the saved registers below `mmap` and others, but only the bit that
//! says x32, which is that of the `saio_enter` under way and therefore right.

/// Who may run a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The owner of the ring, within `saio_enter`.
    Inline,
    /// Nobody: the entry is refused.
    Never,
}

/// One row of the [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// System call number on x86-64.
    pub nr: u16,
    /// Name as in `syscall_64.tbl`.
    pub name: &'static str,
    /// Who may run the call.
    pub class: Class,
    /// Why it has this class: one phrase, no full stop.
    pub reason: &'static str,
    /// Arguments that are file descriptors, bit n for `args[n]`. They may be `AT_FDCWD` or -1
    /// where the call says so. Rows of [`Class::Never`] do not fill it in, and the bounds of
    /// `close_range` are not descriptors.
    pub fds: u8,
    /// Index of the argument that is not null if the call brings a temporary signal mask.
    pub sigmask_arg: Option<u8>,
    /// The call may be an entry of a flow, which another thread runs without the mm and the file
    /// table of the owner.
    pub detached: bool,
}

impl Rule {
    const fn new(nr: u16, name: &'static str, class: Class, reason: &'static str) -> Self {
        Self {
            nr,
            name,
            class,
            reason,
            fds: 0,
            sigmask_arg: None,
            detached: false,
        }
    }

    const fn fd(mut self, arg: u8) -> Self {
        self.fds |= 1 << arg;
        self
    }

    const fn mask(mut self, arg: u8) -> Self {
        self.sigmask_arg = Some(arg);
        self
    }

    const fn detached(mut self) -> Self {
        self.detached = true;
        self
    }
}

const fn inline(nr: u16, name: &'static str, reason: &'static str) -> Rule {
    Rule::new(nr, name, Class::Inline, reason)
}

const fn never(nr: u16, name: &'static str, reason: &'static str) -> Rule {
    Rule::new(nr, name, Class::Never, reason)
}

// Reasons of inline calls.
const FILE: &str = "works on open files of the process";
const PATH: &str = "works on named files, seen as the owner sees them now";
const SOCKET: &str = "works on sockets of the process";
const EVENT: &str = "waits for events or arranges them; a signal ends the wait with EINTR";
const MEMORY: &str = "works on the mm of the caller, which is the one that runs the entry";
const FS: &str = "changes how the process names or makes files, as between plain calls";
const AIO: &str = "asks for reads, writes, syncs and polls, all of them inline calls too";
const IPC: &str = "works on messages, semaphores or shared memory; waits end with EINTR";
const SYNC: &str = "synchronises threads; a signal ends the wait with EINTR";
const SIGNAL: &str = "sends, takes or waits for signals and children; waits end with EINTR";
const TIME: &str = "reads or waits for time; a sleep ends with EINTR";
const GETTER: &str = "reads the state of a task or of the system";
const LIMIT: &str = "sets resource limits, which say how much but not who";

// Reasons that several denied calls share.
const CRED: &str = "changes credentials: the entries around it would run as different users";
const KEYS: &str = "can change the keyrings, which are part of the credentials";
const EXEC: &str = "rewrites the saved user registers, and the ring ends with its program";
const CLONE: &str = "copies the saved user registers: the child would return from saio_enter";
const EXIT: &str = "does not return: the thread would end in the middle of a batch";
const SESSION: &str = "changes which session or process group the process is in";
const SCHED: &str = "changes how a task is scheduled: set-up, done once at start";
const SANDBOX: &str = "builds a sandbox: set-up, done once at start";
const NAMESPACE: &str = "changes the namespaces or tables that entries are resolved in";
const MOUNT: &str = "administers mounts";
const ADMIN: &str = "administers the machine";
const CLOCK: &str = "can set the clock of the machine";
const CODE: &str = "loads or removes code in the kernel";
const OTHER: &str = "looks into or steers another process";
const THREAD: &str = "tells the kernel where the thread keeps its own state";
const IO_PORT: &str = "changes which I/O ports the thread may touch";
const URING: &str = "second submission interface, out of sight of this table and of filters";
const SAIO: &str = "an entry may not call SAIO: no batch within a batch";
const REMOVED: &str = "not implemented on x86-64: plain ENOSYS";

const UNKNOWN: &str = "not in the table: denied by default";

/// The policy, sorted by number.
#[rustfmt::skip]
pub const TABLE: &[Rule] = &[
    inline(0,    "read",                    FILE).fd(0),
    inline(1,    "write",                   FILE).fd(0).detached(),
    inline(2,    "open",                    PATH),
    inline(3,    "close",                   FILE).fd(0),
    inline(4,    "stat",                    PATH),
    inline(5,    "fstat",                   FILE).fd(0),
    inline(6,    "lstat",                   PATH),
    inline(7,    "poll",                    EVENT),
    inline(8,    "lseek",                   FILE).fd(0),
    inline(9,    "mmap",                    MEMORY).fd(4),
    inline(10,   "mprotect",                MEMORY),
    inline(11,   "munmap",                  MEMORY),
    inline(12,   "brk",                     MEMORY),
    inline(13,   "rt_sigaction",            SIGNAL),
    inline(14,   "rt_sigprocmask",          SIGNAL),
    never(15,    "rt_sigreturn",            "rewrites the saved user registers of the call under way"),
    inline(16,   "ioctl",                   FILE).fd(0),
    inline(17,   "pread64",                 FILE).fd(0),
    inline(18,   "pwrite64",                FILE).fd(0),
    inline(19,   "readv",                   FILE).fd(0),
    inline(20,   "writev",                  FILE).fd(0).detached(),
    inline(21,   "access",                  PATH),
    inline(22,   "pipe",                    FILE),
    inline(23,   "select",                  EVENT),
    inline(24,   "sched_yield",             SYNC),
    inline(25,   "mremap",                  MEMORY),
    inline(26,   "msync",                   MEMORY),
    inline(27,   "mincore",                 MEMORY),
    inline(28,   "madvise",                 MEMORY),
    inline(29,   "shmget",                  IPC),
    inline(30,   "shmat",                   MEMORY),
    inline(31,   "shmctl",                  IPC),
    inline(32,   "dup",                     FILE).fd(0),
    inline(33,   "dup2",                    FILE).fd(0).fd(1),
    inline(34,   "pause",                   SIGNAL),
    inline(35,   "nanosleep",               TIME),
    inline(36,   "getitimer",               TIME),
    inline(37,   "alarm",                   TIME),
    inline(38,   "setitimer",               TIME),
    inline(39,   "getpid",                  GETTER),
    inline(40,   "sendfile",                FILE).fd(0).fd(1).detached(),
    inline(41,   "socket",                  SOCKET),
    inline(42,   "connect",                 SOCKET).fd(0),
    inline(43,   "accept",                  SOCKET).fd(0),
    inline(44,   "sendto",                  SOCKET).fd(0).detached(),
    inline(45,   "recvfrom",                SOCKET).fd(0),
    inline(46,   "sendmsg",                 SOCKET).fd(0).detached(),
    inline(47,   "recvmsg",                 SOCKET).fd(0),
    inline(48,   "shutdown",                SOCKET).fd(0).detached(),
    inline(49,   "bind",                    SOCKET).fd(0),
    inline(50,   "listen",                  SOCKET).fd(0),
    inline(51,   "getsockname",             SOCKET).fd(0),
    inline(52,   "getpeername",             SOCKET).fd(0),
    inline(53,   "socketpair",              SOCKET),
    inline(54,   "setsockopt",              SOCKET).fd(0).detached(),
    inline(55,   "getsockopt",              SOCKET).fd(0),
    never(56,    "clone",                   CLONE),
    never(57,    "fork",                    CLONE),
    never(58,    "vfork",                   CLONE),
    never(59,    "execve",                  EXEC),
    never(60,    "exit",                    EXIT),
    inline(61,   "wait4",                   SIGNAL),
    inline(62,   "kill",                    SIGNAL),
    inline(63,   "uname",                   GETTER),
    inline(64,   "semget",                  IPC),
    inline(65,   "semop",                   IPC),
    inline(66,   "semctl",                  IPC),
    inline(67,   "shmdt",                   MEMORY),
    inline(68,   "msgget",                  IPC),
    inline(69,   "msgsnd",                  IPC),
    inline(70,   "msgrcv",                  IPC),
    inline(71,   "msgctl",                  IPC),
    inline(72,   "fcntl",                   FILE).fd(0),
    inline(73,   "flock",                   FILE).fd(0),
    inline(74,   "fsync",                   FILE).fd(0),
    inline(75,   "fdatasync",               FILE).fd(0),
    inline(76,   "truncate",                PATH),
    inline(77,   "ftruncate",               FILE).fd(0),
    inline(78,   "getdents",                FILE).fd(0),
    inline(79,   "getcwd",                  PATH),
    inline(80,   "chdir",                   FS),
    inline(81,   "fchdir",                  FS).fd(0),
    inline(82,   "rename",                  PATH),
    inline(83,   "mkdir",                   PATH),
    inline(84,   "rmdir",                   PATH),
    inline(85,   "creat",                   PATH),
    inline(86,   "link",                    PATH),
    inline(87,   "unlink",                  PATH),
    inline(88,   "symlink",                 PATH),
    inline(89,   "readlink",                PATH),
    inline(90,   "chmod",                   PATH),
    inline(91,   "fchmod",                  FILE).fd(0),
    inline(92,   "chown",                   PATH),
    inline(93,   "fchown",                  FILE).fd(0),
    inline(94,   "lchown",                  PATH),
    inline(95,   "umask",                   FS),
    inline(96,   "gettimeofday",            TIME),
    inline(97,   "getrlimit",               GETTER),
    inline(98,   "getrusage",               GETTER),
    inline(99,   "sysinfo",                 GETTER),
    inline(100,  "times",                   TIME),
    never(101,   "ptrace",                  "stops, reads and rewrites the registers of tasks"),
    inline(102,  "getuid",                  GETTER),
    never(103,   "syslog",                  ADMIN),
    inline(104,  "getgid",                  GETTER),
    never(105,   "setuid",                  CRED),
    never(106,   "setgid",                  CRED),
    inline(107,  "geteuid",                 GETTER),
    inline(108,  "getegid",                 GETTER),
    never(109,   "setpgid",                 SESSION),
    inline(110,  "getppid",                 GETTER),
    inline(111,  "getpgrp",                 GETTER),
    never(112,   "setsid",                  SESSION),
    never(113,   "setreuid",                CRED),
    never(114,   "setregid",                CRED),
    inline(115,  "getgroups",               GETTER),
    never(116,   "setgroups",               CRED),
    never(117,   "setresuid",               CRED),
    inline(118,  "getresuid",               GETTER),
    never(119,   "setresgid",               CRED),
    inline(120,  "getresgid",               GETTER),
    inline(121,  "getpgid",                 GETTER),
    never(122,   "setfsuid",                CRED),
    never(123,   "setfsgid",                CRED),
    inline(124,  "getsid",                  GETTER),
    inline(125,  "capget",                  GETTER),
    never(126,   "capset",                  CRED),
    inline(127,  "rt_sigpending",           SIGNAL),
    inline(128,  "rt_sigtimedwait",         SIGNAL),
    inline(129,  "rt_sigqueueinfo",         SIGNAL),
    never(130,   "rt_sigsuspend",           "the temporary signal mask is all that it does"),
    never(131,   "sigaltstack",             "reads the stack pointer from the saved user registers"),
    inline(132,  "utime",                   PATH),
    inline(133,  "mknod",                   PATH),
    never(134,   "uselib",                  REMOVED),
    never(135,   "personality",             "changes the execution domain that later entries run in"),
    inline(136,  "ustat",                   PATH),
    inline(137,  "statfs",                  PATH),
    inline(138,  "fstatfs",                 FILE).fd(0),
    never(139,   "sysfs",                   "obsolete list of file system types"),
    inline(140,  "getpriority",             GETTER),
    never(141,   "setpriority",             SCHED),
    never(142,   "sched_setparam",          SCHED),
    inline(143,  "sched_getparam",          GETTER),
    never(144,   "sched_setscheduler",      SCHED),
    inline(145,  "sched_getscheduler",      GETTER),
    inline(146,  "sched_get_priority_max",  GETTER),
    inline(147,  "sched_get_priority_min",  GETTER),
    inline(148,  "sched_rr_get_interval",   GETTER),
    inline(149,  "mlock",                   MEMORY),
    inline(150,  "munlock",                 MEMORY),
    inline(151,  "mlockall",                MEMORY),
    inline(152,  "munlockall",              MEMORY),
    never(153,   "vhangup",                 ADMIN),
    never(154,   "modify_ldt",              "changes the segment descriptors that the thread runs on"),
    never(155,   "pivot_root",              MOUNT),
    never(156,   "_sysctl",                 REMOVED),
    never(157,   "prctl",                   "can change credentials, filters and the thread itself"),
    never(158,   "arch_prctl",              "changes the segment bases and CPU state of the thread"),
    never(159,   "adjtimex",                CLOCK),
    inline(160,  "setrlimit",               LIMIT),
    never(161,   "chroot",                  "locks the process into a directory: set-up, done once at start"),
    inline(162,  "sync",                    FILE),
    never(163,   "acct",                    ADMIN),
    never(164,   "settimeofday",            CLOCK),
    never(165,   "mount",                   MOUNT),
    never(166,   "umount2",                 MOUNT),
    never(167,   "swapon",                  ADMIN),
    never(168,   "swapoff",                 ADMIN),
    never(169,   "reboot",                  "can end the calling thread and the machine"),
    never(170,   "sethostname",             ADMIN),
    never(171,   "setdomainname",           ADMIN),
    never(172,   "iopl",                    IO_PORT),
    never(173,   "ioperm",                  IO_PORT),
    never(174,   "create_module",           REMOVED),
    never(175,   "init_module",             CODE),
    never(176,   "delete_module",           CODE),
    never(177,   "get_kernel_syms",         REMOVED),
    never(178,   "query_module",            REMOVED),
    never(179,   "quotactl",                ADMIN),
    never(180,   "nfsservctl",              REMOVED),
    never(181,   "getpmsg",                 REMOVED),
    never(182,   "putpmsg",                 REMOVED),
    never(183,   "afs_syscall",             REMOVED),
    never(184,   "tuxcall",                 REMOVED),
    never(185,   "security",                REMOVED),
    inline(186,  "gettid",                  GETTER),
    inline(187,  "readahead",               FILE).fd(0),
    inline(188,  "setxattr",                PATH),
    inline(189,  "lsetxattr",               PATH),
    inline(190,  "fsetxattr",               FILE).fd(0),
    inline(191,  "getxattr",                PATH),
    inline(192,  "lgetxattr",               PATH),
    inline(193,  "fgetxattr",               FILE).fd(0),
    inline(194,  "listxattr",               PATH),
    inline(195,  "llistxattr",              PATH),
    inline(196,  "flistxattr",              FILE).fd(0),
    inline(197,  "removexattr",             PATH),
    inline(198,  "lremovexattr",            PATH),
    inline(199,  "fremovexattr",            FILE).fd(0),
    inline(200,  "tkill",                   SIGNAL),
    inline(201,  "time",                    TIME),
    inline(202,  "futex",                   SYNC),
    never(203,   "sched_setaffinity",       SCHED),
    inline(204,  "sched_getaffinity",       GETTER),
    never(205,   "set_thread_area",         REMOVED),
    inline(206,  "io_setup",                AIO),
    inline(207,  "io_destroy",              AIO),
    inline(208,  "io_getevents",            AIO),
    inline(209,  "io_submit",               AIO),
    inline(210,  "io_cancel",               AIO),
    never(211,   "get_thread_area",         REMOVED),
    never(212,   "lookup_dcookie",          REMOVED),
    inline(213,  "epoll_create",            EVENT),
    never(214,   "epoll_ctl_old",           REMOVED),
    never(215,   "epoll_wait_old",          REMOVED),
    inline(216,  "remap_file_pages",        MEMORY),
    inline(217,  "getdents64",              FILE).fd(0),
    never(218,   "set_tid_address",         THREAD),
    never(219,   "restart_syscall",         "resumes a call after a signal, and an entry is never restarted"),
    inline(220,  "semtimedop",              IPC),
    inline(221,  "fadvise64",               FILE).fd(0),
    inline(222,  "timer_create",            TIME),
    inline(223,  "timer_settime",           TIME),
    inline(224,  "timer_gettime",           TIME),
    inline(225,  "timer_getoverrun",        TIME),
    inline(226,  "timer_delete",            TIME),
    never(227,   "clock_settime",           CLOCK),
    inline(228,  "clock_gettime",           TIME),
    inline(229,  "clock_getres",            TIME),
    inline(230,  "clock_nanosleep",         TIME),
    never(231,   "exit_group",              EXIT),
    inline(232,  "epoll_wait",              EVENT).fd(0),
    inline(233,  "epoll_ctl",               EVENT).fd(0).fd(2),
    inline(234,  "tgkill",                  SIGNAL),
    inline(235,  "utimes",                  PATH),
    never(236,   "vserver",                 REMOVED),
    inline(237,  "mbind",                   MEMORY),
    never(238,   "set_mempolicy",           "changes where later allocations of the thread go"),
    inline(239,  "get_mempolicy",           MEMORY),
    inline(240,  "mq_open",                 IPC),
    inline(241,  "mq_unlink",               IPC),
    inline(242,  "mq_timedsend",            IPC).fd(0),
    inline(243,  "mq_timedreceive",         IPC).fd(0),
    inline(244,  "mq_notify",               IPC).fd(0),
    inline(245,  "mq_getsetattr",           IPC).fd(0),
    never(246,   "kexec_load",              CODE),
    inline(247,  "waitid",                  SIGNAL),
    never(248,   "add_key",                 KEYS),
    never(249,   "request_key",             KEYS),
    never(250,   "keyctl",                  KEYS),
    never(251,   "ioprio_set",              SCHED),
    inline(252,  "ioprio_get",              GETTER),
    inline(253,  "inotify_init",            EVENT),
    inline(254,  "inotify_add_watch",       EVENT).fd(0),
    inline(255,  "inotify_rm_watch",        EVENT).fd(0),
    never(256,   "migrate_pages",           OTHER),
    inline(257,  "openat",                  PATH).fd(0),
    inline(258,  "mkdirat",                 PATH).fd(0),
    inline(259,  "mknodat",                 PATH).fd(0),
    inline(260,  "fchownat",                PATH).fd(0),
    inline(261,  "futimesat",               PATH).fd(0),
    inline(262,  "newfstatat",              PATH).fd(0),
    inline(263,  "unlinkat",                PATH).fd(0),
    inline(264,  "renameat",                PATH).fd(0).fd(2),
    inline(265,  "linkat",                  PATH).fd(0).fd(2),
    inline(266,  "symlinkat",               PATH).fd(1),
    inline(267,  "readlinkat",              PATH).fd(0),
    inline(268,  "fchmodat",                PATH).fd(0),
    inline(269,  "faccessat",               PATH).fd(0),
    inline(270,  "pselect6",                EVENT).mask(5),
    inline(271,  "ppoll",                   EVENT).mask(3),
    never(272,   "unshare",                 NAMESPACE),
    never(273,   "set_robust_list",         THREAD),
    never(274,   "get_robust_list",         OTHER),
    inline(275,  "splice",                  FILE).fd(0).fd(2),
    inline(276,  "tee",                     FILE).fd(0).fd(1),
    inline(277,  "sync_file_range",         FILE).fd(0),
    inline(278,  "vmsplice",                FILE).fd(0),
    never(279,   "move_pages",              OTHER),
    inline(280,  "utimensat",               PATH).fd(0),
    inline(281,  "epoll_pwait",             EVENT).fd(0).mask(4),
    inline(282,  "signalfd",                EVENT).fd(0),
    inline(283,  "timerfd_create",          EVENT),
    inline(284,  "eventfd",                 EVENT),
    inline(285,  "fallocate",               FILE).fd(0),
    inline(286,  "timerfd_settime",         EVENT).fd(0),
    inline(287,  "timerfd_gettime",         EVENT).fd(0),
    inline(288,  "accept4",                 SOCKET).fd(0),
    inline(289,  "signalfd4",               EVENT).fd(0),
    inline(290,  "eventfd2",                EVENT),
    inline(291,  "epoll_create1",           EVENT),
    inline(292,  "dup3",                    FILE).fd(0).fd(1),
    inline(293,  "pipe2",                   FILE),
    inline(294,  "inotify_init1",           EVENT),
    inline(295,  "preadv",                  FILE).fd(0),
    inline(296,  "pwritev",                 FILE).fd(0),
    inline(297,  "rt_tgsigqueueinfo",       SIGNAL),
    never(298,   "perf_event_open",         "profiles the kernel and other tasks"),
    inline(299,  "recvmmsg",                SOCKET).fd(0),
    inline(300,  "fanotify_init",           EVENT),
    inline(301,  "fanotify_mark",           EVENT).fd(0).fd(3),
    inline(302,  "prlimit64",               LIMIT),
    inline(303,  "name_to_handle_at",       PATH).fd(0),
    inline(304,  "open_by_handle_at",       PATH).fd(0),
    never(305,   "clock_adjtime",           CLOCK),
    inline(306,  "syncfs",                  FILE).fd(0),
    inline(307,  "sendmmsg",                SOCKET).fd(0),
    never(308,   "setns",                   NAMESPACE),
    inline(309,  "getcpu",                  GETTER),
    never(310,   "process_vm_readv",        OTHER),
    never(311,   "process_vm_writev",       OTHER),
    never(312,   "kcmp",                    OTHER),
    never(313,   "finit_module",            CODE),
    never(314,   "sched_setattr",           SCHED),
    inline(315,  "sched_getattr",           GETTER),
    inline(316,  "renameat2",               PATH).fd(0).fd(2),
    never(317,   "seccomp",                 "changes the filter that judges the entries around it"),
    inline(318,  "getrandom",               GETTER),
    inline(319,  "memfd_create",            FILE),
    never(320,   "kexec_file_load",         CODE),
    never(321,   "bpf",                     CODE),
    never(322,   "execveat",                EXEC),
    never(323,   "userfaultfd",             "arranges who serves page faults: set-up, done once at start"),
    inline(324,  "membarrier",              SYNC),
    inline(325,  "mlock2",                  MEMORY),
    inline(326,  "copy_file_range",         FILE).fd(0).fd(2),
    inline(327,  "preadv2",                 FILE).fd(0),
    inline(328,  "pwritev2",                FILE).fd(0),
    inline(329,  "pkey_mprotect",           MEMORY),
    never(330,   "pkey_alloc",              "changes the protection key register of the thread"),
    inline(331,  "pkey_free",               MEMORY),
    inline(332,  "statx",                   PATH).fd(0),
    inline(333,  "io_pgetevents",           AIO).mask(5),
    never(334,   "rseq",                    THREAD),
    never(335,   "uretprobe",               "rewrites the saved user registers; for a probe's trampoline only"),
    inline(424,  "pidfd_send_signal",       SIGNAL).fd(0),
    never(425,   "io_uring_setup",          URING),
    never(426,   "io_uring_enter",          URING),
    never(427,   "io_uring_register",       URING),
    never(428,   "open_tree",               MOUNT),
    never(429,   "move_mount",              MOUNT),
    never(430,   "fsopen",                  MOUNT),
    never(431,   "fsconfig",                MOUNT),
    never(432,   "fsmount",                 MOUNT),
    never(433,   "fspick",                  MOUNT),
    inline(434,  "pidfd_open",              SIGNAL),
    never(435,   "clone3",                  CLONE),
    inline(436,  "close_range",             FILE),
    inline(437,  "openat2",                 PATH).fd(0),
    never(438,   "pidfd_getfd",             "takes descriptors out of another process"),
    inline(439,  "faccessat2",              PATH).fd(0),
    never(440,   "process_madvise",         OTHER),
    inline(441,  "epoll_pwait2",            EVENT).fd(0).mask(4),
    never(442,   "mount_setattr",           MOUNT),
    never(443,   "quotactl_fd",             ADMIN),
    never(444,   "landlock_create_ruleset", SANDBOX),
    never(445,   "landlock_add_rule",       SANDBOX),
    never(446,   "landlock_restrict_self",  "changes credentials: the sandbox is part of them"),
    inline(447,  "memfd_secret",            FILE),
    never(448,   "process_mrelease",        OTHER),
    inline(449,  "futex_waitv",             SYNC),
    never(450,   "set_mempolicy_home_node", "NUMA set-up, done once at start"),
    inline(451,  "cachestat",               FILE).fd(0),
    inline(452,  "fchmodat2",               PATH).fd(0),
    never(453,   "map_shadow_stack",        "makes the shadow stack of a thread"),
    inline(454,  "futex_wake",              SYNC),
    inline(455,  "futex_wait",              SYNC),
    inline(456,  "futex_requeue",           SYNC),
    never(457,   "statmount",               MOUNT),
    never(458,   "listmount",               MOUNT),
    inline(459,  "lsm_get_self_attr",       GETTER),
    never(460,   "lsm_set_self_attr",       "changes credentials: the security label is part of them"),
    inline(461,  "lsm_list_modules",        GETTER),
    inline(462,  "mseal",                   MEMORY),
    never(1000,  "saio_setup",              SAIO),
    never(1001,  "saio_enter",              SAIO),
    never(1002,  "saio_register",           SAIO),
    never(1003,  "saio_pool",               SAIO),
];

/// What the run-time path needs of a [`Rule`]. All bits zero denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    flags: u8,
    fds: u8,
    /// Index of the mask's argument plus one, 0 if the call has none.
    sigmask: u8,
}

impl Packed {
    const ALLOWED: u8 = 1 << 0;
    const DETACHED: u8 = 1 << 1;
    const ANYWHERE: u8 = 1 << 2;

    const NEVER: Self = Self {
        flags: 0,
        fds: 0,
        sigmask: 0,
    };

    const fn of(rule: &Rule) -> Self {
        if matches!(rule.class, Class::Never) {
            return Self::NEVER;
        }
        let mut flags = Self::ALLOWED;
        if rule.detached {
            flags |= Self::DETACHED;
        }
        let sigmask = match rule.sigmask_arg {
            Some(arg) => arg + 1,
            None => {
                flags |= Self::ANYWHERE;
                0
            }
        };
        Self {
            flags,
            fds: rule.fds,
            sigmask,
        }
    }

    /// Whether an entry may name the call.
    #[inline]
    pub const fn allowed(self) -> bool {
        self.flags & Self::ALLOWED != 0
    }

    /// Whether an entry may name the call whatever its arguments are and wherever it stands.
    #[inline]
    pub const fn anywhere(self) -> bool {
        self.flags & Self::ANYWHERE != 0
    }

    /// Whether an entry of a flow may name the call.
    #[inline]
    pub const fn detached(self) -> bool {
        self.flags & Self::DETACHED != 0
    }

    /// Arguments that are file descriptors, bit n for `args[n]`.
    #[inline]
    pub const fn fd_args(self) -> u8 {
        self.fds
    }

    /// Index of the argument that is not null if the call brings a temporary signal mask; such an
    /// entry must be the last of its batch.
    #[inline]
    pub const fn sigmask_arg(self) -> Option<usize> {
        match self.sigmask {
            0 => None,
            n => Some(n as usize - 1),
        }
    }
}

/// Length of the run-time table, a power of two. All numbers from here on are denied.
pub const LOOKUP_LEN: usize = 512;

static DENSE: [Packed; LOOKUP_LEN] = {
    let mut dense = [Packed::NEVER; LOOKUP_LEN];
    let mut i = 0;
    while i < TABLE.len() {
        let rule = TABLE[i];
        if i > 0 {
            assert!(TABLE[i - 1].nr < rule.nr, "TABLE must be sorted");
        }
        if matches!(rule.class, Class::Inline) {
            dense[rule.nr as usize] = Packed::of(&rule);
        }
        i += 1;
    }
    dense
};

/// Looks up what may be done with call `nr`, in constant time; unknown numbers are denied.
///
/// Numbers may come from user space: under speculation one that is too large may be taken for
/// another one of the table, but never leads out of it.
#[inline]
pub fn lookup(nr: u16) -> Packed {
    let nr = usize::from(nr);
    if nr >= LOOKUP_LEN {
        return Packed::NEVER;
    }
    // The compiler would not mask a number of which it knows that it is below.
    DENSE[core::hint::black_box(nr) % LOOKUP_LEN]
}

fn rule(nr: u16) -> Option<&'static Rule> {
    let i = TABLE.binary_search_by_key(&nr, |rule| rule.nr).ok()?;
    TABLE.get(i)
}

/// Name of call `nr`, if the table has it. Not for hot paths.
pub fn name(nr: u16) -> Option<&'static str> {
    rule(nr).map(|rule| rule.name)
}

/// Why call `nr` is allowed or denied, as a phrase. Not for hot paths.
pub fn reason(nr: u16) -> &'static str {
    rule(nr).map_or(UNKNOWN, |rule| rule.reason)
}

#[cfg(any(test, CONFIG_SAIO_KUNIT_TEST))]
#[warn(dead_code)]
pub(crate) mod tests {
    use super::*;
    #[cfg(not(test))]
    use crate::kunit::{assert, assert_eq};

    /// Whether there is a row of that name, and `f` says so of it.
    fn row(name: &str, f: impl FnOnce(&Rule) -> bool) -> bool {
        TABLE.iter().find(|rule| rule.name == name).is_some_and(f)
    }

    #[cfg_attr(test, test)]
    pub(crate) fn rows_are_sorted_unique_and_consistent() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].nr < pair[1].nr, "{} out of order", pair[1].name);
        }
        for (i, rule) in TABLE.iter().enumerate() {
            assert!(!rule.reason.is_empty(), "{} has no reason", rule.name);
            assert!(rule.fds < 1 << 6, "{} has at most six arguments", rule.name);
            assert!(rule.sigmask_arg.unwrap_or(0) < 6);
            assert!(
                !TABLE[..i].iter().any(|other| other.name == rule.name),
                "{} twice",
                rule.name
            );
            if rule.class == Class::Never {
                assert!(rule.fds == 0 && rule.sigmask_arg.is_none() && !rule.detached);
            }
        }
    }

    #[cfg_attr(test, test)]
    pub(crate) fn dangerous_calls_are_never_allowed() {
        let groups: &[&[&str]] = &[
            // They read or rewrite the saved user registers, or do not return.
            &["fork", "vfork", "clone", "clone3", "execve", "execveat"],
            &["exit", "exit_group", "rt_sigreturn", "restart_syscall"],
            &["ptrace", "sigaltstack", "uretprobe", "reboot"],
            &["rt_sigsuspend"],
            // The thread and its CPU state.
            &["set_tid_address", "set_robust_list", "rseq", "arch_prctl"],
            &["modify_ldt", "iopl", "ioperm", "map_shadow_stack", "prctl"],
            &["pkey_alloc", "personality", "setsid", "setpgid"],
            // Credentials, keyrings, filters, namespaces.
            &["setuid", "setgid", "setreuid", "setregid", "setresuid"],
            &["setresgid", "setfsuid", "setfsgid", "setgroups", "capset"],
            &["keyctl", "add_key", "request_key", "seccomp", "setns"],
            &["unshare", "landlock_restrict_self", "lsm_set_self_attr"],
            &["chroot", "pivot_root", "mount", "umount2", "move_mount"],
            // Other submission interfaces.
            &["io_uring_setup", "io_uring_enter", "io_uring_register"],
            &["saio_setup", "saio_enter", "saio_register", "saio_pool"],
            // The machine and other processes.
            &["bpf", "perf_event_open", "userfaultfd", "pidfd_getfd"],
            &["init_module", "finit_module", "delete_module", "syslog"],
            &["kexec_load", "kexec_file_load", "swapon", "swapoff"],
            &["process_vm_readv", "process_vm_writev", "uselib"],
        ];
        for name in groups.iter().copied().flatten() {
            let never = |rule: &Rule| rule.class == Class::Never && !lookup(rule.nr).allowed();
            assert!(row(name, never), "{name}");
        }
    }

    #[cfg_attr(test, test)]
    pub(crate) fn unknown_numbers_are_denied() {
        for nr in (336..424).chain(463..1000).chain(1004..=u16::MAX) {
            assert_eq!(lookup(nr), Packed::NEVER, "{nr}");
            assert_eq!(name(nr), None, "{nr}");
            assert_eq!(reason(nr), UNKNOWN, "{nr}");
        }
    }

    #[cfg_attr(test, test)]
    pub(crate) fn lookup_agrees_with_the_table() {
        let mut rows = TABLE.iter().peekable();
        for nr in 0..=u16::MAX {
            let packed = lookup(nr);
            match rows.next_if(|rule| rule.nr == nr) {
                Some(rule) => {
                    assert_eq!(packed.allowed(), rule.class == Class::Inline, "{nr}");
                    let anywhere = packed.allowed() && rule.sigmask_arg.is_none();
                    assert_eq!(packed.anywhere(), anywhere, "{nr}");
                    assert_eq!(packed.detached(), rule.detached, "{nr}");
                    assert_eq!(packed.fd_args(), rule.fds, "{nr}");
                    let mask = rule.sigmask_arg.map(usize::from);
                    assert_eq!(packed.sigmask_arg(), mask, "{nr}");
                    assert_eq!(name(nr), Some(rule.name));
                    assert_eq!(reason(nr), rule.reason);
                }
                None => assert_eq!(packed, Packed::NEVER, "{nr}"),
            }
        }
        assert!(rows.next().is_none());
    }

    #[cfg_attr(test, test)]
    pub(crate) fn flows_take_exactly_the_write_side() {
        let expected = [
            "write",
            "writev",
            "sendfile",
            "sendto",
            "sendmsg",
            "shutdown",
            "setsockopt",
        ];
        let detached = TABLE.iter().filter(|rule| rule.detached);
        assert_eq!(detached.count(), expected.len());
        for name in expected {
            let detached = |rule: &Rule| rule.detached && rule.class == Class::Inline;
            assert!(row(name, detached), "{name}");
            assert!(
                row(name, |rule| rule.fds & 1 == 1),
                "{name}: args[0] names the flow"
            );
        }
    }

    #[cfg_attr(test, test)]
    pub(crate) fn temporary_masks_are_known() {
        let expected = [
            ("pselect6", 5),
            ("ppoll", 3),
            ("epoll_pwait", 4),
            ("io_pgetevents", 5),
            ("epoll_pwait2", 4),
        ];
        let masks = TABLE.iter().filter(|rule| rule.sigmask_arg.is_some());
        assert_eq!(masks.count(), expected.len());
        for (name, arg) in expected {
            let has = |rule: &Rule| lookup(rule.nr).sigmask_arg() == Some(arg);
            assert!(row(name, has), "{name}");
        }
    }

    /// Compares with the kernel's own list, if `SAIO_SYSCALL_TBL` names a `syscall_64.tbl`.
    #[cfg(test)]
    #[test]
    fn table_covers_the_kernel() {
        extern crate std;

        let Some(path) = std::env::var_os("SAIO_SYSCALL_TBL") else {
            std::println!("SKIP: SAIO_SYSCALL_TBL not set");
            return;
        };
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|err| panic!("SAIO_SYSCALL_TBL={path:?}: {err}"));
        // A patched kernel lists SAIO's own calls, a plain one does not.
        let ours = |name: &str| name.starts_with("saio_");
        let mut rows = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split_whitespace();
            let (Some(nr), Some(abi), Some(call)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if abi != "common" && abi != "64" {
                continue;
            }
            let nr = nr.parse().expect("a system call number");
            assert_eq!(name(nr), Some(call), "call {nr} of the kernel");
            rows += usize::from(!ours(call));
        }
        let known = TABLE.iter().filter(|rule| !ours(rule.name)).count();
        assert_eq!(known, rows, "rows that the kernel does not have");
    }
}
