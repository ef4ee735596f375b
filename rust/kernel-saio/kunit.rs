// SPDX-License-Identifier: GPL-2.0

//! Tests that KUnit runs while the kernel boots: of what the host cannot test, and those of
//! [`logic`](crate::logic) once more.
//!
//! The kernel crate of 6.12 has neither `#[kunit_tests]` nor assertions for other crates, so both
//! stand here.
//!
//! C header: [`include/kunit/test.h`](srctree/include/kunit/test.h)

use core::ptr;
use kernel::{bindings, str::CStr};

/// As the one of `core`, but it does not panic: the case has failed, and ends here without its
/// destructors.
macro_rules! assert_that {
    ($condition:expr $(, $($note:tt)+)?) => {
        if !$condition {
            $($crate::kunit::note(format_args!($($note)+));)?
            $crate::kunit::fail(
                kernel::c_str!(file!()),
                line!(),
                kernel::c_str!(stringify!($condition)),
            );
        }
    };
}

/// As the one of `core`, but for what [`assert!`] says.
macro_rules! assert_equal {
    ($left:expr, $right:expr $(, $($note:tt)+)?) => {
        match (&$left, &$right) {
            (left, right) => {
                if *left != *right {
                    $($crate::kunit::note(format_args!($($note)+));)?
                    $crate::kunit::note(format_args!("left {left:?}, right {right:?}"));
                    $crate::kunit::fail(
                        kernel::c_str!(file!()),
                        line!(),
                        kernel::c_str!(concat!(
                            stringify!($left),
                            " == ",
                            stringify!($right)
                        )),
                    );
                }
            }
        }
    };
}

/// The value of a result that is no error, for what [`assert!`] says.
macro_rules! must {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(err) => {
                $crate::kunit::note(format_args!("error: {err:?}"));
                $crate::kunit::fail(
                    kernel::c_str!(file!()),
                    line!(),
                    kernel::c_str!(stringify!($result)),
                )
            }
        }
    };
}

// Under the names that tests on the host have.
pub(crate) use {assert_equal as assert_eq, assert_that as assert};

/// Makes a suite of test functions, which take and return nothing.
macro_rules! suite {
    ($name:literal, $module:ident::{$($test:ident),+ $(,)?}) => {
        const _: () = {
            use kernel::bindings::{kunit, kunit_case, kunit_suite};

            const LEN: usize = [$(stringify!($test)),+].len() + 1;

            static mut CASES: [kunit_case; LEN] = [
                $({
                    extern "C" fn run(_: *mut kunit) {
                        $module::$test();
                    }
                    $crate::kunit::case(kernel::c_str!(stringify!($test)), run)
                },)+
                $crate::kunit::LAST,
            ];
            static mut SUITE: kunit_suite =
                $crate::kunit::suite($name, (&raw mut CASES).cast());

            // KUnit alone looks at it.
            #[used]
            #[link_section = ".kunit_test_suites"]
            static mut ENTRY: *mut kunit_suite = &raw mut SUITE;
        };
    };
}

mod flow;
mod logic;
mod mem;
mod policy;
mod pool;
mod ring;
mod user;

// SAFETY: All zeros are valid: null pointers and numbers.
const LAST: bindings::kunit_case = unsafe { core::mem::zeroed() };

const fn case(
    name: &'static CStr,
    run: unsafe extern "C" fn(*mut bindings::kunit),
) -> bindings::kunit_case {
    bindings::kunit_case {
        run_case: Some(run),
        name: name.as_char_ptr(),
        ..LAST
    }
}

const fn suite(name: &str, cases: *mut bindings::kunit_case) -> bindings::kunit_suite {
    // SAFETY: As above.
    let mut suite: bindings::kunit_suite = unsafe { core::mem::zeroed() };
    let mut i = 0;
    while i < name.len() {
        suite.name[i] = name.as_bytes()[i] as _;
        i += 1;
    }
    suite.test_cases = cases;
    suite
}

/// Says more about the failure that follows.
#[cold]
pub(crate) fn note(args: core::fmt::Arguments<'_>) {
    kernel::kunit::err(format_args!("    # {args}\n"));
}

/// Has the running case fail, and ends it.
#[cold]
pub(crate) fn fail(file: &'static CStr, line: u32, condition: &'static CStr) -> ! {
    let location = bindings::kunit_loc {
        line: line as _,
        file: file.as_char_ptr(),
    };
    let assertion = bindings::kunit_unary_assert {
        assert: bindings::kunit_assert {},
        condition: condition.as_char_ptr(),
        expected_true: true,
    };
    // SAFETY: Only tests come here, so there is one; everything else lives until the first call
    // returns, and the format finds the assertion by its first member. The second call ends the
    // task: what is on its stack, nobody else has.
    unsafe {
        let test = bindings::kunit_get_current_test();
        bindings::__kunit_do_failed_assertion(
            test,
            &location,
            bindings::kunit_assert_type_KUNIT_ASSERTION,
            ptr::from_ref(&assertion).cast(),
            Some(bindings::kunit_unary_assert_format),
            ptr::null(),
        );
        bindings::__kunit_abort(test)
    }
}
