// SPDX-License-Identifier: MIT OR Apache-2.0

//! An echo server: one thread, one epoll set, its answers sent through flows.
//!
//! `echo [ADDRESS [POOL]]` listens on ADDRESS (default `127.0.0.1:0`) and says on stdout where. With
//! POOL the kernel threads of that pool do the sending where that pays. On a kernel without SAIO it
//! says so in one line on stderr, and writes to its sockets.

use std::collections::HashMap;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;

use libc::{epoll_event, EPOLLIN, EPOLLOUT};
use saio::queue::{Call, Entry, Flow, Mode, Options, Output, Queue};

/// Tag of the wait. All else is quiet, and only tells of failures.
const WAIT: u64 = 1;
const SEND: Entry = Entry::new(2).quiet();

struct Connection {
    socket: TcpStream,
    /// Without one the socket is written to.
    flow: Option<Flow>,
    /// Read and not sent.
    bytes: Vec<u8>,
    /// The peer sends no more.
    ended: bool,
}

struct Server {
    listener: TcpListener,
    epoll: Rc<OwnedFd>,
    queue: Option<Queue>,
    connections: HashMap<u64, Connection>,
}

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:0".to_string());
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    // SAFETY: a new descriptor, unless it is -1.
    let epoll = unsafe { check(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    // SAFETY: as just checked.
    let epoll = Rc::new(unsafe { OwnedFd::from_raw_fd(epoll?) });
    let mut server = Server {
        listener,
        epoll,
        queue: open_queue(args.next()),
        connections: HashMap::new(),
    };
    server.watch(libc::EPOLL_CTL_ADD, &server.listener, EPOLLIN)?;
    println!("listening on {}", server.listener.local_addr()?);

    let mut events = Vec::with_capacity(64);
    loop {
        events = server.wait(events)?;
        for event in &events {
            let id = event.u64;
            if id == server.listener.as_raw_fd() as u64 {
                server.accept();
            } else if let Err(error) = server.serve(id) {
                if error.kind() != ErrorKind::UnexpectedEof {
                    eprintln!("echo: connection {id}: {error}");
                }
                // What was accepted for its flow leaves nevertheless.
                server.connections.remove(&id);
            }
        }
    }
}

/// A queue, attached to the pool if one is named; `None` if that does not work here.
fn open_queue(pool: Option<String>) -> Option<Queue> {
    // Each send to a peer that does not read takes up a completion.
    let options = Options {
        cq_entries: 4096,
        ..Options::default()
    };
    let opened = Queue::new(&options).and_then(|mut queue| {
        if let Some(pool) = pool {
            let name = pool.parse().map_err(io::Error::other)?;
            queue.attach(&name, Mode::Auto)?;
        }
        Ok(queue)
    });
    opened
        .inspect_err(|error| eprintln!("echo: going on without SAIO: {error}"))
        .ok()
}

impl Server {
    /// Sends what is queued and waits for events, in one crossing into the kernel.
    fn wait(&mut self, mut events: Vec<epoll_event>) -> io::Result<Vec<epoll_event>> {
        let Some(queue) = &mut self.queue else {
            return self.plain_wait(events);
        };
        let call = Call::epoll_wait(&self.epoll, events, None);
        if let Err(_full) = queue.push(call, WAIT) {
            // Peers that do not read have all entries.
            report(queue);
            return self.plain_wait(Vec::with_capacity(64));
        }
        loop {
            match queue.submit() {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                // What a signal left is taken by the next turn.
                _ => {}
            }
            let mut waited = None;
            for done in queue.completions() {
                match (done.tag, done.output) {
                    (WAIT, Output::Events(events)) => waited = Some(events),
                    _ => tell(&done.result),
                }
            }
            if let Some(waited) = waited {
                events = waited;
                return Ok(events);
            }
        }
    }

    fn plain_wait(&self, mut events: Vec<epoll_event>) -> io::Result<Vec<epoll_event>> {
        events.clear();
        let (at, room) = (events.as_mut_ptr(), events.capacity() as i32);
        // SAFETY: there is room for so many events.
        let n = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), at, room, -1) };
        match check(n) {
            // SAFETY: so many were filled in.
            Ok(n) => unsafe { events.set_len(n as usize) },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(events)
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            let made = socket.set_nonblocking(true);
            if let Err(error) =
                made.and_then(|()| self.watch(libc::EPOLL_CTL_ADD, &socket, EPOLLIN))
            {
                eprintln!("echo: {error}");
                continue;
            }
            let flow = self
                .queue
                .as_mut()
                .and_then(|queue| queue.register(&socket).ok());
            let connection = Connection {
                flow,
                bytes: Vec::new(),
                ended: false,
                socket,
            };
            let id = connection.socket.as_raw_fd() as u64;
            self.connections.insert(id, connection);
        }
    }

    /// Reads once and sends that back; `UnexpectedEof` when all is done.
    fn serve(&mut self, id: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        let waited = !connection.bytes.is_empty();
        if !waited {
            let mut buffer = [0; 16384];
            match connection.socket.read(&mut buffer) {
                Ok(0) => connection.ended = true,
                Ok(n) => connection.bytes.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        connection.send(self.queue.as_mut())?;
        let waits = !connection.bytes.is_empty();
        if connection.ended && !waits {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if waits != waited {
            // Nothing is read from who does not take the answers.
            let events = if waits { EPOLLOUT } else { EPOLLIN };
            let connection = &self.connections[&id];
            self.watch(libc::EPOLL_CTL_MOD, &connection.socket, events)?;
        }
        Ok(())
    }

    fn watch(&self, op: i32, socket: &impl AsFd, events: i32) -> io::Result<()> {
        let fd = socket.as_fd().as_raw_fd();
        let mut event = epoll_event {
            events: events as u32,
            u64: fd as u64,
        };
        // SAFETY: the event is ours.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), op, fd, &mut event) })?;
        Ok(())
    }
}

impl Connection {
    /// Sends what can be sent now.
    fn send(&mut self, mut queue: Option<&mut Queue>) -> io::Result<()> {
        while !self.bytes.is_empty() {
            match self.send_some(queue.as_deref_mut()) {
                Ok(n) => drop(self.bytes.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send_some(&mut self, queue: Option<&mut Queue>) -> io::Result<usize> {
        let (Some(queue), Some(flow)) = (queue, self.flow) else {
            return self.socket.write(&self.bytes);
        };
        let mut sent = queue.send(flow, &self.bytes, SEND);
        if is_full(&sent) {
            // Room comes with completions.
            queue.submit()?;
            report(queue);
            sent = queue.send(flow, &self.bytes, SEND);
        }
        if is_full(&sent) {
            // Peers that do not read have all of it. The kernel keeps the order.
            return self.socket.write(&self.bytes);
        }
        sent
    }
}

fn is_full(sent: &io::Result<usize>) -> bool {
    let error = sent.as_ref().err().and_then(io::Error::raw_os_error);
    error == Some(libc::ENOBUFS)
}

/// Takes completions, of which there are only those of failures.
fn report(queue: &mut Queue) {
    for done in queue.completions() {
        tell(&done.result);
    }
}

fn tell(result: &io::Result<usize>) {
    if let Err(error) = result {
        eprintln!("echo: sending: {error}");
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
