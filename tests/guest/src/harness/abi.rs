// SPDX-License-Identifier: MIT OR Apache-2.0

//! Short names for the ABI: structures and numbers come from the bindings, which come from the
//! UAPI header. Whatever the bindings name awkwardly is named here once.

use saio::sys;

pub use saio::sys::{
    saio_cqe as Cqe, saio_enter_arg as EnterArg, saio_flow_reg as FlowReg, saio_params as Params,
    saio_ring as RingHeader, saio_sqe as Sqe,
};

pub const SETUP: i64 = sys::__NR_saio_setup as i64;
pub const ENTER: i64 = sys::__NR_saio_enter as i64;
pub const REGISTER: i64 = sys::__NR_saio_register as i64;
pub const POOL: i64 = sys::__NR_saio_pool as i64;

pub const LINK: u16 = 1 << sys::SAIO_SQE_LINK_BIT;
pub const HARDLINK: u16 = 1 << sys::SAIO_SQE_HARDLINK_BIT;
pub const RESULT_TO_ARG: u16 = 1 << sys::SAIO_SQE_RESULT_TO_ARG_BIT;
pub const SKIP_SUCCESS: u16 = 1 << sys::SAIO_SQE_SKIP_SUCCESS_BIT;
pub const FLOW: u16 = 1 << sys::SAIO_SQE_FLOW_BIT;

pub const REGISTER_FLOW: u32 = sys::SAIO_REGISTER_FLOW;
pub const UNREGISTER_FLOW: u32 = sys::SAIO_UNREGISTER_FLOW;
pub const REGISTER_LAST: u32 = sys::SAIO_REGISTER_LAST;

pub const FLOW_USED: u32 = sys::SAIO_FLOW_USED;
pub const FLOW_STALE: u32 = sys::SAIO_FLOW_STALE;
pub const FLOW_FULL: u32 = sys::SAIO_FLOW_FULL;
pub const FLOW_FAILED: u32 = sys::SAIO_FLOW_FAILED;

/// A structure of the C world with all fields zero. Only for plain C structures, of which all
/// zeros is a valid value.
pub fn zeroed<T: Copy>() -> T {
    // SAFETY: by the contract above.
    unsafe { std::mem::zeroed() }
}
