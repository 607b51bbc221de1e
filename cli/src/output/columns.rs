//! Texts of others in columns: cleaned, cut, filled.

use subrosa_client_core::clean::clean_line;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Columns for a name; longer ones are cut.
pub(super) const NAME_COLUMNS: usize = 14;

/// Characters of an id that are shown: enough to name it in the next command.
const SHORT_ID: usize = 8;

/// The beginning of an id, enough for the next command.
pub(crate) fn short_id(id: &str) -> String {
    clean_line(id).chars().take(SHORT_ID).collect()
}

/// Cleaned, cut or filled to so many columns.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let text = clean_line(text);
    if text.width() <= columns {
        return format!("{text}{}", " ".repeat(columns - text.width()));
    }
    let mut cut = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let width = grapheme.width();
        if used + width + 1 > columns {
            break;
        }
        cut.push_str(grapheme);
        used += width;
    }
    format!("{cut}…{}", " ".repeat(columns.saturating_sub(used + 1)))
}
