// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a file is opened, read and closed in one crossing; what was read comes back with the
//! completion.

use saio::queue::{Call, Entry, Fd, Output};

use super::queue;

pub fn run() {
    let mut queue = queue();
    let path = c"/proc/self/comm".to_owned();
    let open = Call::open(Fd::current_dir(), path, libc::O_RDONLY, 0);
    let read = Call::read(Fd::result(1), Vec::with_capacity(64));
    queue.push(open, Entry::new(1).link()).expect("room");
    queue.push(read, Entry::new(2).hard_link()).expect("room");
    queue.push(Call::close_result(2), 3).expect("room");
    assert_eq!(queue.submit().expect("no signal comes"), 3);
    let done: Vec<_> = queue.completions().collect();
    assert_eq!(done.len(), 3);
    assert!(matches!(&done[1].output, Output::Bytes(bytes) if bytes.ends_with(b"\n")));
    assert!(done[2].result.is_ok());
}
