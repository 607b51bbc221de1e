//! QR codes in a terminal: two modules a character, dark on light whatever the theme.

use fast_qr::QRBuilder;
use subrosa_client_core::{ApiError, ErrorKind};

/// Light modules around the code; the standard asks for four, phones are content with two.
const QUIET_ZONE: usize = 2;

/// Draws `text` as a QR code; without colours, as a light background shows it.
///
/// # Errors
/// [`ErrorKind::Failed`] when it is too long for one.
pub(crate) fn draw(text: &str, colour: bool) -> Result<String, ApiError> {
    let code =
        QRBuilder::new(text).build().map_err(|_| ApiError::new(ErrorKind::Failed, "that is too long for a QR code"))?;
    let dark = |x: usize, y: usize| {
        let inside = |at: usize| (QUIET_ZONE..QUIET_ZONE + code.size).contains(&at);
        inside(x) && inside(y) && code[y - QUIET_ZONE][x - QUIET_ZONE].value()
    };
    let side = code.size + 2 * QUIET_ZONE;
    let mut drawing = String::new();
    for y in (0..side).step_by(2) {
        // Black on white, explicitly: on a dark theme a code in the terminal's own colours is inverted.
        drawing.push_str(if colour { "\x1b[30;107m" } else { "" });
        for x in 0..side {
            drawing.push(match (dark(x, y), y + 1 < side && dark(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        drawing.push_str(if colour { "\x1b[0m\n" } else { "\n" });
    }
    Ok(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_finder_patterns() {
        let drawing = draw("http://127.0.0.1:8443/i#AgEB", false).unwrap();
        let rows: Vec<&str> = drawing.lines().collect();
        let width = rows[0].chars().count();
        assert_eq!(rows.len(), width.div_ceil(2));
        assert!(rows.iter().all(|row| row.chars().count() == width));
        // The upper edge of the left finder pattern: dark, dark below only at its ends.
        let first: String = rows[1].chars().skip(2).take(7).collect();
        assert_eq!(first, "█▀▀▀▀▀█");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(draw(&"x".repeat(10_000), true).is_err());
    }
}
