// SPDX-License-Identifier: MIT OR Apache-2.0

//! Short names for the ABI: structures and numbers come from the bindings, which come from the
//! UAPI header. Whatever the bindings name awkwardly is named here once.

use saio::sys;

pub use saio::sys::{
    saio_cqe as Cqe, saio_enter_arg as EnterArg, saio_flow_reg as FlowReg, saio_params as Params,
    saio_pool_attr as PoolAttr, saio_pool_stat as PoolStat, saio_restriction as RawRestriction,
    saio_ring as RingHeader, saio_ring_pool as RingPool, saio_sqe as Sqe,
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
pub const REGISTER_POOL: u32 = sys::SAIO_REGISTER_POOL;
pub const REGISTER_RESTRICT: u32 = sys::SAIO_REGISTER_RESTRICT;
pub const REGISTER_LAST: u32 = sys::SAIO_REGISTER_LAST;

pub const NO_POOL: u32 = sys::SAIO_RESTRICT_NO_POOL;

pub const NEED_WAKEUP: u32 = sys::SAIO_RING_NEED_WAKEUP;
pub const WAKEUP: u32 = sys::SAIO_ENTER_WAKEUP;

pub const INLINE: u32 = sys::SAIO_MODE_INLINE;
pub const AUTO: u32 = sys::SAIO_MODE_AUTO;
pub const POOLED: u32 = sys::SAIO_MODE_POOL;

pub const CREATE: u32 = sys::SAIO_POOL_CREATE;
pub const SET: u32 = sys::SAIO_POOL_SET;
pub const GET: u32 = sys::SAIO_POOL_GET;
pub const NEXT: u32 = sys::SAIO_POOL_NEXT;
pub const REMOVE: u32 = sys::SAIO_POOL_REMOVE;
pub const STAT: u32 = sys::SAIO_POOL_STAT;
pub const POOL_LAST: u32 = sys::SAIO_POOL_LAST;

pub const SET_WORKERS: u32 = sys::SAIO_POOL_SET_WORKERS;
pub const SET_MAX: u32 = sys::SAIO_POOL_SET_MAX;
pub const SET_IDLE: u32 = sys::SAIO_POOL_SET_IDLE;
pub const SET_CPUS: u32 = sys::SAIO_POOL_SET_CPUS;
pub const SET_GROUP: u32 = sys::SAIO_POOL_SET_GROUP;
pub const FORCE: u32 = sys::SAIO_POOL_FORCE;
pub const ANYBODY: u32 = sys::SAIO_POOL_ANYBODY;
pub const MAX_THREADS: u32 = sys::SAIO_POOL_MAX_THREADS;
pub const MAX_IDLE_NS: u64 = sys::SAIO_POOL_MAX_IDLE_NS as u64;
pub const MAX_POOLS: usize = sys::SAIO_MAX_POOLS as usize;

pub const FLOW_USED: u32 = sys::SAIO_FLOW_USED;
pub const FLOW_STALE: u32 = sys::SAIO_FLOW_STALE;
pub const FLOW_FULL: u32 = sys::SAIO_FLOW_FULL;
pub const FLOW_FAILED: u32 = sys::SAIO_FLOW_FAILED;
pub const FLOW_BUSY: u32 = sys::SAIO_FLOW_BUSY;

/// A structure of the C world with all fields zero. Only for plain C structures, of which all
/// zeros is a valid value.
pub fn zeroed<T: Copy>() -> T {
    // SAFETY: by the contract above.
    unsafe { std::mem::zeroed() }
}
