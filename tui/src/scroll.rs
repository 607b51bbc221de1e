//! Where a view stands in a long list of blocks: pure arithmetic over their heights.
//!
//! A view is either at the end and stays there when something is added, or it holds on to a row of one block and stays there
//! whatever is added before or after.

/// A row of a block: what the top of the view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// Index of the block.
    pub(crate) block: usize,
    /// Row in it.
    pub(crate) row: usize,
}

/// All rows.
pub(crate) fn total(heights: &[usize]) -> usize {
    heights.iter().sum()
}

/// The topmost row of a view at the end.
pub(crate) fn end(heights: &[usize], view: usize) -> usize {
    total(heights).saturating_sub(view)
}

/// The row at which a block begins.
pub(crate) fn begin_of(heights: &[usize], block: usize) -> usize {
    heights.iter().take(block).sum()
}

/// The row that an anchor means; a row that the block no longer has is its last.
pub(crate) fn row_of(heights: &[usize], anchor: Anchor) -> usize {
    let height = heights.get(anchor.block).copied().unwrap_or(0);
    begin_of(heights, anchor.block) + anchor.row.min(height.saturating_sub(1))
}

/// The block and row at an absolute row; beyond the end, the last.
pub(crate) fn anchor_at(heights: &[usize], row: usize) -> Option<Anchor> {
    let mut left = row;
    for (block, height) in heights.iter().enumerate() {
        if left < *height {
            return Some(Anchor { block, row: left });
        }
        left -= height;
    }
    let block = heights.len().checked_sub(1)?;
    Some(Anchor { block, row: heights[block].saturating_sub(1) })
}

/// The top after moving by so many rows; never beyond the end.
pub(crate) fn moved(top: usize, by: isize, heights: &[usize], view: usize) -> usize {
    top.saturating_add_signed(by).min(end(heights, view))
}

/// The top at which a block is in view, moving as little as possible. Of a block that is higher than the view, the part
/// nearest to where we stand is shown.
pub(crate) fn showing(top: usize, begin: usize, height: usize, view: usize) -> usize {
    if height > view {
        return top.clamp(begin, begin + height - view);
    }
    if begin < top {
        begin
    } else if begin + height > top + view {
        begin + height - view
    } else {
        top
    }
}

/// Blocks that lie wholly or partly in a view: the first one, its rows above the view, and the last one.
pub(crate) fn visible(heights: &[usize], top: usize, view: usize) -> Option<(Anchor, usize)> {
    if view == 0 {
        return None;
    }
    let first = anchor_at(heights, top)?;
    let last = anchor_at(heights, top + view - 1)?;
    Some((first, last.block))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEIGHTS: &[usize] = &[1, 3, 2, 5];

    #[test]
    fn the_end_and_anchors() {
        assert_eq!(end(HEIGHTS, 4), 7);
        assert_eq!(end(HEIGHTS, 100), 0);
        assert_eq!(anchor_at(HEIGHTS, 0), Some(Anchor { block: 0, row: 0 }));
        assert_eq!(anchor_at(HEIGHTS, 3), Some(Anchor { block: 1, row: 2 }));
        assert_eq!(anchor_at(HEIGHTS, 99), Some(Anchor { block: 3, row: 4 }));
        assert_eq!(anchor_at(&[], 0), None);
        assert_eq!(visible(HEIGHTS, 3, 4), Some((Anchor { block: 1, row: 2 }, 3)));
        assert_eq!(visible(HEIGHTS, 3, 0), None);
    }

    #[test]
    fn a_selected_block_comes_into_view_with_the_least_movement() {
        assert_eq!(showing(4, 1, 3, 5), 1, "above: its first row on top");
        assert_eq!(showing(0, 4, 2, 5), 1, "below: its last row at the bottom");
        assert_eq!(showing(2, 3, 2, 5), 2, "in view: nothing moves");
        assert_eq!(showing(0, 4, 9, 5), 4, "too high: from above, its beginning");
        assert_eq!(showing(99, 4, 9, 5), 8, "too high: from below, its end");
        assert_eq!(showing(6, 4, 9, 5), 6);
    }

    proptest! {
        #[test]
        fn an_anchor_is_where_it_was_after_blocks_came_before(
            heights in proptest::collection::vec(1_usize..9, 1..30),
            before in proptest::collection::vec(1_usize..9, 0..30),
            at in 0_usize..100,
        ) {
            let at = at % total(&heights);
            let anchor = anchor_at(&heights, at).unwrap();
            prop_assert_eq!(row_of(&heights, anchor), at);
            let mut longer = before.clone();
            longer.extend(&heights);
            let moved = Anchor { block: anchor.block + before.len(), ..anchor };
            prop_assert_eq!(row_of(&longer, moved), at + total(&before));
        }

        #[test]
        fn no_movement_leaves_the_list(
            heights in proptest::collection::vec(0_usize..9, 0..30), top in 0_usize..99, by in -99_isize..99, view in 0_usize..40,
        ) {
            prop_assert!(moved(top, by, &heights, view) <= end(&heights, view));
        }
    }
}
