// SPDX-License-Identifier: GPL-2.0-or-later

//! The instructions that are looked for.

/// What an instruction is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any other.
    Plain,
    /// The marker with its number: `nopl 0x5a1000NN(%rax)`.
    Mark(u8),
    /// `mov OFFSET(%rsi),%rsp`: in the kernel's `__switch_to_asm` it loads the
    /// stack of the next task from its `task_struct`.
    LoadStack,
}

/// Bytes that say what an instruction is.
pub const LENGTH: usize = 7;

/// Classifies an instruction by its bytes; those after [`LENGTH`] may be
/// missing.
pub fn classify(bytes: &[u8]) -> Kind {
    match bytes {
        [0x0f, 0x1f, 0x80, number, 0x00, 0x10, 0x5a] => Kind::Mark(*number),
        [0x48, 0x8b, 0xa6, ..] => Kind::LoadStack,
        _ => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_apart() {
        for (bytes, kind) in [
            (
                &[0x0f, 0x1f, 0x80, 0x2a, 0x00, 0x10, 0x5a][..],
                Kind::Mark(42),
            ),
            // A long nop as compilers write it
            (&[0x0f, 0x1f, 0x80, 0, 0, 0, 0], Kind::Plain),
            (&[0x48, 0x8b, 0xa6, 0x98, 0x0b, 0, 0], Kind::LoadStack),
            // The one that stores the stack of the task before
            (&[0x48, 0x89, 0xa7, 0x98, 0x0b, 0, 0], Kind::Plain),
            (&[0x90], Kind::Plain),
        ] {
            assert_eq!(classify(bytes), kind, "{bytes:x?}");
        }
    }
}
