//! Migrations that are longer than a few lines, one file each.

pub(super) mod conversations;
pub(super) mod guards;
