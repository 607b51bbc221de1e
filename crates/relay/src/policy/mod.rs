//! Who may do what, how often and how much: bounds and rates, and the memory that they need.

pub(crate) mod addresses;
pub(crate) mod descriptors;
pub(crate) mod frames;
pub mod identity;
pub(crate) mod lane;
pub(crate) mod limiter;
pub(crate) mod limits;
pub(crate) mod registration;
