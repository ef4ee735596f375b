// SPDX-License-Identifier: MIT OR Apache-2.0

//! How hooks are written.

/// A function that stands before libc's of the same name. The types must be those of
/// the C declaration, and the contract is that of the C function.
///
/// Unit tests do not export it: the test program would get it instead of libc's.
macro_rules! hook {
    (
        $(#[$meta:meta])*
        fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block
    ) => {
        $(#[$meta])*
        #[cfg_attr(not(test), no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret $body
    };
}

/// Calls libc's function.
macro_rules! pass {
    ($name:ident($($arg:expr),* $(,)?)) => {
        // SAFETY: the arguments of the program, passed on as they came.
        unsafe { crate::real::$name($($arg),*) }
    };
}
