// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs that use SAIO, and what they have to do: on the host, and in the guest.

pub mod build;
pub mod echo;
pub mod esca;
