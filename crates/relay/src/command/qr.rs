//! QR codes in a terminal: two modules a character, dark on light whatever the theme.
//!
//! As the client draws them; a relay shares no code with it beyond the wire format.

use anyhow::anyhow;
use fast_qr::QRBuilder;

/// Light modules around the code; the standard asks for four, phones are content with two.
const QUIET_ZONE: usize = 2;

/// Draws `text`; without colours, as a light background shows it.
pub(super) fn draw(text: &str, colour: bool) -> anyhow::Result<String> {
    let code = QRBuilder::new(text).build().map_err(|_| anyhow!("the link is too long for a QR code"))?;
    let inside = |at: usize| (QUIET_ZONE..QUIET_ZONE + code.size).contains(&at);
    let dark = |x: usize, y: usize| inside(x) && inside(y) && code[y - QUIET_ZONE][x - QUIET_ZONE].value();
    let side = code.size + 2 * QUIET_ZONE;
    let (begin, end) = if colour { ("\x1b[30;107m", "\x1b[0m\n") } else { ("", "\n") };
    let row = |y: usize| {
        let modules = (0..side).map(|x| match (dark(x, y), dark(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        format!("{begin}{}{end}", modules.collect::<String>())
    };
    Ok((0..side).step_by(2).map(row).collect())
}
