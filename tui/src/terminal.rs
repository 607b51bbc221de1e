//! The terminal: taken over and given back in pairs, whatever ends the program.

use std::{
    cell::Cell,
    io::{self, BufWriter, Stdout, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

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
use ratatui::Terminal;
use rustix::process::{Signal, kill_current_process_group};
use tokio::sync::Notify as Event;

use crate::{
    app::App,
    config::Notify,
    hyperlink::{Backend, Links},
    text, view,
};

/// Room for a whole frame: it reaches the terminal in one piece.
const FRAME_BYTES: usize = 64 * 1024;

/// Longest text for the clipboard; terminals refuse about so much.
const MAX_CLIPBOARD_BYTES: usize = 74_000;

/// Columns of a notification.
const NOTIFICATION: usize = 120;

/// The terminal is in its drawing state. What is written while it is not would be written over the shell.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Something panicked, on whatever thread: the terminal was given back, and the report stands on it.
static PANICKED: Event = Event::const_new();

/// Held while a frame is written: a report of another thread waits for its end, so that no frame comes over it.
static FRAME: Mutex<()> = Mutex::new(());

thread_local! {
    /// This thread holds [`FRAME`].
    static DRAWS: Cell<bool> = const { Cell::new(false) };
}

/// A thread that writes a frame.
struct Drawing;

impl Drawing {
    fn begin() -> Self {
        DRAWS.set(true);
        Self
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        DRAWS.set(false);
    }
}

/// The terminal in its drawing state; given back when dropped.
pub(crate) struct Screen {
    terminal: Terminal<Backend<BufWriter<Stdout>>>,
    mouse: bool,
    /// Inside tmux.
    tmux: bool,
    /// `None`: addresses are text.
    links: Option<Links>,
}

impl Screen {
    /// Takes the terminal over. A panic gives it back before it is reported.
    pub(crate) fn open(mouse: bool, hyperlinks: bool) -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let written = (!DRAWS.get()).then(|| FRAME.lock().unwrap_or_else(PoisonError::into_inner));
            give_back();
            drop(written);
            before(panic);
            PANICKED.notify_one();
        }));
        take_over(mouse).inspect_err(|_| give_back())?;
        let output = BufWriter::with_capacity(FRAME_BYTES, io::stdout());
        let links = Links::default();
        match Terminal::new(Backend::new(output, links.clone())) {
            Ok(terminal) => {
                let tmux = std::env::var_os("TMUX").is_some();
                Ok(Self { terminal, mouse, tmux, links: hyperlinks.then_some(links) })
            }
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
        let _one = FRAME.lock().unwrap_or_else(PoisonError::into_inner);
        let _drawing = Drawing::begin();
        if !taken() {
            return Ok(());
        }
        queue!(io::stdout(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            let shown = view::draw(frame, app);
            if let Some(links) = &self.links {
                links.set(shown, frame.buffer_mut());
            }
        })?;
        execute!(io::stdout(), EndSynchronizedUpdate)
    }

    /// Forgets what is on the screen: the next frame is drawn whole.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        // `Terminal::clear` asks where the cursor is, and whoever reads the keys would get the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Back to the shell. When somebody brings us to the foreground, SIGCONT comes, which is for [`Self::resume`].
    pub(crate) fn suspend() -> io::Result<()> {
        give_back();
        // The whole group, so that what started us (cargo, a script) stops with us.
        Ok(kill_current_process_group(Signal::STOP)?)
    }

    /// Takes the terminal over again, whether or not there was time to give it back.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        give_back();
        take_over(self.mouse)?;
        self.redraw()
    }

    pub(crate) fn title(&mut self, title: &str) -> io::Result<()> {
        if !taken() {
            return Ok(());
        }
        execute!(io::stdout(), window_title(title))
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
        if !taken() {
            return Ok(());
        }
        let Some(notice) = notice(how, title, body, self.tmux) else { return Ok(()) };
        let mut output = io::stdout();
        output.write_all(notice.as_bytes())?;
        output.flush()
    }
}

/// What names the window. A title may hold what others say.
pub(crate) fn window_title(title: &str) -> SetTitle<String> {
    SetTitle(text::line(title))
}

/// What the terminal is told: the bell, and words for those that understand them. tmux hands on only what is wrapped.
pub(crate) fn notice(how: Notify, title: &str, body: &str, tmux: bool) -> Option<String> {
    let title = text::fit(&text::line(title), NOTIFICATION).replace(';', ",");
    let body = text::fit(&text::line(body), NOTIFICATION).into_owned();
    let words = match how {
        Notify::Off => return None,
        Notify::Bell => String::new(),
        Notify::Osc9 => format!("\x1b]9;{title}: {body}\x1b\\"),
        Notify::Osc777 => format!("\x1b]777;notify;{title};{body}\x1b\\"),
    };
    let wrapped = tmux && !words.is_empty();
    let words = if wrapped { format!("\x1bPtmux;{}\x1b\\", words.replace('\x1b', "\x1b\x1b")) } else { words };
    Some(words + "\x07")
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Waits until something panicked anywhere.
pub(crate) async fn panicked() -> io::Error {
    PANICKED.notified().await;
    io::Error::other("a part of it failed and said why above")
}

fn taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

fn take_over(mouse: bool) -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
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
    // Leaving the screen twice would put the cursor back over what was reported in between.
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut output = io::stdout();
    // A panic while drawing leaves an update open.
    let _ = execute!(output, EndSynchronizedUpdate, DisableMouseCapture);
    let _ = execute!(output, PopKeyboardEnhancementFlags);
    let _ = execute!(output, DisableFocusChange, DisableBracketedPaste, SetTitle(""));
    let _ = execute!(output, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_clean_and_get_through_tmux() {
        let hostile = ("a;b\x1b]0;x\x07", "text\x1b\\\nmore\u{9c}");
        let told = |how, tmux| notice(how, hostile.0, hostile.1, tmux);
        assert_eq!(told(Notify::Off, false), None);
        assert_eq!(told(Notify::Bell, true).as_deref(), Some("\x07"));
        assert_eq!(told(Notify::Osc9, false).as_deref(), Some("\x1b]9;a,b]0,x: text\\ more\x1b\\\x07"));
        assert_eq!(
            told(Notify::Osc777, true).as_deref(),
            Some("\x1bPtmux;\x1b\x1b]777;notify;a,b]0,x;text\\ more\x1b\x1b\\\x1b\\\x07")
        );
    }
}
