// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the reasons mean, and what follows.

use saio::preload::Why;

/// In a few words, for a cell of a table.
pub fn short(why: Why) -> &'static str {
    match why {
        Why::Off => "SAIO is off",
        Why::Other => "no connection",
        Why::First => "not a flow yet",
        Why::Alone => "stands alone",
        Why::Loop => "no event loop",
        Why::Blocking => "blocking socket",
        Why::Shared => "shared socket",
        Why::Refused => "refused",
        Why::Slots => "too many flows",
        Why::Thread => "other thread's",
        Why::Gone => "flow gone",
        Why::Shutdown => "shut down",
        Why::Address => "address given",
        Why::Control => "control data",
        Why::Flags => "flags",
        Why::Size => "size",
        Why::Buffers => "many buffers",
        Why::File => "file not known",
        Why::Option => "other option",
        Why::Call => "never queued",
        Why::Room => "no room",
        Why::Bytes => "many bytes",
        Why::Idle => "nothing queued",
        Why::Epoll => "shared epoll set",
        Why::Region => "outside region",
        Why::Listed => "by rule",
    }
}

/// What it means and, behind a semicolon, what follows.
pub fn long(why: Why) -> &'static str {
    match why {
        Why::Off => "SAIO is off in the process; by --mode off, a rule, or as no ring could be made, which saioctl doctor explains",
        Why::Other => "not on a connection that the program accepted: files, pipes, Unix and datagram sockets, connections that it made; nothing may be promised for them",
        Why::First => "the first response on its connection, which becomes a flow with the second; short connections cost nothing that way",
        Why::Alone => "the response is this one write, and a kernel crossing costs less here than to queue it; SAIO_ALONE=queue has it queued nevertheless, a pool may take it",
        Why::Loop => "the thread has not waited for events by epoll; nobody would flush what it queues",
        Why::Blocking => "the socket is blocking, so the call may have to wait; servers set O_NONBLOCK",
        Why::Shared => "the socket was duplicated, sent to another process or shared by a fork; whoever else writes to it must not be overtaken",
        Why::Refused => "the kernel made no flow of it: not TCP over IPv4 or IPv6, or not connected any more; nothing to do",
        Why::Slots => "the thread has 1024 flows already; more worker processes or threads have more",
        Why::Thread => "the connection belongs to another thread's loop, or a signal handler wrote; a connection should stay with one thread",
        Why::Gone => "the connection was reset, or closed by somebody else; the program learns of it by the call",
        Why::Shutdown => "after shutdown; its answer has to be that of the kernel",
        Why::Address => "an address was given, which a TCP connection has no use for; send it without",
        Why::Control => "control data was given, which may be descriptors; only bytes are copied",
        Why::Flags => "flags other than MSG_NOSIGNAL, MSG_DONTWAIT and MSG_MORE; they change what the call does",
        Why::Size => "no bytes, or more than 16 KiB (sendfile: 64 KiB); copying them would cost what a crossing costs: nothing to gain",
        Why::Buffers => "more than 64 buffers; nothing to gain",
        Why::File => "sendfile without an offset, or of a file that was not opened read-only or not shown by fstat to reach that far; it might come out short",
        Why::Option => "an option other than TCP_CORK and TCP_NODELAY; its answer has to be that of the kernel",
        Why::Call => "sendmmsg and splice are never queued",
        Why::Room => "memory of the ring was used up, by peers that read slowly or a pool that lags behind; more workers for the pool may help",
        Why::Bytes => "the pool has not got through 128 KiB of the connection; nothing to gain",
        Why::Idle => "closed while nothing was queued that it could have run with; nothing to gain",
        Why::Epoll => "several threads wait on one epoll set, and another one might get events for a number that is closed; a set for each thread",
        Why::Region => "outside of batch_start and batch_flush, which this program uses; without them all would be collected",
        Why::Listed => "a rule says so",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_its_words() {
        let short: BTreeSet<_> = Why::ALL.iter().map(|why| short(*why)).collect();
        let long: BTreeSet<_> = Why::ALL.iter().map(|why| long(*why)).collect();
        assert_eq!((short.len(), long.len()), (Why::ALL.len(), Why::ALL.len()));
        assert!(short.iter().all(|words| words.len() <= 16));
    }
}
