// SPDX-License-Identifier: MIT OR Apache-2.0

//! On whatever kernel this is: a queue, or an error that says why there is none, and the example.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use saio::queue::{Options, Queue};
use saio::sys;
use saio_test_programs::echo::Server;

#[test]
fn kernel_has_queues_or_says_enosys() {
    let errno = match Queue::new(&Options::default()) {
        Ok(_) => libc::EINVAL,
        Err(error) => error.raw_os_error().unwrap(),
    };
    assert!([libc::EINVAL, libc::ENOSYS].contains(&errno), "{errno}");
    assert_eq!(sys::probe(), errno);
}

#[test]
fn example_answers() {
    let server = Server::start(&mut Command::new(example()));
    server.check();
    server.stop(sys::probe() == libc::EINVAL);
}

fn example() -> PathBuf {
    // Beside the directory of the tests.
    let mut program = env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples/echo");
    assert!(
        program.exists(),
        "{} is not there: cargo build --package libsaio --example echo",
        program.display()
    );
    program
}
