// SPDX-License-Identifier: GPL-2.0

//! Error codes that the kernel crate does not name yet.

use kernel::{bindings, error::Error};

macro_rules! errno {
    ($($name:ident = $code:ident),* $(,)?) => {
        $(
            pub(crate) fn $name() -> Error {
                Error::from_errno(-(bindings::$code as i32))
            }
        )*
    };
}

errno! {
    ebadfd = EBADFD,
    ecanceled = ECANCELED,
    econnaborted = ECONNABORTED,
    edeadlk = EDEADLK,
    eisconn = EISCONN,
    enobufs = ENOBUFS,
    enosys = ENOSYS,
    eopnotsupp = EOPNOTSUPP,
    etime = ETIME,
    etimedout = ETIMEDOUT,
    eusers = EUSERS,
}
