// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ordinary calls: memory, descriptors, chains.

use std::ffi::CString;
use std::fs;

use super::*;

#[test]
fn file_is_read_in_one_batch() {
    let (mut queue, kernel) = real_calls();
    let path = std::env::temp_dir().join(format!("saio-queue-{}", std::process::id()));
    fs::write(&path, b"content").unwrap();
    let name = CString::new(path.to_str().unwrap()).unwrap();

    let open = Call::open(Fd::current_dir(), name, libc::O_RDONLY, 0);
    queue.push(open, Entry::new(1).link()).unwrap();
    let stat = Call::stat(Fd::result(1));
    queue.push(stat, Entry::new(2).hard_link()).unwrap();
    let mut buffer = Vec::with_capacity(100);
    buffer.extend_from_slice(b"the ");
    let read = Call::read(Fd::result(2), buffer);
    queue.push(read, Entry::new(3).hard_link()).unwrap();
    let close = Call::close_result(3);
    queue.push(close, Entry::new(4).quiet()).unwrap();
    assert_eq!(queue.submit().unwrap(), 4);

    let done: Vec<_> = queue.completions().collect();
    fs::remove_file(&path).unwrap();
    assert_eq!(done.len(), 3);
    assert!(done[0].result.is_ok());
    assert!(matches!(done[0].output, Output::None));
    assert!(matches!(&done[1].output, Output::Stat(stat) if stat.st_size == 7));
    assert!(matches!(&done[2].output, Output::Bytes(bytes) if bytes == b"the content"));
    assert_eq!(done[2].result.as_ref().unwrap(), &7);
    assert_eq!(kernel.ran()[3].nr, libc::SYS_close as u16);
}

#[test]
fn what_is_opened_belongs_to_the_program() {
    let (mut queue, _kernel) = real_calls();
    let null = CString::new("/dev/null").unwrap();
    let open = |flags| Call::open(Fd::current_dir(), null.clone(), flags, 0);
    queue.push(open(libc::O_WRONLY), 1).unwrap();
    queue.submit().unwrap();
    let Output::Fd(fd) = queue.next_completion().unwrap().output else {
        panic!("no descriptor");
    };
    let file = Rc::new(File::from(fd));
    queue.push(Call::write(&file, b"abc".to_vec()), 2).unwrap();
    assert_eq!(Rc::strong_count(&file), 2);
    queue.submit().unwrap();
    let wrote = queue.next_completion().unwrap();
    assert_eq!(wrote.result.unwrap(), 3);
    assert!(matches!(wrote.output, Output::Bytes(bytes) if bytes == b"abc"));
    let file = Rc::into_inner(file).unwrap();
    let number = file.as_raw_fd();
    queue.push(Call::close(file.into()), 3).unwrap();
    assert!(is_open(number));
    queue.submit().unwrap();
    assert_eq!(done(&mut queue), [(3, Ok(0))]);
}

/// Whether a number of this process is in use. Only to be asked where it surely is: other tests
/// open files meanwhile.
fn is_open(fd: c_int) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// A pipe whose other end shows if one end was closed.
fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: new descriptors, into an array of two.
    unsafe {
        assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    }
}

/// Whether nobody has the write end of a pipe any more.
fn hung_up(pipe: &OwnedFd) -> bool {
    let mut poll = libc::pollfd {
        fd: pipe.as_raw_fd(),
        events: 0,
        revents: 0,
    };
    // SAFETY: one structure of ours.
    assert!(unsafe { libc::poll(&mut poll, 1, 0) } >= 0);
    poll.revents & libc::POLLHUP != 0
}

/// A call that opens the write end of a pipe again, by its name in /proc.
fn reopen(end: &OwnedFd) -> Call {
    let name = CString::new(format!("/proc/self/fd/{}", end.as_raw_fd())).unwrap();
    Call::open(Fd::current_dir(), name, libc::O_WRONLY, 0)
}

#[test]
fn broken_chain_closes_what_it_opened() {
    let (mut queue, _kernel) = real_calls();
    let (read, write) = pipe();
    queue.push(reopen(&write), Entry::new(1).link()).unwrap();
    let fails = Call::read(Fd::result(1), Vec::with_capacity(8));
    queue.push(fails, Entry::new(2).link()).unwrap();
    queue.push(Call::close_result(2), 3).unwrap();
    queue.submit().unwrap();
    drop(write);
    assert!(!hung_up(&read));
    let done = done(&mut queue);
    assert!(matches!(done[0], (1, Ok(_))));
    assert_eq!(
        done[1..],
        [(2, Err(libc::EBADF)), (3, Err(libc::ECANCELED))]
    );
    assert!(hung_up(&read));
}

