// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls as text: name, arguments, result.

use nix::errno::Errno;
use saio::flow::FlowRef;
use saio_logic::policy;

use super::names;

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A descriptor, or `AT_FDCWD`.
    Fd,
    /// An address; of an entry of a flow, an offset in the arena.
    Address,
    /// An address; of an entry of a flow, the position itself.
    Position,
    /// A size or count.
    Size,
    /// A signed number of 32 bits.
    Int,
    /// `MSG_*`.
    Message,
    /// `O_*`.
    Open,
    /// Permission bits.
    Mode,
    /// `SOCK_*`.
    Socket,
    /// `SHUT_*`.
    How,
    /// Level of a socket option.
    Level,
    /// Socket option of the level in `args[1]`.
    OptionName,
    /// `EPOLL_CTL_*`.
    Operation,
    /// Anything else.
    Hex,
}

use Kind::*;

/// The calls that servers make again and again; of others only descriptors are known.
#[rustfmt::skip]
const CALLS: &[(&str, &[Kind])] = &[
    ("read",        &[Fd, Address, Size]),
    ("write",       &[Fd, Address, Size]),
    ("pread64",     &[Fd, Address, Size, Size]),
    ("pwrite64",    &[Fd, Address, Size, Size]),
    ("readv",       &[Fd, Address, Size]),
    ("writev",      &[Fd, Address, Size]),
    ("sendfile",    &[Fd, Fd, Position, Size]),
    ("sendto",      &[Fd, Address, Size, Message, Address, Size]),
    ("recvfrom",    &[Fd, Address, Size, Message, Address, Address]),
    ("sendmsg",     &[Fd, Address, Message]),
    ("recvmsg",     &[Fd, Address, Message]),
    ("accept4",     &[Fd, Address, Address, Socket]),
    ("shutdown",    &[Fd, How]),
    ("setsockopt",  &[Fd, Level, OptionName, Address, Size]),
    ("getsockopt",  &[Fd, Level, OptionName, Address, Address]),
    ("epoll_ctl",   &[Fd, Operation, Fd, Address]),
    ("epoll_wait",  &[Fd, Address, Int, Int]),
    ("epoll_pwait", &[Fd, Address, Int, Int, Address, Size]),
    ("epoll_pwait2", &[Fd, Address, Int, Address, Address, Size]),
    ("open",        &[Address, Open, Mode]),
    ("openat",      &[Fd, Address, Open, Mode]),
    ("fcntl",       &[Fd, Int, Hex]),
    ("ioctl",       &[Fd, Hex, Hex]),
];

/// Name of a call.
pub fn name(nr: u16) -> String {
    policy::name(nr).map_or_else(|| format!("syscall_{nr}"), str::to_owned)
}

/// The call as a line of C.
pub fn text(nr: u16, flow: Option<FlowRef>, args: &[u64; 6]) -> String {
    let name = name(nr);
    let kinds = kinds(nr, &name, args);
    let args: Vec<String> = kinds
        .iter()
        .take(shown(&name, kinds.len(), flow, args))
        .enumerate()
        .map(|(index, &kind)| match flow {
            Some(flow) if index == 0 => format!("{} flow {}", args[0] as i32, flow.index()),
            flow => argument(kind, args[index], args[1], flow.is_some()),
        })
        .collect();
    format!("{name}({})", args.join(", "))
}

/// A call whose arguments are not known.
pub fn unknown(nr: u16, flow: Option<FlowRef>) -> String {
    match flow {
        Some(flow) => format!("{}(? flow {})", name(nr), flow.index()),
        None => format!("{}(?)", name(nr)),
    }
}

/// The result as strace has it.
pub fn result(value: i64) -> String {
    match errno(value) {
        Some(errno) => format!("-1 {} ({})", errno_name(value), errno.desc()),
        None => value.to_string(),
    }
}

/// Name of the error that a result stands for.
pub fn error(value: i64) -> Option<String> {
    errno(value).map(|_| errno_name(value))
}

fn errno(value: i64) -> Option<Errno> {
    let is_error = (-4095..0).contains(&value);
    is_error.then(|| Errno::from_raw(-value as i32))
}

fn errno_name(value: i64) -> String {
    match Errno::from_raw(-value as i32) {
        Errno::UnknownErrno => format!("errno {}", -value),
        errno => format!("{errno:?}"),
    }
}

/// What the arguments are. Of a call that is not listed, as many as are not zero or are descriptors.
fn kinds(nr: u16, name: &str, args: &[u64; 6]) -> Vec<Kind> {
    if let Some((_, kinds)) = CALLS.iter().find(|(known, _)| *known == name) {
        return kinds.to_vec();
    }
    let fds = policy::lookup(nr).fd_args();
    let is_fd = |index: usize| fds >> index & 1 == 1;
    let last = (0..args.len()).rfind(|&index| args[index] != 0 || is_fd(index));
    (0..last.map_or(0, |last| last + 1))
        .map(|index| if is_fd(index) { Fd } else { Hex })
        .collect()
}

