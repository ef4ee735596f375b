// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: threads run the entries of an owner whose seccomp filters allow the calls of flow
//! entries whatever their arguments, and leave them alone as soon as one has to be asked, although
//! they look at the ring: then each is run by the owner as it enters, with the filter's verdict, and
//! counted as such. What the filter refuses fails the flow.

use crate::harness::*;

const ODD: i32 = libc::EUCLEAN;

pub fn run() {
    let pool = Pool::new("filter", |p| p.idle_us(MAX_IDLE_NS / 1000));
    let mut flow = Flow::on(RawRing::pooled("filter"), tcp_pair(0, 0));
    flow.ring.fill_arena(0, b"text");
    // Without a filter, and with one that does not mind.
    for entries in 1..=2 {
        flow.ring.push(flow.write(0, 4));
        flow.ring.publish();
        assert_eq!(flow.ring.wake(), 0);
        expect_bytes(flow.peer, b"text");
        eventually("it completes", || flow.ring.unread() == 1);
        flow.ring.reap();
        assert_eq!(pool.stat().entries, entries);
        install_filter(&[Rule {
            nr: libc::SYS_getppid,
            arg: None,
            action: ret_errno(ODD),
        }]);
        expect_errno!(sys!(libc::SYS_getppid), ODD);
    }

    install_filter(&[Rule {
        nr: libc::SYS_sendto,
        arg: None,
        action: ret_errno(ODD),
    }]);
    for place in 0..3 {
        flow.ring.push(flow.write(0, 4).data(place));
    }
    flow.ring.publish();
    assert_eq!(flow.ring.wake(), 0);
    let came = poll(flow.peer, libc::POLLIN, 300);
    assert_eq!((came, flow.ring.queued()), (0, 3), "a thread ran an entry");
    assert_eq!(flow.ring.enter(3, 0), 3);
    expect_results(&in_order(flow.ring.reap()), &[4, 4, 4]);
    expect_bytes(flow.peer, b"texttexttext");
    let info = flow.ring.info();
    assert_eq!((info.why("filter"), info.number("inline")), (3, 3));
    assert_eq!(info.number("pooled"), 2);

    let refused = sqe!(libc::SYS_sendto, flow.target(), 0, 4, 0).on_flow();
    let entries = [refused.data(0), flow.write(0, 4).data(1)];
    assert_eq!(flow.ring.submit(&entries), 2);
    let results = in_order(flow.ring.reap());
    expect_results(&results, &[neg(ODD), neg(libc::ECANCELED)]);
    assert!(flow.has(FLOW_FAILED));
    assert!(expect_reset(flow.peer).is_empty());
    assert_eq!(pool.stat().entries, 2, "none of that by a thread");
}