#[test]
fn results_that_are_no_descriptors_are_refused() {
    let (mut queue, _kernel) = real_calls();
    let flow = register(&mut queue);
    let null = || {
        let path = CString::new("/dev/null").unwrap();
        Call::open(Fd::current_dir(), path, libc::O_RDONLY, 0)
    };
    let refused = |queue: &mut Queue, back| {
        let refused = queue.push(Call::stat(Fd::result(back)), 9).unwrap_err();
        assert_eq!(
            refused.error.raw_os_error(),
            Some(libc::EINVAL),
            "{refused}"
        );
    };
    // Nothing before it.
    refused(&mut queue, 1);
    // Not linked.
    queue.push(null(), 1).unwrap();
    refused(&mut queue, 1);
    // Not a call that opens, too far back, no place at all.
    queue.push(null(), Entry::new(2).link()).unwrap();
    let stat = Call::stat(Fd::result(1));
    queue.push(stat, Entry::new(3).link()).unwrap();
    for back in [0, 1, 3, 9, 255] {
        refused(&mut queue, back);
        let sent = queue.send_file(flow, Fd::result(back), 0, 1, 9);
        assert_eq!(errno(sent), libc::EINVAL);
    }
    // Closed by the chain before.
    let close = Call::close_result(2);
    queue.push(close, Entry::new(4).link()).unwrap();
    refused(&mut queue, 3);
    // A chain ends with the batch.
    queue.push(null(), Entry::new(5).link()).unwrap();
    queue.submit().unwrap();
    refused(&mut queue, 1);
    let opened = queue
        .completions()
        .filter(|d| matches!(d.output, Output::Fd(_)));
    assert_eq!(opened.map(|d| d.tag).collect::<Vec<_>>(), [1, 5]);
}

#[test]
fn refused_call_gives_its_memory_back() {
    let (mut queue, _kernel) = fake();
    let file = Rc::new(File::open("/dev/null").unwrap());
    for i in 0..ENTRIES {
        queue.push(Call::sync(&file), u64::from(i)).unwrap();
    }
    let call = Call::write(&file, b"mine".to_vec());
    let refused = queue.push(call, 99).unwrap_err();
    assert_eq!(refused.error.raw_os_error(), Some(libc::ENOBUFS));
    assert!(matches!(&refused.call.memory, Memory::Written(bytes) if bytes == b"mine"));
    queue.submit().unwrap();
    queue.push(*refused.call, 99).unwrap();
    assert_eq!(queue.pending(), 1);
}

#[test]
fn waits_are_entries_too() {
    let (mut queue, _kernel) = real_calls();
    // SAFETY: a new descriptor.
    let epoll = Rc::new(unsafe {
        let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd)
    });
    let (_read, write) = pipe();
    let mut event = libc::epoll_event {
        events: libc::EPOLLOUT as u32,
        u64: 77,
    };
    // SAFETY: an event of ours.
    let added = unsafe {
        libc::epoll_ctl(
            epoll.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            write.as_raw_fd(),
            &mut event,
        )
    };
    assert_eq!(added, 0);
    let wait = Call::epoll_wait(&epoll, Vec::with_capacity(4), Some(Duration::ZERO));
    queue.push(wait, 1).unwrap();
    queue.submit().unwrap();
    let done = queue.next_completion().unwrap();
    assert_eq!(done.result.unwrap(), 1);
    let Output::Events(events) = done.output else {
        panic!("no events");
    };
    assert_eq!((events.len(), { events[0].u64 }), (1, 77));
}

#[test]
fn drop_gives_flows_up_and_closes_files() {
    let (mut queue, kernel) = real_calls();
    let flow = register(&mut queue);
    let (read, write) = pipe();
    queue.push(reopen(&write), 1).unwrap();
    queue.submit().unwrap();
    queue.push(Call::close(write), 2).unwrap();
    assert!(!hung_up(&read));
    drop(queue);
    // One that was opened and not taken, and one whose close has not run.
    assert!(hung_up(&read));
    assert!(kernel.flow_ended(flow.raw()));
}
