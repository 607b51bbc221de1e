//! A change in its place among others.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ChangeId;
use super::change::Change;
use super::rules::Refusal;

/// What became of an act of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Counts,
    /// A removal, a demotion or a device list voids it that its author did not know of.
    Void(ChangeId),
    /// It was allowed where its author stood, and is not together with what others did meanwhile.
    Refused(Refusal),
}

/// A change and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) change: Arc<Change>,
    pub(super) parents: Vec<usize>,
    pub(super) children: Vec<usize>,
    /// What had made its author an admin, where the author stood: a change, and the number of its act.
    pub(super) grant: Option<(usize, usize)>,
    /// Acts, by node and number, that what takes away had made void where its author stood.
    pub(super) void: Arc<BTreeSet<(usize, usize)>>,
    /// Its place among all changes in the order of standing.
    pub(super) position: usize,
}
