// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a case can do. Plain data: nothing here depends on the machine that runs it.

/// An argument of a call, to be filled in where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// This number.
    Num(u64),
    /// The descriptor in this slot.
    Fd(u8),
    /// A flow reference, changed by `twist`, over the number of a descriptor.
    Flow {
        /// Slot of the flow.
        flow: u8,
        /// Bits of the reference to flip.
        twist: u32,
        /// Slot of the descriptor.
        fd: u8,
    },
    /// This offset in the yard, see [`crate::yard`].
    Yard(u32),
    /// This offset in the mapping of a ring.
    Ring {
        /// Slot of the ring.
        ring: u8,
        /// Bytes from the start of the mapping.
        offset: u32,
    },
    /// A process.
    Pid(Who),
}

/// A process that a case knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The caller.
    Me,
    /// The calling thread.
    MyThread,
    /// The parent of the caller.
    Parent,
    /// The child that was forked last.
    Child,
}

/// A call, made at once or named by an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Number.
    pub nr: u16,
    /// Arguments.
    pub args: [Arg; 6],
}

/// An entry of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number and arguments.
    pub call: Call,
    /// `SAIO_SQE_*`.
    pub flags: u16,
    /// Control word.
    pub ctl: u32,
}

/// A value for one of the shared indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// The right one.
    Right,
    /// Off by so many.
    Off(i32),
    /// Any other.
    Raw(u32),
}

/// The argument structure of `saio_enter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnterArg {
    /// None.
    None,
    /// Timeout in nanoseconds, the reserved word, the size that is claimed.
    Given(u64, u64, u64),
    /// Any pointer and size.
    Wild(Arg, u64),
}

/// What a peer of a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Reads at most so many bytes.
    Read(u32),
    /// Reads all there is.
    Drain,
    /// Writes so many bytes.
    Write(u32),
    /// Closes.
    Close,
    /// Resets the connection.
    Reset,
    /// Shuts down: 0, 1 or 2.
    Shutdown(u8),
}

/// A connection to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its number, which names the slots of both ends.
    pub pair: u8,
    /// What kind of socket.
    pub kind: SocketKind,
    /// Send buffer of our end in bytes, 0: the default.
    pub sndbuf: u32,
    /// Receive buffer of the peer in bytes, 0: the default.
    pub rcvbuf: u32,
    /// Whether our end is non-blocking, as flows want it.
    pub nonblocking: bool,
}

/// Kinds of sockets; only the first two can become flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// A pair of Unix stream sockets.
    Unix,
    /// Multipath TCP.
    Mptcp,
    /// UDP.
    Udp,
    /// TCP that is not connected.
    Unconnected,
}

/// Kinds of files that are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// On the tmpfs of the case, of so many bytes.
    Tmp(u32),
    /// A memory file of so many bytes.
    Memory(u32),
    /// A file of the read-only root: one of a few.
    Root(u8),
    /// A pipe; its other end goes to the slot behind.
    Pipe,
    /// An epoll set.
    Epoll,
    /// An event counter.
    Event,
    /// A timer.
    Timer,
    /// A pair of Unix sockets; the other one goes to the slot behind.
    UnixPair,
    /// `/dev/zero`.
    Zero,
}

/// What a seccomp filter does to one call; everything else is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Number.
    pub nr: u16,
    /// Only if the low half of this argument is this value.
    pub arg: Option<(u8, u32)>,
    /// `SECCOMP_RET_*`.
    pub action: u32,
}

/// How credentials change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// To a user without capabilities.
    Nobody(u32),
    /// The calling thread alone.
    ThreadOnly(u32),
    /// All supplementary groups go, this one comes.
    Group(u32),
    /// The capabilities go.
    NoCaps,
    /// A memory lock limit of so many bytes.
    MemLock(u32),
}

