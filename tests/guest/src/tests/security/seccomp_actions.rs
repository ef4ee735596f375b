// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: each action of a seccomp filter does to an entry what `docs/abi.md` says, whoever
//! would run the entry and however it is taken, whether the filter was there before the ring, before
//! the entry or only after it was published, and whether it goes by the number or by an argument.
//! What stands before the entry has run; what stands behind it runs only if nobody was killed and no
//! flow failed. Threads of a pool run nothing of an owner whose filter has to be asked.

use crate::harness::*;
use libc::{
    AT_FDCWD, O_CREAT, O_RDWR, O_WRONLY, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS,
    SECCOMP_RET_KILL_THREAD, SECCOMP_RET_LOG, SECCOMP_RET_TRACE, SECCOMP_RET_TRAP,
    SECCOMP_RET_USER_NOTIF,
};

/// An errno that nothing here gives by itself.
const ODD: i32 = libc::EUCLEAN;
const POOL_NAME: &str = "filter";
/// Ends at once, with success.
const PROGRAM: &std::ffi::CStr = c"/bin/true";

/// What becomes of the entry in the middle, which the filter has an action for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Runs,
    Fails(i32),
    Kills,
}

const ACTIONS: [(&str, u32, Fate); 8] = [
    ("ALLOW", SECCOMP_RET_ALLOW, Fate::Runs),
    ("LOG", SECCOMP_RET_LOG, Fate::Runs),
    (
        "ERRNO",
        libc::SECCOMP_RET_ERRNO | ODD as u32,
        Fate::Fails(ODD),
    ),
    ("TRAP", SECCOMP_RET_TRAP, Fate::Fails(libc::EACCES)),
    ("TRACE", SECCOMP_RET_TRACE, Fate::Fails(libc::EACCES)),
    (
        "USER_NOTIF",
        SECCOMP_RET_USER_NOTIF,
        Fate::Fails(libc::EACCES),
    ),
    ("KILL_THREAD", SECCOMP_RET_KILL_THREAD, Fate::Kills),
    ("KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, Fate::Kills),
];

/// Which entries, and how they are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Ordinary ones, by their owner.
    Ordinary,
    /// Those of a flow, by their owner.
    Inline,
    /// Those of a flow, of a ring that is in a pool.
    Pool,
    /// Those of a flow, handed over because a descriptor is closed.
    Hook,
    /// Those of a flow, handed over because the owner ends.
    Exit,
    /// Those of a flow, handed over because the owner gets another program.
    Exec,
}

/// When the filter is installed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    BeforeRing,
    BeforeEntry,
    AfterEntry,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    /// Of the action, for messages.
    #[expect(dead_code, reason = "read by Debug")]
    name: &'static str,
    action: u32,
    fate: Fate,
    way: Way,
    when: When,
    by_argument: bool,
}

pub fn run() {
    let _pool = Pool::new(POOL_NAME, |p| p);
    for (name, action, fate) in ACTIONS {
        let case = Case {
            name,
            action,
            fate,
            way: Way::Ordinary,
            when: When::AfterEntry,
            by_argument: false,
        };
        for way in [Way::Ordinary, Way::Inline, Way::Pool] {
            for when in [When::BeforeRing, When::BeforeEntry, When::AfterEntry] {
                for by_argument in [false, true] {
                    Case {
                        way,
                        when,
                        by_argument,
                        ..case
                    }
                    .check();
                }
            }
        }
        for way in [Way::Hook, Way::Exit, Way::Exec] {
            Case { way, ..case }.check();
        }
    }
}

/// What the entries of flows send: one for each.
const TEXTS: [&[u8]; 3] = [b"to", b"the", b"peer"];
const FILES: [&str; 3] = ["before", "judged", "behind"];

impl Case {
    fn check(&self) {
        let pair = tcp_pair(0, 0);
        let exit = child(|| self.act(pair)).wait();
        let want = match (self.fate, self.way) {
            // It ends anyway.
            (Fate::Kills, Way::Exit) => Exit::Status(0),
            // The new program could do something about another signal.
            (Fate::Kills, Way::Exec) => Exit::Signal(libc::SIGKILL),
            (Fate::Kills, _) => Exit::Signal(libc::SIGSYS),
            _ => Exit::Status(0),
        };
        assert_eq!(exit, want, "{self:?}");

        if self.way == Way::Ordinary {
            let made = FILES.map(exists);
            let want = [true, self.fate == Fate::Runs, self.fate != Fate::Kills];
            assert_eq!(made, want, "{self:?}");
            for name in FILES {
                let _ = std::fs::remove_file(name);
            }
        } else if self.fate == Fate::Runs {
            expect_bytes(pair.peer, &TEXTS.concat());
        } else {
            let got = expect_reset(pair.peer);
            assert!(TEXTS[0].starts_with(&got), "{self:?}: {got:?} came");
        }
        for end in [pair.ours, pair.peer] {
            expect_ok!(sys!(libc::SYS_close, end));
        }
    }

