//! QR codes in a terminal, for every program that shows a link: two modules a character, dark on light whatever the theme.

use fast_qr::QRBuilder;

/// Light modules around the code; the standard asks for four, phones are content with two.
const QUIET_ZONE: usize = 2;

/// Black on white, explicitly: on a dark theme a code in the terminal's own colours is inverted.
const COLOURED: (&str, &str) = ("\x1b[30;107m", "\x1b[0m");

/// The rows of a code for these bytes, dark modules as blocks; `None`: they are too many for one.
#[must_use]
pub fn rows(bytes: &[u8]) -> Option<Vec<String>> {
    let code = QRBuilder::new(bytes.to_vec()).build().ok()?;
    let inside = |at: usize| (QUIET_ZONE..QUIET_ZONE + code.size).contains(&at);
    let dark = |x: usize, y: usize| inside(x) && inside(y) && code[y - QUIET_ZONE][x - QUIET_ZONE].value();
    let side = code.size + 2 * QUIET_ZONE;
    let row = |y: usize| {
        let modules = (0..side).map(|x| match (dark(x, y), dark(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        modules.collect()
    };
    Some((0..side).step_by(2).map(row).collect())
}

/// A code as lines to print; without colours, as a light background shows it.
#[must_use]
pub fn lines(bytes: &[u8], colour: bool) -> Option<String> {
    let (begin, end) = if colour { COLOURED } else { ("", "") };
    Some(rows(bytes)?.into_iter().map(|row| format!("{begin}{row}{end}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_finder_patterns() {
        let rows = rows(b"http://127.0.0.1:8443/i#AgEB").unwrap();
        let width = rows[0].chars().count();
        assert_eq!(rows.len(), width.div_ceil(2));
        assert!(rows.iter().all(|row| row.chars().count() == width));
        // The upper edge of the left finder pattern: dark, dark below only at its ends.
        let first: String = rows[1].chars().skip(2).take(7).collect();
        assert_eq!(first, "█▀▀▀▀▀█");
    }

    #[test]
    fn colours_begin_and_end_in_each_line() {
        let coloured = lines(b"x", true).unwrap();
        assert!(coloured.lines().all(|line| line.starts_with("\x1b[30;107m") && line.ends_with("\x1b[0m")));
        assert!(!lines(b"x", false).unwrap().contains('\x1b'));
    }

    #[test]
    fn what_does_not_fit_is_no_code() {
        assert!(rows(&[b'x'; 10_000]).is_none() && lines(&[b'x'; 10_000], true).is_none());
    }
}