/// What is done with the attributes of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolCall {
    /// `SAIO_POOL_*`.
    pub cmd: u32,
    /// Its name: one of a few, or one that is wrong.
    pub name: u8,
    /// For `SAIO_POOL_NEXT`.
    pub id: u32,
    /// Bits of what is set.
    pub set: u32,
    /// `SAIO_POOL_FORCE`, or nonsense.
    pub flags: u32,
    /// Threads that run at a time.
    pub workers: u32,
    /// Threads in all.
    pub max: u32,
    /// Group.
    pub gid: u32,
    /// Nanoseconds.
    pub idle: u64,
    /// Mask of CPUs.
    pub cpus: u64,
    /// Bytes of it.
    pub cpus_len: u32,
    /// The reserved words.
    pub resv: u64,
    /// The size that is claimed.
    pub size: u64,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// `saio_setup` and mmap: flags, sq, cq, flows, arena, limit; then features, and a size.
    Setup {
        /// Slot.
        ring: u8,
        /// The first seven words of the parameters.
        words: [u32; 7],
        /// The size that is claimed.
        size: u64,
        /// Whether the structure is where the answer cannot be stored.
        read_only: bool,
    },
    /// Maps a ring again, or a part of it.
    Map {
        /// Slot.
        ring: u8,
        /// Bytes; 0: as it should be.
        length: u64,
        /// Byte offset.
        offset: u64,
    },
    /// Unmaps pages of a ring.
    Unmap {
        /// Slot.
        ring: u8,
        /// The first page.
        page: u16,
        /// How many.
        pages: u16,
    },
    /// Fills the next slot of the queue.
    Put {
        /// Slot.
        ring: u8,
        /// What with.
        entry: Entry,
    },
    /// Stores the tail.
    Publish {
        /// Slot.
        ring: u8,
        /// What.
        tail: Index,
    },
    /// `saio_enter`.
    Enter {
        /// Slot.
        ring: u8,
        /// How many entries at most.
        submit: u32,
        /// How many completions to wait for.
        complete: u32,
        /// Flags.
        flags: u32,
        /// The optional argument.
        arg: EnterArg,
    },
    /// `saio_enter` if the flag in the mapping asks for it, as libraries do.
    Wake(u8),
    /// Takes completions and stores the head.
    Reap {
        /// Slot.
        ring: u8,
        /// What is stored.
        head: Index,
    },
    /// Overwrites a word of the mapping.
    Scribble {
        /// Slot.
        ring: u8,
        /// Byte offset, taken modulo the size.
        offset: u32,
        /// What.
        value: u32,
    },
    /// Makes a flow of a descriptor.
    Register {
        /// Slot of the ring.
        ring: u8,
        /// Slot of the descriptor.
        fd: u8,
        /// Slot of the flow.
        flow: u8,
        /// Whether the structure is where the answer cannot be stored.
        read_only: bool,
    },
    /// Gives a flow up.
    Unregister {
        /// Slot of the ring.
        ring: u8,
        /// Slot of the flow.
        flow: u8,
        /// Bits of the reference to flip.
        twist: u32,
    },
    /// `saio_register` of anything.
    RegisterRaw {
        /// Slot of the ring.
        ring: u8,
        /// Which operation.
        op: u32,
        /// What the structure holds.
        words: [u32; 4],
        /// The size that is claimed.
        size: u64,
    },
    /// Attaches a ring to a pool.
    Attach {
        /// Slot of the ring.
        ring: u8,
        /// Name of the pool.
        name: u8,
        /// `SAIO_MODE_*`.
        mode: u32,
    },
    /// `saio_pool`.
    Pool(PoolCall),
    /// Makes a connection.
    Connect(Connection),
    /// The peer of a connection does something.
    Peer {
        /// Number of the connection.
        pair: u8,
        /// What.
        what: Peer,
    },
    /// Makes our end of a connection blocking or non-blocking.
    Blocking {
        /// Number of the connection.
        pair: u8,
        /// Which.
        on: bool,
    },
    /// Opens a file.
    Open {
        /// Slot.
        fd: u8,
        /// What kind.
        kind: FileKind,
    },
    /// A call, made directly.
    Direct(Call),
    /// Closes the descriptor of a slot.
    Close(u8),
    /// Duplicates a descriptor onto another one's number.
    Dup {
        /// Slot of the source.
        from: u8,
        /// Slot of the target.
        onto: u8,
    },
    /// Sends a descriptor to ourselves over a Unix socket and takes it, or leaves it there.
    Pass {
        /// Slot of the descriptor.
        fd: u8,
        /// Whether it is received.
        take: bool,
    },
    /// Reads what /proc tells of a ring.
    Fdinfo(u8),
    /// Forks.
    Fork {
        /// What the child does.
        ops: Vec<Op>,
        /// Whether the parent waits for it.
        wait: bool,
    },
    /// Starts a thread.
    Thread {
        /// What it does.
        ops: Vec<Op>,
        /// How often.
        times: u32,
    },
    /// Executes this program anew, which enters all descriptors that it finds.
    Exec,
    /// Ends the process.
    Exit,
    /// Sends a signal to a process.
    Kill {
        /// Which one.
        who: Who,
        /// Number.
        signal: u8,
    },
    /// A timer sends signals again and again; 0 stops it.
    Storm {
        /// Microseconds between them.
        period: u32,
    },
    /// Installs a seccomp filter.
    Filter(Filter),
    /// Changes credentials.
    User(User),
    /// Does something while an allocation fails.
    Fail {
        /// Which allocation of it.
        nth: u8,
        /// What is done.
        op: Box<Op>,
    },
    /// Sleeps.
    Sleep {
        /// Microseconds.
        us: u32,
    },
}
