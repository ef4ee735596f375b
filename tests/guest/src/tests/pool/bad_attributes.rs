// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: `saio_pool` refuses what makes no sense with the errors that the ABI names, and a
//! refused command changes nothing.

use crate::harness::*;

const NAME: &str = "bad";

pub fn run() {
    let pool = Pool::new(NAME, |p| p.workers(2).max(4).group(5));
    let before = pool.get();
    commands();
    names();
    numbers();
    masks();
    fields();
    sizes();
    counters();
    expect_errno!(pool_call(CREATE, &mut pool_attr(NAME)), libc::EEXIST);
    expect_errno!(pool_call(CREATE, &mut pool_attr("default")), libc::EEXIST);
    let after = pool.get();
    assert_eq!(
        (after.id, after.workers, after.max, after.gid, after.idle_ns),
        (
            before.id,
            before.workers,
            before.max,
            before.gid,
            before.idle_ns
        )
    );
    let absent = pool_call(GET, &mut pool_attr("new"));
    expect_errno!(absent, libc::ENOENT);
}

/// The commands that name a pool must all refuse it.
#[track_caller]
fn expect_refused(what: &str, attr: PoolAttr, commands: &[u32], errno: i32) {
    for cmd in commands {
        let mut attr = attr;
        let got = pool_call(*cmd, &mut attr);
        assert_eq!(got, neg(errno), "{what}, command {cmd}: {}", show(got));
    }
}

fn commands() {
    for cmd in [POOL_LAST, POOL_LAST + 1, u32::MAX] {
        expect_errno!(pool_call(cmd, &mut pool_attr(NAME)), libc::EINVAL);
    }
    expect_refused(
        "absent",
        pool_attr("absent"),
        &[SET, GET, REMOVE],
        libc::ENOENT,
    );
    let mut attr = pool_attr("");
    attr.id = u32::MAX;
    expect_errno!(pool_call(NEXT, &mut attr), libc::ENOENT);
}

fn names() {
    let mut raw = vec![[b'n'; 32], [0; 32]];
    for bad in ["a b", "a/b", "a\n", "\u{e4}", "a:b", "*", "a\x7f"] {
        raw.push(pool_name(bad));
    }
    let mut rest = pool_name(NAME);
    rest[31] = b'x';
    raw.push(rest);
    for name in raw {
        let mut attr = pool_attr("");
        attr.name = name;
        let all = [CREATE, SET, GET, REMOVE];
        expect_refused(&format!("{name:?}"), attr, &all, libc::EINVAL);
    }
}

fn numbers() {
    let new = || pool_attr("new");
    let too_many = MAX_THREADS + 1;
    let bad = [
        ("no workers", new().workers(0)),
        ("too many workers", new().workers(too_many)),
        ("workers, all ones", new().workers(u32::MAX)),
        ("max below workers", new().workers(3).max(2)),
        ("max below the default", new().max(0)),
        ("max too large", new().max(too_many)),
        ("max, all ones", new().max(u32::MAX)),
    ];
    for (what, attr) in bad {
        expect_refused(what, attr, &[CREATE], libc::EINVAL);
        let mut change = attr;
        change.name = pool_name(NAME);
        expect_refused(what, change, &[SET], libc::EINVAL);
    }
    let mut idle = new().idle_us(0);
    for ns in [MAX_IDLE_NS + 1, u64::MAX] {
        idle.idle_ns = ns;
        expect_refused("idle too long", idle, &[CREATE], libc::EINVAL);
    }
    // More workers than `max` has room for, which was given before.
    let fewer = pool_attr(NAME).max(1);
    expect_refused(
        "max below workers that were set",
        fewer,
        &[SET],
        libc::EINVAL,
    );
}