/// How many of the arguments say something.
fn shown(name: &str, all: usize, flow: Option<FlowRef>, args: &[u64; 6]) -> usize {
    let creates =
        |flags: u64| flags as i32 & (libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY) != 0;
    match name {
        // A flow is connected.
        "sendto" if flow.is_some() => 4,
        "open" if !creates(args[1]) => 2,
        "openat" if !creates(args[2]) => 3,
        _ => all,
    }
}

fn argument(kind: Kind, value: u64, level: u64, on_flow: bool) -> String {
    match kind {
        Fd if value as i32 == libc::AT_FDCWD => "AT_FDCWD".to_owned(),
        Fd | Int => (value as i32).to_string(),
        Address if on_flow => format!("arena+{value:#x}"),
        Position if on_flow => value.to_string(),
        Address | Position if value == 0 => "NULL".to_owned(),
        Address | Position | Hex => format!("{value:#x}"),
        Size => value.to_string(),
        Message => names::message_flags(value),
        Open => names::open_flags(value),
        Mode => format!("{value:#05o}").replacen("0o", "0", 1),
        Socket => names::socket_flags(value),
        How => names::shutdown_how(value),
        Level => names::option_level(value),
        OptionName => names::option_name(level, value),
        Operation => names::epoll_operation(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: Option<FlowRef> = Some(FlowRef::from_raw(0x10002));

    fn plain(name: &str, args: [u64; 6]) -> String {
        let rule = policy::TABLE.iter().find(|rule| rule.name == name);
        text(rule.unwrap().nr, None, &args)
    }

    fn on_flow(name: &str, args: [u64; 6]) -> String {
        let rule = policy::TABLE.iter().find(|rule| rule.name == name);
        text(rule.unwrap().nr, FLOW, &args)
    }

    #[test]
    fn table_names_calls_that_there_are() {
        for (name, _) in CALLS {
            assert!(
                policy::TABLE.iter().any(|rule| rule.name == *name),
                "{name}"
            );
        }
    }

    #[test]
    fn entries_of_flows() {
        let fd = 0x10002 << 32 | 5;
        assert_eq!(
            on_flow("sendto", [fd, 0x200, 238, 0x40, 0, 0]),
            "sendto(5 flow 2, arena+0x200, 238, MSG_DONTWAIT)"
        );
        assert_eq!(
            on_flow("sendfile", [fd, 9, 4096, 1024, 0, 0]),
            "sendfile(5 flow 2, 9, 4096, 1024)"
        );
        assert_eq!(
            on_flow("setsockopt", [fd, 6, 3, 0x10, 4, 0]),
            "setsockopt(5 flow 2, IPPROTO_TCP, TCP_CORK, arena+0x10, 4)"
        );
        assert_eq!(
            on_flow("write", [fd, 0, 7, 0, 0, 0]),
            "write(5 flow 2, arena+0x0, 7)"
        );
        assert_eq!(
            on_flow("shutdown", [5, 1, 0, 0, 0, 0]),
            "shutdown(5 flow 2, SHUT_WR)"
        );
    }

    #[test]
    fn ordinary_entries() {
        assert_eq!(plain("close", [5, 0, 0, 0, 0, 0]), "close(5)");
        assert_eq!(
            plain("openat", [(-100_i64) as u64, 0x7f00, 0o2_000_000, 0, 0, 0]),
            "openat(AT_FDCWD, 0x7f00, O_RDONLY|O_CLOEXEC)"
        );
        assert_eq!(
            plain("openat", [3, 0x7f00, 0o101, 0o644, 0, 0]),
            "openat(3, 0x7f00, O_WRONLY|O_CREAT, 0644)"
        );
        assert_eq!(
            plain("epoll_wait", [8, 0x7f00, 512, 0xffff_ffff, 0, 0]),
            "epoll_wait(8, 0x7f00, 512, -1)"
        );
        assert_eq!(
            plain("sendfile", [5, 9, 0, 10, 0, 0]),
            "sendfile(5, 9, NULL, 10)"
        );
        assert_eq!(plain("getppid", [0; 6]), "getppid()");
        assert_eq!(
            plain("mkdir", [0x7f00, 0o755, 0, 0, 0, 0]),
            "mkdir(0x7f00, 0x1ed)"
        );
        assert_eq!(plain("dup2", [5, 0, 0, 0, 0, 0]), "dup2(5, 0)");
        assert_eq!(text(999, None, &[1, 0, 0, 0, 0, 0]), "syscall_999(0x1)");
    }

    #[test]
    fn results() {
        assert_eq!(result(238), "238");
        assert_eq!(result(-11), "-1 EAGAIN (Try again)");
        assert_eq!(result(-4000), "-1 errno 4000 (Unknown errno)");
        assert_eq!(result(i64::MIN), i64::MIN.to_string());
        assert_eq!(error(-32).as_deref(), Some("EPIPE"));
        assert_eq!(error(0), None);
        assert_eq!(unknown(44, FLOW), "sendto(? flow 2)");
        assert_eq!(unknown(3, None), "close(?)");
    }
}
