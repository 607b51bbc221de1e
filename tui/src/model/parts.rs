//! What a message consists of on the screen: one list of rows. Its length is the message's height, and each of them is drawn as
//! one line, so nothing is measured twice and the two cannot differ.

use super::entry::Entry;

/// One row of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A blank row before another person, or after a while.
    Gap,
    /// The day begins.
    Day,
    /// Before it something is missing, or came later.
    Missing,
    /// What follows is new.
    New,
    /// Who and when, where that does not stand beside the text.
    Header,
    /// Somebody else wrote it.
    Forwarded,
    /// What it answers.
    Quote,
    /// This row of its text.
    Text(usize),
    /// That it came later than its place or its time tells.
    Arrived,
    /// Why it failed.
    Error,
    /// After it something is missing.
    MissingAfter,
}

impl Part {
    /// Stands above the message and is not a part of what is selected.
    pub(crate) const fn is_above(self) -> bool {
        matches!(self, Self::Gap | Self::Day | Self::Missing | Self::New | Self::Header)
    }
}

/// Where a message stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// Nothing is before it.
    pub(super) first: bool,
    /// Time and name stand beside the text.
    pub(super) beside: bool,
    /// The line before new messages stands before it.
    pub(super) new: bool,
}

/// The rows of a message, as its text was last wrapped.
pub(super) fn parts(entry: &Entry, Setting { first, beside, new }: Setting) -> impl Iterator<Item = Part> {
    let row = |is: bool, part: Part| is.then_some(part);
    let before = [
        row(!first && entry.first_of_group && !new, Part::Gap),
        row(entry.first_of_day, Part::Day),
        row(entry.missing.is_some(), Part::Missing),
        row(new, Part::New),
        // There is where it says that it was forwarded.
        row(!beside && (entry.first_of_group || entry.forwarded), Part::Header),
        row(beside && entry.forwarded, Part::Forwarded),
        row(entry.reply.is_some(), Part::Quote),
    ];
    let after = [
        row(entry.arrived_ms.is_some(), Part::Arrived),
        row(entry.failed(), Part::Error),
        row(entry.missing_after.is_some(), Part::MissingAfter),
    ];
    let text = (0..entry.wrapped().len()).map(Part::Text);
    before.into_iter().flatten().chain(text).chain(after.into_iter().flatten())
}