    /// What the child does.
    fn act(&self, pair: Pair) {
        set_limit(libc::RLIMIT_CORE, 0);
        self.install(When::BeforeRing);
        let ring = RawRing::with(|params| {
            params.arena_size = 4096;
            params.flows = 1;
        });
        if self.way == Way::Pool {
            expect_ok!(ring.attach(POOL_NAME, POOLED));
        }
        let mut flow = Flow::on(ring, pair);
        flow.ring.fill_arena(0, &TEXTS.concat());
        let spare = fd(sys!(libc::SYS_dup, 2));
        self.install(When::BeforeEntry);
        for (place, entry) in self.entries(&flow).into_iter().enumerate() {
            flow.ring.push(entry.data(place as u64));
        }
        flow.ring.publish();
        self.install(When::AfterEntry);
        let taken = match self.way {
            Way::Exit => return,
            Way::Exec => {
                let arguments = [PROGRAM.as_ptr(), std::ptr::null()];
                let environment = &arguments[1];
                sys!(libc::SYS_execve, PROGRAM.as_ptr(), &arguments, environment)
            }
            Way::Hook => {
                expect_ok!(sys!(libc::SYS_close, spare));
                flow.ring.enter(0, 3)
            }
            _ => flow.ring.enter(3, 3),
        };
        expect_ok!(taken);
        assert_ne!(self.fate, Fate::Kills, "{self:?}: the child lives");
        self.judge(&mut flow);
    }

    fn install(&self, when: When) {
        if when != self.when {
            return;
        }
        let nr = match (self.way, self.by_argument) {
            (Way::Ordinary, false) => libc::SYS_mknodat,
            (Way::Ordinary, true) => libc::SYS_openat,
            _ => libc::SYS_sendto,
        };
        let rule = Rule::new(nr, self.action);
        // Flags in one case, the length in the other.
        let judged = if self.way == Way::Ordinary {
            (O_WRONLY | O_CREAT) as u32
        } else {
            TEXTS[1].len() as u32
        };
        install_filter(&[if self.by_argument {
            rule.only(2, judged)
        } else {
            rule
        }]);
    }

    fn entries(&self, flow: &Flow) -> [Sqe; 3] {
        if self.way == Way::Ordinary {
            let open = |name: &'static std::ffi::CStr, access| {
                let flags = access | O_CREAT;
                sqe!(libc::SYS_openat, AT_FDCWD, name.as_ptr(), flags, 0o600)
            };
            let file = libc::S_IFREG | 0o600;
            let judged = if self.by_argument {
                open(c"judged", O_WRONLY)
            } else {
                sqe!(libc::SYS_mknodat, AT_FDCWD, c"judged".as_ptr(), file, 0)
            };
            return [open(c"before", O_RDWR), judged, open(c"behind", O_RDWR)];
        }
        let mut offset = 0;
        let mut place = 0;
        TEXTS.map(|text| {
            let (start, len) = (offset, text.len());
            offset += len;
            place += 1;
            if self.by_argument || place == 2 {
                sqe!(libc::SYS_sendto, flow.target(), start, len, 0).on_flow()
            } else {
                flow.write(start, len)
            }
        })
    }

    /// Looks at the results, in the child, which lives.
    fn judge(&self, flow: &mut Flow) {
        let results = in_order(flow.ring.reap());
        let ok = |place: usize| match self.way {
            Way::Ordinary => results[place] >= 0,
            _ => results[place] == TEXTS[place].len() as i64,
        };
        match self.fate {
            Fate::Fails(errno) => {
                assert_eq!(results[1], neg(errno), "{self:?}: {results:?}");
                if self.way == Way::Ordinary {
                    assert!(ok(2), "{self:?}: {results:?}");
                } else {
                    assert_eq!(results[2], neg(libc::ECANCELED), "{self:?}: {results:?}");
                    assert!(flow.has(FLOW_FAILED), "{self:?}");
                }
                // The workqueue may not have come to it before the flow failed.
                assert!(ok(0) || self.way == Way::Hook, "{self:?}: {results:?}");
            }
            _ => assert!((0..3).all(ok), "{self:?}: {results:?}"),
        }
        if self.way != Way::Pool {
            return;
        }
        let info = flow.ring.info();
        let unasked = self.action == SECCOMP_RET_ALLOW && !self.by_argument;
        let pooled = info.number("pooled");
        assert_eq!(pooled, if unasked { 3 } else { 0 }, "{self:?}");
        let inline = info.why("filter");
        let ran = if self.fate == Fate::Runs { 3 } else { 1 };
        assert_eq!(inline, if unasked { 0 } else { ran }, "{self:?}");
    }
}
