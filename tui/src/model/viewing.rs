//! Where the view stands in a conversation: rows and heights at a size, scrolling, and the message that is selected.

use super::{Conversation, Edge, Entry, Hold};
use crate::{
    model::parts::{Part, Setting, parts},
    scroll::{self, Anchor},
    text,
};

/// Below this width a name stands above its messages, not beside them.
pub(crate) const BESIDE_MIN: usize = 60;

/// `09:41 `, the mark before it and the space after the name.
const MARGIN_FIXED: usize = 1 + 6 + 2;

/// Columns for names beside messages: short ones are not worth less, long ones not more.
const NAME_COLUMNS: std::ops::RangeInclusive<usize> = 4..=14;

/// Columns for ticks and the space before them.
pub(crate) const TICKS: usize = 4;

/// Rows of what was read before that stay above the line before new messages.
const CONTEXT_ROWS: usize = 2;

/// Indent of messages under a name.
const INDENT: usize = 2;

/// How a message is laid out at a width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    /// Time and name beside the text; otherwise above it.
    pub(crate) beside: bool,
    pub(crate) name: usize,
    /// Before the text.
    pub(crate) margin: usize,
    pub(crate) body: usize,
}

impl Conversation {
    /// Computes all heights for this size, and where the view stands. Only what was not wrapped for this width is wrapped.
    pub(crate) fn lay_out(&mut self, width: usize, view: usize) {
        let beside = width >= BESIDE_MIN;
        let name = text::width(&self.name).clamp(*NAME_COLUMNS.start(), *NAME_COLUMNS.end());
        let margin = if beside { MARGIN_FIXED + name } else { INDENT };
        let body = width.saturating_sub(margin + TICKS + 1).max(1);
        self.columns = Columns { beside, name, margin, body };
        self.view = view;
        let new_from = self.new_from.as_deref();
        self.heights = self
            .entries
            .iter_mut()
            .enumerate()
            .map(|(at, entry)| {
                entry.wrap(body);
                parts(entry, Setting { first: at == 0, beside, new: new_from == Some(&entry.id) }).count()
            })
            .collect();
        if std::mem::take(&mut self.to_unread)
            && let Some(at) = new_from.and_then(|id| self.index(id))
        {
            // A little of what was read before stays in view.
            let top = scroll::begin_of(&self.heights, at).saturating_sub(CONTEXT_ROWS);
            self.set_top(top);
        }
        if std::mem::take(&mut self.to_middle)
            && let Some(at) = self.selected.as_deref().and_then(|id| self.index(id))
        {
            let begin = scroll::begin_of(&self.heights, at);
            let height = self.heights.get(at).copied().unwrap_or(0);
            self.set_top(begin.saturating_sub(self.view.saturating_sub(height) / 2));
        }
        if self.hold != Hold::End && self.newer == Edge::End && self.top() == scroll::end(&self.heights, self.view) {
            self.hold = Hold::End;
        }
        if self.hold == Hold::End {
            self.below = 0;
        }
    }

    /// The rows of a message, from top to bottom.
    pub(crate) fn parts(&self, at: usize) -> impl Iterator<Item = Part> {
        let entry = &self.entries[at];
        let new = self.new_from.as_deref() == Some(&entry.id);
        parts(entry, Setting { first: at == 0, beside: self.columns.beside, new })
    }

    /// The topmost row in view.
    pub(crate) fn top(&self) -> usize {
        let end = scroll::end(&self.heights, self.view);
        match &self.hold {
            Hold::End => end,
            Hold::At { id, row } => {
                self.index(id).map_or(end, |block| scroll::row_of(&self.heights, Anchor { block, row: *row }).min(end))
            }
        }
    }

    /// Messages in view: index of the first, its rows above the view, index of the last.
    pub(crate) fn visible(&self) -> Option<(usize, usize, usize)> {
        scroll::visible(&self.heights, self.top(), self.view).map(|(first, last)| (first.block, first.row, last))
    }

    /// Rows of all loaded messages.
    pub(crate) fn total(&self) -> usize {
        scroll::total(&self.heights)
    }

