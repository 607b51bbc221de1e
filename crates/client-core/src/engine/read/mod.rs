//! Reading: what interfaces ask for, and what they have seen. Nothing here leaves the store.

pub(in crate::engine) mod checkup;
pub(in crate::engine) mod consumers;
pub(in crate::engine) mod conversations;
pub(in crate::engine) mod exporting;
pub(in crate::engine) mod keeping;
pub(in crate::engine) mod leases;
pub(in crate::engine) mod marks;
pub(in crate::engine) mod queries;
pub(in crate::engine) mod search;
pub(in crate::engine) mod views;
