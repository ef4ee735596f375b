// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the preload library and those who start it or read its counters have to agree on.

pub mod rules;

/// An enumeration whose values have names, counted from 0 without gaps.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $Enum:ident { $($(#[$doc:meta])* $Name:ident = $name:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        // As wide as what a call returns: the library passes both in the same register.
        #[repr(isize)]
        pub enum $Enum { $($(#[$doc])* $Name,)* }

        impl $Enum {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$Name),*];

            /// As in the library's counters.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Name => $name,)* }
            }

            /// The one of this name.
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named! {
    /// A kind of call that the library stands before and counts.
    pub enum Call {
        /// `write`
        Write = "write",
        /// `writev`
        Writev = "writev",
        /// `send`, `sendto`
        Send = "send",
        /// `sendmsg`, `sendmmsg`
        Sendmsg = "sendmsg",
        /// `sendfile`
        Sendfile = "sendfile",
        /// `splice`
        Splice = "splice",
        /// `setsockopt`
        Option = "setsockopt",
        /// `close`, but for the next
        Close = "close",
        /// `close` of a file that was opened for reading
        CloseFile = "close_file",
        /// `read`; only those are counted that were answered
        Read = "read",
    }
}

impl Call {
    /// A `close`, of a file that was opened for reading or of something else.
    pub const fn of_close(file: bool) -> Self {
        if file {
            Self::CloseFile
        } else {
            Self::Close
        }
    }
}

named! {
    /// Why a call went straight through.
    pub enum Why {
        /// SAIO is off in this process.
        Off = "off",
        /// Not a connection that the program accepted.
        Other = "other",
        /// The first response on its connection.
        First = "first",
        /// It is all of a response, and a crossing costs less than an entry.
        Alone = "alone",
        /// The thread runs no event loop.
        Loop = "loop",
        /// The socket is blocking.
        Blocking = "blocking",
        /// The socket was duplicated, passed on or shared by a fork.
        Shared = "shared",
        /// The kernel would not make a flow of the connection.
        Refused = "refused",
        /// The ring has as many flows as it can have.
        Slots = "slots",
        /// The flow is another thread's, or a signal handler calls.
        Thread = "thread",
        /// The flow failed, or was closed by others.
        Gone = "gone",
        /// The program shut its writing side down.
        Shutdown = "shutdown",
        /// An address was given.
        Address = "address",
        /// Control data was given.
        Control = "control",
        /// Flags that are not known to change nothing.
        Flags = "flags",
        /// No bytes, or more than are copied.
        Size = "size",
        /// More buffers than are looked at.
        Buffers = "buffers",
        /// The file does not surely have that part.
        File = "file",
        /// Another option.
        Option = "option",
        /// A call that is never queued.
        Call = "call",
        /// No memory in the arena, or too many that have not run.
        Room = "room",
        /// The flow has as many bytes as it may have in a batch.
        Bytes = "bytes",
        /// Nothing was queued that it could have run with.
        Idle = "idle",
        /// Several threads wait on one epoll set.
        Epoll = "epoll",
        /// Outside of `batch_start` and `batch_flush`, in a program that uses them.
        Region = "region",
        /// The list of programs says so.
        Listed = "listed",
    }
}

impl Why {
    /// Whether the call was one on a connection that the program accepted, as far as is known. Only those are of
    /// interest if the question is why something was not queued.
    pub const fn on_connection(self) -> bool {
        !matches!(self, Self::Off | Self::Other | Self::Idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_indices_and_names_are_unique() {
        for (i, call) in Call::ALL.iter().enumerate() {
            assert_eq!(*call as usize, i);
            assert_eq!(Call::by_name(call.name()), Some(*call));
        }
        for (i, why) in Why::ALL.iter().enumerate() {
            assert_eq!(*why as usize, i);
            assert_eq!(Why::by_name(why.name()), Some(*why));
        }
        assert_eq!(Call::by_name("recv"), None);
    }
}