    fn set_top(&mut self, top: usize) {
        let end = scroll::end(&self.heights, self.view);
        let top = top.min(end);
        // Where more is to come below, the view holds on to a message.
        self.hold = if top >= end && self.newer == Edge::End {
            Hold::End
        } else {
            match scroll::anchor_at(&self.heights, top) {
                Some(anchor) => Hold::At { id: self.entries[anchor.block].id.clone(), row: anchor.row },
                None => Hold::End,
            }
        };
    }

    /// The newest message is in view.
    pub(crate) fn at_end(&self) -> bool {
        self.loaded && self.newer == Edge::End && self.hold == Hold::End && !self.to_unread
    }

    pub(crate) fn scroll(&mut self, by: isize) {
        self.set_top(scroll::moved(self.top(), by, &self.heights, self.view));
    }

    /// A page keeps two rows of the one before in view.
    pub(crate) fn page(&mut self, older: bool) {
        let by = isize::try_from(self.view.saturating_sub(2).max(1)).unwrap_or(1);
        self.scroll(if older { -by } else { by });
    }

    pub(crate) fn half_page(&mut self, older: bool) {
        let by = isize::try_from((self.view / 2).max(1)).unwrap_or(1);
        self.scroll(if older { -by } else { by });
    }

    pub(crate) fn go_to_end(&mut self) {
        self.hold = Hold::End;
        self.below = 0;
        if self.selected.is_some() {
            self.selected = self.entries.last().map(|entry| entry.id.clone());
        }
    }

    pub(crate) fn go_to_begin(&mut self) {
        self.set_top(0);
        if self.selected.is_some() {
            self.selected = self.entries.first().map(|entry| entry.id.clone());
        }
    }

    pub(crate) fn selected(&self) -> Option<&Entry> {
        self.selected.as_deref().and_then(|id| self.entry(id))
    }

    /// Selects the lowest message in view, if none is selected.
    pub(crate) fn begin_selecting(&mut self) {
        if self.selected().is_none() {
            let last = self.visible().map(|(_, _, last)| last);
            self.selected = last.and_then(|at| self.entries.get(at)).map(|entry| entry.id.clone());
        }
    }

    /// The lowest message in view.
    pub(crate) fn lowest_in_view(&self) -> Option<&Entry> {
        self.visible().and_then(|(.., last)| self.entries.get(last))
    }

    pub(crate) fn end_selecting(&mut self) {
        self.selected = None;
    }

    pub(crate) fn select(&mut self, id: &str) {
        if self.index(id).is_some() {
            self.selected = Some(id.to_owned());
            self.show_selected();
        }
    }

    /// Selects the message above or below. A message that is higher than the view is first scrolled through.
    pub(crate) fn select_beside(&mut self, older: bool) {
        let Some(at) = self.selected.as_deref().and_then(|id| self.index(id)) else {
            return self.begin_selecting();
        };
        let begin = scroll::begin_of(&self.heights, at);
        let end = begin + self.heights.get(at).copied().unwrap_or(0);
        let top = self.top();
        if older && begin < top && end > top {
            return self.scroll(-isize::try_from((top - begin).min(self.view.max(2) - 1)).unwrap_or(1));
        }
        if !older && end > top + self.view && begin < top + self.view {
            return self.scroll(isize::try_from((end - top - self.view).min(self.view.max(2) - 1)).unwrap_or(1));
        }
        let next = if older { at.saturating_sub(1) } else { (at + 1).min(self.entries.len().saturating_sub(1)) };
        self.selected = self.entries.get(next).map(|entry| entry.id.clone());
        self.show_selected();
    }

    fn show_selected(&mut self) {
        if let Some(at) = self.selected.as_deref().and_then(|id| self.index(id)) {
            let begin = scroll::begin_of(&self.heights, at);
            let height = self.heights.get(at).copied().unwrap_or(0);
            self.set_top(scroll::showing(self.top(), begin, height, self.view));
        }
    }

    /// The message at a row of the view, for the mouse.
    pub(crate) fn at_row(&self, row: usize) -> Option<&str> {
        let blank = self.view.saturating_sub(self.total());
        let row = row.checked_sub(blank)? + self.top();
        (row < self.total())
            .then(|| scroll::anchor_at(&self.heights, row))
            .flatten()
            .map(|at| self.entries[at.block].id.as_str())
    }
}
