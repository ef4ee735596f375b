// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a completion is for: the encoding of `user_data`.

use std::ffi::c_int;

use saio::arena::Chunk;

/// Purpose of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Nothing hangs on it.
    Ignore,
    /// A flow entry with its payload in this chunk, which is free once it completed.
    Chunk(Chunk),
    /// An entry of a flow without payload; only that it is done counts.
    Counted,
    /// The `epoll_wait` at the end of a batch.
    Wait,
    /// The close of this descriptor; completes only if it failed.
    Close(c_int),
}

impl Tag {
    /// As `user_data`: the kind in the low byte, its value in the high half.
    #[inline]
    pub const fn pack(self) -> u64 {
        match self {
            Self::Ignore => 0,
            Self::Chunk(chunk) => 1 | (chunk.start as u64) << 32 | (chunk.len as u64) << 48,
            Self::Counted => 2,
            Self::Wait => 3,
            Self::Close(fd) => 4 | (fd as u32 as u64) << 32,
        }
    }

    /// Out of `user_data`.
    #[inline]
    pub const fn unpack(data: u64) -> Self {
        match data as u8 {
            1 => Self::Chunk(Chunk {
                start: (data >> 32) as u16,
                len: (data >> 48) as u16,
            }),
            2 => Self::Counted,
            3 => Self::Wait,
            4 => Self::Close((data >> 32) as c_int),
            _ => Self::Ignore,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back(start: u16, len: u16, fd: c_int) {
            for tag in [
                Tag::Ignore,
                Tag::Chunk(Chunk { start, len }),
                Tag::Counted,
                Tag::Wait,
                Tag::Close(fd),
            ] {
                prop_assert_eq!(Tag::unpack(tag.pack()), tag);
            }
        }

        #[test]
        fn anything_unpacks(data: u64) {
            let _ = Tag::unpack(data);
        }
    }
}
