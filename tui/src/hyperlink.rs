//! Web addresses that the terminal opens when they are pressed (OSC 8).
//!
//! A view says which cells show which address; the cells hold their text alone, so nothing shifts. [`Backend`] writes the address
//! before and the end after them. Terminals and multiplexers that do not know the sequence pass it over.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use ratatui::{
    backend::{ClearType, CrosstermBackend, WindowSize},
    buffer::{Buffer, Cell, CellDiffOption},
    layout::{Position, Rect, Size},
};

/// Longest address: VTE and iTerm2 drop longer ones.
const MAX_ADDRESS_BYTES: usize = 2_083;

/// Cells that show an address, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hyperlink {
    pub(crate) area: Rect,
    /// The same for all parts of one link: the terminal shows them as one.
    pub(crate) id: u64,
    /// As [`crate::text::address`] gives it: http or https, ASCII without spaces.
    pub(crate) address: String,
}

/// Which cell belongs to which link.
#[derive(Debug, Default)]
struct Cells {
    links: Vec<Hyperlink>,
    at: HashMap<Position, usize>,
}

impl Cells {
    fn new(links: Vec<Hyperlink>, screen: Rect) -> Self {
        let mut at = HashMap::new();
        let fit = |link: &Hyperlink| link.address.len() <= MAX_ADDRESS_BYTES;
        for (number, link) in links.iter().enumerate().filter(|(_, link)| fit(link)) {
            at.extend(link.area.intersection(screen).positions().map(|place| (place, number)));
        }
        Self { links, at }
    }

    fn get(&self, place: Position) -> Option<(u64, &str)> {
        let link = self.links.get(*self.at.get(&place)?)?;
        Some((link.id, &link.address))
    }
}

/// The links of a frame, on their way from the view that draws it to the backend that writes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links(Arc<Mutex<Cells>>);

impl Links {
    /// These are the links of this frame. Cells whose link is another one than in the frame before count as changed: their text
    /// alone may be the same.
    pub(crate) fn set(&self, links: Vec<Hyperlink>, frame: &mut Buffer) {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.links == links {
            return;
        }
        let now = Cells::new(links, frame.area);
        for place in cells.at.keys().chain(now.at.keys()) {
            if cells.get(*place) != now.get(*place)
                && let Some(cell) = frame.cell_mut(*place)
            {
                cell.set_diff_option(CellDiffOption::AlwaysUpdate);
            }
        }
        *cells = now;
    }
}

/// A terminal that marks hyperlinks.
pub(crate) struct Backend<W: Write> {
    inner: CrosstermBackend<W>,
    links: Links,
}

impl<W: Write> Backend<W> {
    pub(crate) const fn new(output: W, links: Links) -> Self {
        Self { inner: CrosstermBackend::new(output), links }
    }
}

impl<W: Write> ratatui::backend::Backend for Backend<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let cells = self.links.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.at.is_empty() {
            return self.inner.draw(content);
        }
        let all: Vec<_> = content.collect();
        let of = |(x, y, _): &(u16, u16, &Cell)| cells.get(Position { x: *x, y: *y });
        for run in all.chunk_by(|a, b| of(a) == of(b)) {
            let link = run.first().and_then(of);
            if let Some((id, address)) = link {
                write!(self.inner, "\x1b]8;id={id:x};{address}\x1b\\")?;
            }
            self.inner.draw(run.iter().copied())?;
            if link.is_some() {
                self.inner.write_all(b"\x1b]8;;\x1b\\")?;
            }
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.inner.clear_region(region)
    }

    fn append_lines(&mut self, lines: u16) -> io::Result<()> {
        self.inner.append_lines(lines)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        ratatui::backend::Backend::flush(&mut self.inner)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, TerminalOptions, Viewport, style::Style};

    use super::*;

    #[derive(Clone, Default)]
    struct Bytes(Arc<Mutex<Vec<u8>>>);

    impl Write for Bytes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Output {
        terminal: Terminal<Backend<Bytes>>,
        links: Links,
        bytes: Bytes,
    }

    impl Output {
        fn new() -> Self {
            let (links, bytes) = (Links::default(), Bytes::default());
            let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, 30, 2)) };
            let terminal = Terminal::with_options(Backend::new(bytes.clone(), links.clone()), options).unwrap();
            Self { terminal, links, bytes }
        }

        /// Draws a frame; what was written: pieces of text, each with the link it is in.
        fn draw(&mut self, text: &str, links: &[Hyperlink]) -> Vec<(String, String)> {
            let shared = self.links.clone();
            let draw = |frame: &mut ratatui::Frame<'_>| {
                frame.buffer_mut().set_string(0, 0, text, Style::new());
                shared.set(links.to_vec(), frame.buffer_mut());
            };
            self.terminal.draw(draw).unwrap();
            let written = String::from_utf8(std::mem::take(&mut *self.bytes.0.lock().unwrap())).unwrap();
            let mut pieces: Vec<(String, String)> = Vec::new();
            let mut link = String::new();
            for part in written.split('\x1b').skip(1) {
                let text = match part.strip_prefix("]8;") {
                    Some(opened) => {
                        link = opened.split_once(';').unwrap().1.to_owned();
                        ""
                    }
                    // The end of the sequence before, or a CSI and what it stands before.
                    None => part.strip_prefix('\\').or_else(|| Some(part.split_once(char::is_alphabetic)?.1)).unwrap(),
                };
                if !text.is_empty() {
                    pieces.push((link.clone(), text.to_owned()));
                }
            }
            assert_eq!(link, "", "every link is closed");
            pieces
        }
    }

    fn link(x: u16, width: u16, address: &str) -> Hyperlink {
        Hyperlink { area: Rect::new(x, 0, width, 1), id: 7, address: address.to_owned() }
    }

    fn piece(link: &str, text: &str) -> (String, String) {
        (link.to_owned(), text.to_owned())
    }

    #[test]
    fn cells_of_an_address_are_written_inside_its_link() {
        let mut output = Output::new();
        let (a, b) = ("https://a.org", "https://b.org");
        let links = [link(4, 13, a)];
        let shown = output.draw("see https://a.org now", &links);
        assert_eq!(shown, [piece("", "see"), piece(a, a), piece("", "now")]);
        output.draw("see https://a.org now", &links);
        assert!(output.draw("see https://a.org now", &links).is_empty(), "what stays is not written again and again");
        let shown = output.draw("see https://a.org now", &[link(4, 13, b)]);
        assert_eq!(shown, [piece(b, a)], "the text is the same, the link is another");
        let shown = output.draw("see https://a.org now", &[]);
        assert_eq!(shown, [piece("", a)], "no link any more");
    }

    #[test]
    fn what_does_not_fit_the_screen_or_the_sequence_is_text() {
        let mut output = Output::new();
        let long = format!("https://{}", "a".repeat(MAX_ADDRESS_BYTES));
        let shown = output.draw("世 x", &[link(0, 2, &long), link(29, 40, "https://a.org")]);
        assert_eq!(shown, [piece("", "世"), piece("", "x"), piece("https://a.org", " ")]);
        let a = "https://a.org/世";
        let shown = Output::new().draw("世界 x", &[link(0, 4, a)]);
        assert_eq!(shown, [piece(a, "世"), piece(a, "界"), piece("", "x")], "each wide character once");
    }
}
