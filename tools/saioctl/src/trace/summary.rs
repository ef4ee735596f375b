// SPDX-License-Identifier: MIT OR Apache-2.0

//! What there was, by call.

use std::collections::BTreeMap;

use super::call;
use super::event::{Complete, Where};
use crate::output::table;

const TITLES: [&str; 6] = ["call", ">count", ">errors", ">inline", ">pool", ">queue"];

#[derive(Default)]
struct Count {
    all: u64,
    errors: u64,
    inline: u64,
    pool: u64,
    queue: u64,
}

/// Counts of a trace.
#[derive(Default)]
pub struct Summary {
    calls: BTreeMap<u16, Count>,
    /// Events that the kernel had no room for, where it says how many.
    pub lost: u64,
    /// Times that it had no room.
    pub losses: u64,
    /// Lines of the kernel that were not understood.
    pub not_understood: u64,
}

impl Summary {
    /// An entry has its result.
    pub fn add(&mut self, complete: &Complete) {
        let count = self.calls.entry(complete.nr).or_default();
        count.all += 1;
        count.errors += u64::from(complete.result < 0);
        *match complete.place {
            Where::Inline => &mut count.inline,
            Where::Pool => &mut count.pool,
            Where::Queue => &mut count.queue,
        } += 1;
    }

    /// Events were lost.
    pub fn lose(&mut self, count: Option<u64>) {
        self.losses += 1;
        self.lost += count.unwrap_or(0);
    }

    /// A table, the most frequent call first, and what went wrong.
    pub fn text(&self) -> String {
        let mut calls: Vec<(u16, &Count)> = self.calls.iter().map(|(&nr, c)| (nr, c)).collect();
        calls.sort_by_key(|&(nr, count)| (u64::MAX - count.all, nr));
        let rows = calls.into_iter().map(|(nr, count)| {
            let numbers = [
                count.all,
                count.errors,
                count.inline,
                count.pool,
                count.queue,
            ];
            let mut row = vec![call::name(nr)];
            row.extend(numbers.map(|number| number.to_string()));
            row
        });
        let mut text = if self.calls.is_empty() {
            "no entries were seen\n".to_owned()
        } else {
            table(&TITLES, rows)
        };
        if self.losses > 0 {
            text += &format!(
                "at least {} events were lost; a larger --buffer-size keeps more\n",
                self.lost.max(self.losses)
            );
        }
        if self.not_understood > 0 {
            text += &format!(
                "{} lines were not understood: kernel and saioctl are of different versions; --raw shows them\n",
                self.not_understood
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_call() {
        let mut summary = Summary::default();
        let mut add = |nr, result, place| {
            summary.add(&Complete {
                nr,
                user_data: 0,
                flow: None,
                result,
                place,
            });
        };
        add(3, 0, Where::Inline);
        add(44, 238, Where::Pool);
        add(44, -32, Where::Queue);
        summary.lose(Some(5));
        summary.lose(None);
        summary.not_understood = 2;
        insta::assert_snapshot!("summary", summary.text());
    }

    #[test]
    fn nothing_seen() {
        assert_eq!(Summary::default().text(), "no entries were seen\n");
    }
}
