//! What the terminal emulator does not keep by itself: title, clipboard, notices, modes, and the answers that programs wait for.

use vt100::{Callbacks, Screen};

/// Heard beside the picture.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The window's title.
    pub(crate) title: String,
    /// What was put into the clipboard, encoded, the newest last.
    pub(crate) copied: Vec<String>,
    /// Notices (OSC 9 and OSC 777), the newest last.
    pub(crate) notices: Vec<String>,
    pub(crate) bells: usize,
    /// Focus is told.
    pub(crate) focus: bool,
    /// Keyboard flags pushed and not popped.
    pub(crate) keyboard: i32,
    /// Between begin and end of a synchronized update: the picture is half done.
    pub(crate) updating: bool,
    /// Pictures completed so far.
    pub(crate) frames: u64,
    /// What the terminal has to say to the program.
    pub(crate) answers: Vec<u8>,
}

impl Callbacks for Heard {
    fn audible_bell(&mut self, _: &mut Screen) {
        self.bells += 1;
    }

    fn set_window_title(&mut self, _: &mut Screen, title: &[u8]) {
        self.title = String::from_utf8_lossy(title).into_owned();
    }

    fn copy_to_clipboard(&mut self, _: &mut Screen, _kind: &[u8], data: &[u8]) {
        self.copied.push(String::from_utf8_lossy(data).into_owned());
    }

    fn unhandled_osc(&mut self, _: &mut Screen, parts: &[&[u8]]) {
        if let Some((&(b"9" | b"777"), rest)) = parts.split_first() {
            self.notices.push(String::from_utf8_lossy(&rest.join(&b';')).into_owned());
        }
    }

    fn unhandled_csi(&mut self, screen: &mut Screen, first: Option<u8>, _: Option<u8>, parts: &[&[u16]], last: char) {
        match (first, last, parts.first().and_then(|part| part.first()).copied().unwrap_or_default()) {
            (Some(b'?'), 'h' | 'l', 1004) => self.focus = last == 'h',
            (Some(b'?'), 'h', 2026) => self.updating = true,
            (Some(b'?'), 'l', 2026) => {
                self.updating = false;
                self.frames += 1;
            }
            (Some(b'>'), 'u', _) => self.keyboard += 1,
            (Some(b'<'), 'u', count) => self.keyboard -= i32::from(count.max(1)),
            // Every terminal says where the cursor is, and what it is.
            (None, 'n', 6) => {
                let (row, column) = screen.cursor_position();
                self.answers.extend(format!("\x1b[{};{}R", row + 1, column + 1).bytes());
            }
            (None, 'c', _) => self.answers.extend(b"\x1b[?62;22c"),
            _ => {}
        }
    }
}
