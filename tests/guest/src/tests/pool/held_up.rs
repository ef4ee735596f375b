// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a thread that waits for the disk within a sendfile is replaced meanwhile, although the
//! pool has one worker only, and others' entries go on.

use crate::harness::*;
use std::{fs, os::unix::fs::FileExt, path::PathBuf, thread};

const NAME: &str = "held";
/// What is sent of the file, and how much at a time.
const LEN: usize = 1 << 20;
const PIECE: usize = 64 << 10;
const TMPFS_MAGIC: i64 = 0x0102_1994;
const ATTEMPTS: usize = 5;

pub fn run() {
    let Some(path) = slow_file() else {
        skip("no file of a megabyte that is not in memory");
    };
    let opened = fs::File::open(&path).expect("it can be read");
    let mut content = vec![0; LEN];
    opened
        .read_exact_at(&mut content, 0)
        .expect("it is as long");
    let path = std::ffi::CString::new(path.into_os_string().into_encoded_bytes());
    let path = path.expect("names have no zero bytes");
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    let source = fd(sys!(libc::SYS_open, path.as_ptr(), flags));

    let pool = Pool::new(NAME, |p| p.workers(1).max(2));
    let mut slow = Flow::on(RawRing::pooled(NAME), tcp_pair(0, 0));
    let mut other = Flow::on(RawRing::pooled(NAME), tcp_pair(0, 0));
    other.ring.fill_arena(0, b"meanwhile");
    for _ in 0..ATTEMPTS {
        drop_from_memory(source);
        let peer = slow.peer;
        let reader = thread::spawn(move || read_up_to(peer, LEN));
        for i in 0..LEN / PIECE {
            let entry = slow.sendfile(source, i * PIECE, PIECE);
            slow.ring.push(entry.data(i as u64));
        }
        slow.ring.publish();
        slow.ring.wake_if_needed();
        while !reader.is_finished() {
            expect_ok!(other.ring.submit(&[other.write(0, 9)]));
            expect_bytes(other.peer, b"meanwhile");
            expect_results(&in_order(other.ring.wait(1)), &[9]);
        }
        let (got, _) = reader.join().expect("the thread ends");
        expect_same(&got, &content);
        eventually("all complete", || {
            slow.ring.unread() as usize == LEN / PIECE
        });
        assert!(slow.ring.reap().iter().all(|cqe| cqe.res == PIECE as i64));
        let stat = pool.stat();
        assert!(stat.threads == 2 && stat.runnable <= 2, "{stat:?}");
        if stat.replaced > 0 {
            return;
        }
    }
    panic!("no thread was ever replaced: {:?}", pool.stat());
}

/// A large file, on a file system that has to wait for something, which no program has mapped: then
/// its pages can be dropped.
fn slow_file() -> Option<PathBuf> {
    let mapped = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let places = ["/usr/bin", "/usr/sbin", "/usr/lib/x86_64-linux-gnu"];
    let entries = places.iter().filter_map(|place| fs::read_dir(place).ok());
    let mut files = entries.flatten().flatten().map(|entry| entry.path());
    files.find(|path| {
        let long = fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() > LEN as u64);
        long && !mapped.contains(&*path.to_string_lossy()) && !in_memory(path)
    })
}

fn in_memory(path: &std::path::Path) -> bool {
    let Ok(name) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else {
        return true;
    };
    let mut info: libc::statfs = zeroed();
    let got = sys!(libc::SYS_statfs, name.as_ptr(), &mut info);
    got != 0 || info.f_type == TMPFS_MAGIC
}

fn drop_from_memory(source: i32) {
    let advice = libc::POSIX_FADV_DONTNEED;
    expect_ok!(sys!(libc::SYS_fadvise64, source, 0, 0, advice));
    fs::write("/proc/sys/vm/drop_caches", "1").expect("root may drop caches");
}
