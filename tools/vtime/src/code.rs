// SPDX-License-Identifier: GPL-2.0-or-later

//! The instructions of x86-64 that are treated in their own way.

/// What an instruction is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any other.
    Plain,
    /// The marker with its number: `nopl 0x5a1000NN(%rax)`.
    Mark(u8),
    /// `syscall`.
    Syscall,
    /// `pause`.
    Pause,
    /// A string instruction with a repeat prefix.
    Repeated(Access),
}

/// The accesses to memory of which a repeated instruction makes one for each
/// element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `lods`, `scas`, `outs`; `cmps` makes two.
    Reads,
    /// `movs`, `stos`, `ins`.
    Writes,
}

/// Bytes that say what an instruction is: the longest that is looked for.
pub const MARK_LENGTH: usize = 7;

/// Classifies an instruction by its bytes; those after [`MARK_LENGTH`] may be
/// missing.
pub fn classify(bytes: &[u8]) -> Kind {
    match bytes {
        [0x0f, 0x1f, 0x80, number, 0x00, 0x10, 0x5a] => Kind::Mark(*number),
        [0x0f, 0x05, ..] => Kind::Syscall,
        [0xf3, 0x90, ..] => Kind::Pause,
        _ => repeated(bytes).map_or(Kind::Plain, Kind::Repeated),
    }
}

fn repeated(bytes: &[u8]) -> Option<Access> {
    let mut repeats = false;
    for byte in bytes {
        match byte {
            0xf2 | 0xf3 => repeats = true,
            // Sizes, segments, REX
            0x66 | 0x67 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x40..=0x4f => {}
            _ if !repeats => return None,
            // ins; movs; stos
            0x6c | 0x6d | 0xa4 | 0xa5 | 0xaa | 0xab => return Some(Access::Writes),
            // outs; cmps; lods and scas
            0x6e | 0x6f | 0xa6 | 0xa7 | 0xac..=0xaf => return Some(Access::Reads),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker() {
        assert_eq!(
            classify(&[0x0f, 0x1f, 0x80, 0x2a, 0x00, 0x10, 0x5a]),
            Kind::Mark(42)
        );
        // A long nop as compilers write it
        assert_eq!(classify(&[0x0f, 0x1f, 0x80, 0, 0, 0, 0]), Kind::Plain);
        assert_eq!(classify(&[0x0f, 0x1f, 0x80]), Kind::Plain);
    }

    #[test]
    fn calls_of_the_kernel() {
        assert_eq!(classify(&[0x0f, 0x05]), Kind::Syscall);
        // sysenter
        assert_eq!(classify(&[0x0f, 0x34]), Kind::Plain);
    }

    #[test]
    fn waiting() {
        assert_eq!(classify(&[0xf3, 0x90]), Kind::Pause);
    }

    #[test]
    fn repeated_strings() {
        let (reads, writes) = (Access::Reads, Access::Writes);
        for (bytes, access) in [
            (&[0xf3, 0xa4][..], writes),
            (&[0xf3, 0x48, 0xa5], writes),
            (&[0xf3, 0x48, 0xab], writes),
            (&[0xf2, 0xae], reads),
            (&[0xf3, 0xa6], reads),
        ] {
            assert_eq!(classify(bytes), Kind::Repeated(access), "{bytes:x?}");
        }
    }

    #[test]
    fn others() {
        // movsb, nop, rep ret, movss, nothing
        for bytes in [
            &[0xa4][..],
            &[0x90],
            &[0xf3, 0xc3],
            &[0xf3, 0x0f, 0x10, 0xa4],
            &[],
        ] {
            assert_eq!(classify(bytes), Kind::Plain, "{bytes:x?}");
        }
    }
}
