//! The terminal: taken over and given back in pairs, whatever ends the program.

use std::io::{self, BufWriter, Stdout, Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use crossterm::{
    cursor::Show,
    event::{
        DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
        EnableMouseCapture, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
    },
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, SetTitle,
        disable_raw_mode, enable_raw_mode,
    },
};
use ratatui::{Terminal, backend::CrosstermBackend};
use rustix::process::{Signal, kill_current_process_group};

use crate::{app::App, config::Notify, text, view};

/// Room for a whole frame: it reaches the terminal in one piece.
const FRAME_BYTES: usize = 64 * 1024;

/// Longest text for the clipboard; terminals refuse about so much.
const MAX_CLIPBOARD_BYTES: usize = 74_000;

/// Columns of a notification.
const NOTIFICATION: usize = 120;

/// The terminal in its drawing state; given back when dropped.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal over. A panic gives it back before it is reported.
    pub(crate) fn open(mouse: bool) -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        take_over(mouse).inspect_err(|_| give_back())?;
        let output = BufWriter::with_capacity(FRAME_BYTES, io::stdout());
        match Terminal::new(CrosstermBackend::new(output)) {
            Ok(terminal) => Ok(Self { terminal, mouse }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    pub(crate) fn draw(&mut self, app: &App) -> io::Result<()> {
        queue!(io::stdout(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::draw(frame, app))?;
        execute!(io::stdout(), EndSynchronizedUpdate)
    }

    /// Forgets what is on the screen: the next frame is drawn whole.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Back to the shell, until somebody brings us to the foreground.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // The whole group, so that what started us (cargo, a script) stops with us.
        kill_current_process_group(Signal::STOP)?;
        take_over(self.mouse)?;
        self.terminal.clear()
    }

    pub(crate) fn title(&mut self, title: &str) -> io::Result<()> {
        execute!(io::stdout(), SetTitle(text::line(title)))
    }

    /// To the clipboard of the terminal, also through ssh and tmux (OSC 52).
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<bool> {
        if text.len() > MAX_CLIPBOARD_BYTES {
            return Ok(false);
        }
        let mut output = io::stdout();
        write!(output, "\x1b]52;c;{}\x07", BASE64_STANDARD.encode(text))?;
        output.flush()?;
        Ok(true)
    }

    /// Says that somebody wrote.
    pub(crate) fn notify(&mut self, how: Notify, title: &str, body: &str) -> io::Result<()> {
        let mut output = io::stdout();
        let title = text::fit(&text::line(title), NOTIFICATION).replace(';', ",");
        let body = text::fit(&text::line(body), NOTIFICATION).into_owned();
        match how {
            Notify::Off => return Ok(()),
            Notify::Bell => {}
            Notify::Osc9 => write!(output, "\x1b]9;{title}: {body}\x1b\\")?,
            Notify::Osc777 => write!(output, "\x1b]777;notify;{title};{body}\x1b\\")?,
        }
        output.write_all(b"\x07")?;
        output.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    let mut output = io::stdout();
    // Terminals that do not know the keyboard flags ignore them; asking first would cost a round trip.
    execute!(
        output,
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableFocusChange,
        PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES)
    )?;
    if mouse {
        execute!(output, EnableMouseCapture)?;
    }
    Ok(())
}

/// Everything back, in the reverse order. Nothing better can be done about a terminal that is gone, so failures are passed over.
fn give_back() {
    let mut output = io::stdout();
    let _ = execute!(output, DisableMouseCapture);
    let _ = execute!(output, PopKeyboardEnhancementFlags);
    let _ = execute!(output, DisableFocusChange, DisableBracketedPaste, SetTitle(""));
    let _ = execute!(output, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
