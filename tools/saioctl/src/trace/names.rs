// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of flags and options, as their man pages have them.

/// Pairs of value and name.
type Names = &'static [(u64, &'static str)];

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name as u64, stringify!($name)),)*] };
}

const MSG: Names = names![
    MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_TRUNC MSG_DONTWAIT MSG_EOR MSG_WAITALL MSG_CONFIRM MSG_ERRQUEUE MSG_NOSIGNAL
    MSG_MORE MSG_FASTOPEN MSG_CMSG_CLOEXEC
];

// Those that have others in them come first.
const OPEN: Names = names![
    O_WRONLY O_RDWR O_TMPFILE O_SYNC O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_DSYNC O_ASYNC O_DIRECT
    O_DIRECTORY O_NOFOLLOW O_NOATIME O_CLOEXEC O_PATH
];

const SOCK: Names = names![SOCK_NONBLOCK SOCK_CLOEXEC];

const SHUT: Names = names![SHUT_RD SHUT_WR SHUT_RDWR];

const EPOLL: Names = names![EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD];

const LEVEL: Names = names![IPPROTO_IP SOL_SOCKET IPPROTO_TCP IPPROTO_IPV6 SOL_TLS];

const SOCKET_OPTION: Names = names![
    SO_REUSEADDR SO_ERROR SO_SNDBUF SO_RCVBUF SO_KEEPALIVE SO_PRIORITY SO_LINGER SO_REUSEPORT SO_RCVTIMEO SO_SNDTIMEO
    SO_ZEROCOPY SO_INCOMING_CPU
];

const TCP_OPTION: Names = names![
    TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_LINGER2 TCP_DEFER_ACCEPT TCP_INFO
    TCP_QUICKACK TCP_CONGESTION TCP_USER_TIMEOUT TCP_FASTOPEN TCP_NOTSENT_LOWAT TCP_REPAIR TCP_ULP
];

/// `MSG_*` bits.
pub fn message_flags(value: u64) -> String {
    bits(value, MSG)
}

/// `O_*` bits with the access mode.
pub fn open_flags(value: u64) -> String {
    match value & libc::O_ACCMODE as u64 {
        0 if value == 0 => "O_RDONLY".to_owned(),
        0 => format!("O_RDONLY|{}", bits(value, OPEN)),
        _ => bits(value, OPEN),
    }
}

/// `SOCK_*` bits.
pub fn socket_flags(value: u64) -> String {
    bits(value, SOCK)
}

/// What `shutdown` ends.
pub fn shutdown_how(value: u64) -> String {
    one(value, SHUT)
}

/// What `epoll_ctl` does.
pub fn epoll_operation(value: u64) -> String {
    one(value, EPOLL)
}

/// Level of a socket option.
pub fn option_level(value: u64) -> String {
    one(value, LEVEL)
}

/// A socket option of a level.
pub fn option_name(level: u64, value: u64) -> String {
    match level as i32 {
        libc::SOL_SOCKET => one(value, SOCKET_OPTION),
        libc::IPPROTO_TCP => one(value, TCP_OPTION),
        _ => value.to_string(),
    }
}

fn one(value: u64, names: Names) -> String {
    let known = names.iter().find(|&&(known, _)| known == value);
    known.map_or_else(|| value.to_string(), |&(_, name)| name.to_owned())
}

fn bits(value: u64, names: Names) -> String {
    if value == 0 {
        return "0".to_owned();
    }
    let mut rest = value;
    let mut text = Vec::new();
    for &(bit, name) in names {
        if rest & bit == bit {
            text.push(name.to_owned());
            rest &= !bit;
        }
    }
    if rest != 0 {
        text.push(format!("{rest:#x}"));
    }
    text.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_names() {
        assert_eq!(message_flags(0), "0");
        assert_eq!(message_flags(0x40), "MSG_DONTWAIT");
        assert_eq!(
            message_flags(0x8000_c000),
            "MSG_NOSIGNAL|MSG_MORE|0x80000000"
        );
        assert_eq!(socket_flags(0o2_004_000), "SOCK_NONBLOCK|SOCK_CLOEXEC");
    }

    #[test]
    fn access_modes() {
        assert_eq!(open_flags(0), "O_RDONLY");
        assert_eq!(open_flags(0o2_000_000), "O_RDONLY|O_CLOEXEC");
        assert_eq!(open_flags(0o1101), "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(open_flags(0o4_010_002), "O_RDWR|O_SYNC");
    }

    #[test]
    fn options_depend_on_the_level() {
        assert_eq!(option_level(6), "IPPROTO_TCP");
        assert_eq!(option_name(6, 3), "TCP_CORK");
        assert_eq!(option_name(1, 13), "SO_LINGER");
        assert_eq!(option_name(41, 3), "3");
        assert_eq!(option_level(99), "99");
        assert_eq!(shutdown_how(1), "SHUT_WR");
        assert_eq!(epoll_operation(3), "EPOLL_CTL_MOD");
    }
}
