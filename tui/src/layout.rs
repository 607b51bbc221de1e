//! Where everything is: pure arithmetic over the terminal's size. The state uses it to know what is in view, views to draw.

use ratatui::layout::Rect;

/// Below this there is no room for a conversation: one line says so.
const TINY: (u16, u16) = (30, 8);

/// From this width on, list and conversation stand side by side.
const TWO_PANES: u16 = 64;

/// From this width on, the list is comfortable.
const WIDE: u16 = 100;

/// Columns of the list.
const LIST: (u16, u16) = (24, 32);

/// From this height on, a line stands under the titles and chats take two rows each.
const ROOMY: u16 = 16;

/// Rows that the text being written grows to.
pub(crate) const MAX_COMPOSER: usize = 8;

/// Columns of a card's frame and of the spaces inside it.
pub(crate) const CARD_FRAME: usize = 4;

/// The columns before the text being written.
pub(crate) const PROMPT: u16 = 2;

/// List and conversation stand side by side.
pub(crate) const fn has_two_panes(width: u16) -> bool {
    width >= TWO_PANES
}

/// Parts of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Areas {
    pub(crate) tiny: bool,
    /// Chats, without their title.
    pub(crate) list: Option<Rect>,
    pub(crate) list_title: Option<Rect>,
    /// Rows of one chat in the list.
    pub(crate) list_step: u16,
    /// The line between the panes.
    pub(crate) divider: Option<Rect>,
    /// Who the conversation is with.
    pub(crate) title: Option<Rect>,
    /// Messages.
    pub(crate) body: Option<Rect>,
    /// The text being written, with a line above it.
    pub(crate) composer: Option<Rect>,
    pub(crate) status: Rect,
}

impl Areas {
    /// Chats that fit into the list.
    pub(crate) fn chats_in_view(&self) -> usize {
        self.list.map_or(0, |list| usize::from(list.height / self.list_step.max(1)))
    }
}

/// The parts for a size. `chat_open`: a conversation is on the screen; `rows`: how many the text being written has.
pub(crate) fn areas(width: u16, height: u16, chat_open: bool, rows: usize) -> Areas {
    if width < TINY.0 || height < TINY.1 {
        return Areas { tiny: true, status: Rect::new(0, 0, width, height.min(1)), ..Areas::default() };
    }
    let mut areas = Areas { status: Rect::new(0, height - 1, width, 1), ..Areas::default() };
    let roomy = height >= ROOMY;
    areas.list_step = if roomy { 2 } else { 1 };
    let title_rows = if roomy { 2 } else { 1 };
    let main = height - 1;
    let two = has_two_panes(width);
    let list_width = match (two, width >= WIDE) {
        (false, _) => width,
        (true, false) => LIST.0,
        (true, true) => LIST.1,
    };
    if two || !chat_open {
        areas.list_title = Some(Rect::new(0, 0, list_width, title_rows));
        areas.list = Some(Rect::new(0, title_rows, list_width, main - title_rows));
    }
    let left = if two { list_width + 1 } else { 0 };
    if two {
        areas.divider = Some(Rect::new(list_width, 0, 1, main));
    }
    if two || chat_open {
        let pane = width - left;
        if chat_open {
            let most = MAX_COMPOSER.min(usize::from(main / 3)).max(1);
            let composer = u16::try_from(rows.clamp(1, most)).unwrap_or(1) + 1;
            areas.title = Some(Rect::new(left, 0, pane, title_rows));
            areas.body = Some(Rect::new(left, title_rows, pane, main - title_rows - composer));
            areas.composer = Some(Rect::new(left, main - composer, pane, composer));
        } else {
            areas.body = Some(Rect::new(left, 0, pane, main));
        }
    }
    areas
}

/// Columns for the text being written.
pub(crate) fn writing_columns(width: u16) -> usize {
    let two = has_two_panes(width);
    let list = if width >= WIDE { LIST.1 } else { LIST.0 };
    let pane = if two { width - list - 1 } else { width };
    usize::from(pane.saturating_sub(PROMPT + 1)).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_never_leave_the_screen_nor_overlap(width in 0_u16..300, height in 0_u16..120, open: bool, rows in 0_usize..40) {
            let areas = areas(width, height, open, rows);
            let parts: Vec<Rect> = [areas.list_title, areas.list, areas.divider, areas.title, areas.body, areas.composer, Some(areas.status)]
                .into_iter()
                .flatten()
                .collect();
            for (at, part) in parts.iter().enumerate() {
                prop_assert!(part.right() <= width && part.bottom() <= height, "{part:?}");
                for other in &parts[at + 1..] {
                    prop_assert!(!part.intersects(*other), "{part:?} {other:?}");
                }
            }
            let covered: u32 = parts.iter().map(|part| part.area()).sum();
            if !areas.tiny {
                prop_assert_eq!(covered, u32::from(width) * u32::from(height));
            }
            prop_assert!(writing_columns(width) >= 1);
        }
    }
}