fn masks() {
    let (none, far) = (0u64, [0u64, 0, 0, 0, 0, 0, 0, 1 << 63]);
    let both = [CREATE, SET];
    let with = |name: &str, address: u64, len: usize| {
        let mut attr = pool_attr(name);
        attr.set = SET_CPUS;
        attr.cpus = address;
        attr.cpus_len = len as u32;
        attr
    };
    for name in ["new", NAME] {
        let cmd = &both[usize::from(name == NAME)..][..1];
        let empty = with(name, none.arg_of(), 8);
        expect_refused("an empty mask", empty, cmd, libc::EINVAL);
        let absent = with(name, far.arg_of(), size_of_val(&far));
        expect_refused("a CPU that cannot be", absent, cmd, libc::EINVAL);
        let short = with(name, u64::MAX.arg_of(), 0);
        expect_refused("a mask of no bytes", short, cmd, libc::EINVAL);
        for address in [0, 1, 1 << 62] {
            let bad = with(name, address, 8);
            expect_refused("a bad address", bad, cmd, libc::EFAULT);
        }
    }
    // Reading: where to store it.
    let mut attr = with(NAME, 1, 64);
    attr.set = 0;
    expect_refused("nowhere to store", attr, &[GET], libc::EFAULT);
    let place = [0u64; 8];
    let mut attr = with(NAME, place.arg_of(), 0);
    attr.set = 0;
    expect_refused("no room to store", attr, &[GET], libc::EINVAL);
}

/// The address of something that lives for the whole call.
trait Address {
    fn arg_of(&self) -> u64;
}

impl<T> Address for T {
    fn arg_of(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }
}

fn fields() {
    let all = [CREATE, SET, GET, NEXT, REMOVE];
    let reading = [GET, NEXT, REMOVE];
    type Spoil = fn(&mut PoolAttr);
    let bad: [(&str, Spoil, &[u32]); 8] = [
        ("unknown attribute", |a| a.set = 1 << 5, &all),
        ("unknown attribute, top bit", |a| a.set = 1 << 31, &all),
        ("an attribute to read", |a| a.set = SET_WORKERS, &reading),
        ("unknown flag", |a| a.flags = 2, &all),
        ("force", |a| a.flags = FORCE, &[CREATE, SET, GET, NEXT]),
        ("a number", |a| a.id = 1, &[CREATE, SET, GET, REMOVE]),
        ("rings", |a| a.rings = 1, &all),
        ("resv", |a| a.resv[1] = 1, &all),
    ];
    for (what, spoil, commands) in bad {
        for cmd in commands {
            let name = if *cmd == CREATE { "new" } else { NAME };
            let mut attr = pool_attr(name);
            attr.workers = 1;
            spoil(&mut attr);
            expect_refused(what, attr, &[*cmd], libc::EINVAL);
        }
    }
}

fn sizes() {
    let size = size_of::<PoolAttr>();
    for cmd in [CREATE, SET, GET, NEXT, REMOVE] {
        let mut attr = pool_attr(NAME);
        for short in [0, 8, size - 1] {
            expect_errno!(sys!(POOL, cmd, &mut attr, short), libc::EINVAL);
        }
        for bad in [0, 1] {
            expect_errno!(sys!(POOL, cmd, bad, size), libc::EFAULT);
        }
        let mut longer = [pool_attr(NAME), zeroed()];
        longer[1].resv[1] = 1;
        expect_errno!(sys!(POOL, cmd, &mut longer, 2 * size), libc::E2BIG);
    }
    let mut longer = [pool_attr(NAME), zeroed()];
    assert_eq!(sys!(POOL, GET, &mut longer, 2 * size), 0);
    assert_eq!(longer[0].workers, 2);
}

fn counters() {
    let size = size_of::<PoolStat>();
    let named = |name: &str| {
        let mut stat: PoolStat = zeroed();
        stat.name = pool_name(name);
        stat
    };
    let mut stat = named(NAME);
    for short in [0, size - 1] {
        expect_errno!(sys!(POOL, STAT, &mut stat, short), libc::EINVAL);
    }
    for bad in [0, 1] {
        expect_errno!(sys!(POOL, STAT, bad, size), libc::EFAULT);
    }
    stat.resv = 1;
    expect_errno!(sys!(POOL, STAT, &mut stat, size), libc::EINVAL);
    expect_errno!(sys!(POOL, STAT, &mut named("absent"), size), libc::ENOENT);
    expect_errno!(sys!(POOL, STAT, &mut named("a b"), size), libc::EINVAL);
    let mut longer = [named(NAME), zeroed()];
    longer[1].threads = 1;
    expect_errno!(sys!(POOL, STAT, &mut longer, 2 * size), libc::E2BIG);
}
