// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: write, sendto, writev, sendmsg and sendfile of random sizes on one flow reach the peer
//! complete and in order; each completes with its full length.

use crate::harness::*;

const ROUNDS: u64 = 250;
/// Entries of a round; each has a part of the arena of its own.
const ENTRIES: usize = 4;
const PART: usize = 8 << 10;
/// Where the data of an entry starts in its part, behind the vectors.
const DATA: usize = 256;
const LONGEST: usize = PART - DATA;

pub fn run() {
    let mut flow = Flow::on(flow_ring(), tcp_pair(2 * SMALL, 2 * SMALL));
    let content = pattern(5, 256 << 10);
    let source = file("source", &content);
    let peer = flow.peer;
    let reader = std::thread::spawn(move || read_up_to(peer, 64 << 20));

    let mut rng = Rng::new(3);
    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        let mut lengths = Vec::new();
        for place in 0..ENTRIES {
            let len = 1 + rng.below(LONGEST);
            let bytes = pattern(round * 10 + place as u64, len);
            let start = place * PART;
            flow.ring.fill_arena(start + DATA, &bytes);
            let entry = match rng.below(5) {
                0 => flow.write(start + DATA, len),
                1 => sqe!(libc::SYS_sendto, flow.target(), start + DATA, len, 0).on_flow(),
                2 => vectored(&flow, start, len, &mut rng),
                3 => message(&flow, start, len),
                _ => {
                    let position = rng.below(content.len() - len);
                    sent.extend_from_slice(&content[position..position + len]);
                    flow.ring
                        .push(flow.sendfile(source, position, len).data(place as u64));
                    lengths.push(len as i64);
                    continue;
                }
            };
            sent.extend_from_slice(&bytes);
            flow.ring.push(entry.data(place as u64));
            lengths.push(len as i64);
        }
        flow.ring.publish();
        let count = ENTRIES as u32;
        assert_eq!(flow.ring.enter(count, count), i64::from(count));
        expect_results(&in_order(flow.ring.reap()), &lengths);
    }
    expect_ok!(sys!(libc::SYS_close, flow.ours));
    let (got, end) = reader.join().expect("the thread ends");
    expect_same(&got, &sent);
    assert_eq!(end, 0, "{}", show(end));
}

/// A writev of the entry's data in up to eight pieces, some of them empty.
fn vectored(flow: &Flow, start: usize, len: usize, rng: &mut Rng) -> Sqe {
    let pieces = 1 + rng.below(8);
    let mut cuts: Vec<usize> = (1..pieces).map(|_| rng.below(len + 1)).collect();
    cuts.push(len);
    cuts.sort_unstable();
    let mut vectors = Vec::new();
    let mut from = 0;
    for cut in cuts {
        vectors.extend_from_slice(&((start + DATA + from) as u64).to_ne_bytes());
        vectors.extend_from_slice(&((cut - from) as u64).to_ne_bytes());
        from = cut;
    }
    flow.ring.fill_arena(start, &vectors);
    sqe!(libc::SYS_writev, flow.target(), start, pieces).on_flow()
}

/// A sendmsg of the entry's data in one piece; header and vector stand before the data.
fn message(flow: &Flow, start: usize, len: usize) -> Sqe {
    const VECTOR: usize = 64;
    let header = [0, 0, start + VECTOR, 1, 0, 0, 0].map(|word| word as u64);
    let vector = [start + DATA, len].map(|word| word as u64);
    for (at, words) in [(start, &header[..]), (start + VECTOR, &vector[..])] {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        flow.ring.fill_arena(at, &bytes);
    }
    sqe!(libc::SYS_sendmsg, flow.target(), start, 0).on_flow()
}
