//! A running program and its terminal.

use std::{
    collections::VecDeque,
    fmt,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    panic::Location,
    process::{Child, Command, ExitStatus},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use pty_process::{Size, blocking};
use rustix::{
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
    termios::{Termios, tcgetattr},
};
use vt100::{MouseProtocolMode, Parser, Screen};

use crate::emulator::Heard;

/// Nothing here takes longer on a busy machine; what does, hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// A program that writes more than this draws without end.
const MAX_RAW_BYTES: usize = 16 << 20;

/// Bytes read at once.
const CHUNK_BYTES: usize = 4096;

/// Why something did not happen, with the screen as it was then.
pub struct Failed(String);

impl Failed {
    fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As people read it: a test that returns it prints it this way.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// What waiting comes to.
pub type Result<T> = std::result::Result<T, Failed>;

/// A program, the terminal that it draws on, and the person before it. The program is killed when this is dropped.
pub struct Terminal {
    child: Child,
    pty: Arc<blocking::Pty>,
    /// Kept open, as a shell does: the terminal's modes are lost with the last one who has it open.
    pts: Option<blocking::Pts>,
    modes: Termios,
    output: Receiver<Vec<u8>>,
    /// Received, not yet shown.
    pending: VecDeque<u8>,
    parser: Parser<Heard>,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts a program as the leader of a new session on a terminal of this size.
    ///
    /// # Errors
    /// No terminal, or no program.
    pub fn start(command: Command, columns: u16, rows: u16) -> Result<Self> {
        let (pty, pts) = blocking::open().map_err(Failed::new)?;
        pty.resize(Size::new(rows, columns)).map_err(Failed::new)?;
        let modes = tcgetattr(&pts).map_err(Failed::new)?;
        let child = blocking::Command::from(command).spawn_borrowed(&pts).map_err(Failed::new)?;
        let pty = Arc::new(pty);
        let (sender, output) = mpsc::channel();
        let reader = Arc::clone(&pty);
        thread::spawn(move || {
            let mut buffer = [0; CHUNK_BYTES];
            // Reading fails once the last process has closed the terminal.
            while let Ok(read @ 1..) = (&*reader).read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let parser = Parser::new_with_callbacks(size(rows)?, size(columns)?, 0, Heard::default());
        let (pts, pending, raw) = (Some(pts), VecDeque::new(), Vec::new());
        Ok(Self { child, pty, pts, modes, output, pending, parser, raw })
    }

    /// The program's process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Presses keys, or anything else that a terminal sends; see [`crate::keys`].
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn send(&mut self, keys: &str) -> Result<()> {
        (&*self.pty).write_all(keys.as_bytes()).map_err(Failed::new)
    }

    /// Gives the window another size.
    ///
    /// # Errors
    /// The terminal is gone, or a size of nothing.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Result<()> {
        self.parser.set_size(size(rows)?, size(columns)?);
        self.pty.resize(Size::new(rows, columns)).map_err(Failed::new)
    }

    /// Sends the program a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).map_err(Failed::new)
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.id()).ok().and_then(Pid::from_raw).ok_or_else(|| Failed::new("no process"))
    }

    /// Waits until the screen shows this on one row.
    ///
    /// # Errors
    /// It does not.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        self.wait_until(&format!("{text:?} is shown"), |terminal| terminal.shows(text))
    }

    /// Waits until no row of the screen shows this.
    ///
    /// # Errors
    /// One does.
    #[track_caller]
    pub fn wait_gone(&mut self, text: &str) -> Result<()> {
        self.wait_until(&format!("{text:?} is gone"), |terminal| !terminal.shows(text))
    }

    /// Waits until something holds of a whole picture; `what` names it.
    ///
    /// # Errors
    /// It does not hold within a minute, or the program ended before.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) -> Result<()> {
        let from = Location::caller();
        let until = Instant::now() + DEADLINE;
        loop {
            if !self.parser.callbacks().updating && holds(self) {
                return Ok(());
            }
            if let Err(why) = self.advance(until) {
                return Err(Failed(format!("{from}: waited until {what}: {why}\n{self}")));
            }
        }
    }

    /// Shows what was received up to the end of one picture, or waits for more.
    fn advance(&mut self, until: Instant) -> Result<()> {
        if self.pending.is_empty() {
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.pending.extend(bytes),
                Err(RecvTimeoutError::Timeout) => return Err(Failed::new("time ran out")),
                Err(RecvTimeoutError::Disconnected) => return Err(Failed::new("the program ended")),
            }
        }
        let frames = self.parser.callbacks().frames;
        while let Some(byte) = self.pending.pop_front() {
            self.raw.push(byte);
            self.parser.process(&[byte]);
            if self.parser.callbacks().frames != frames {
                break;
            }
        }
        if self.raw.len() > MAX_RAW_BYTES {
            return Err(Failed::new("the program draws without end"));
        }
        let answers = std::mem::take(&mut self.parser.callbacks_mut().answers);
        (&*self.pty).write_all(&answers).map_err(Failed::new)
    }

    /// Waits until the program has stopped itself, as for ^Z. What it wrote before may still be on its way here.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait_stopped(&self) -> Result<()> {
        self.wait_state(WaitIdOptions::STOPPED, "it does not stop")
    }

    /// Waits for the program's end, and until nobody else has the terminal open.
    ///
    /// # Errors
    /// It goes on, or something that it started does.
    pub fn wait_end(&mut self) -> Result<ExitStatus> {
        self.wait_state(WaitIdOptions::EXITED, "it does not end")?;
        let status = self.child.wait().map_err(Failed::new)?;
        let after = self.modes()?;
        let until = Instant::now() + DEADLINE;
        self.pts = None;
        while self.output_goes_on(until)? {}
        if !same(&self.modes, &after) {
            return Err(Failed::new("the terminal's modes are not as before"));
        }
        Ok(status)
    }

    fn output_goes_on(&mut self, until: Instant) -> Result<bool> {
        match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(bytes) => {
                self.pending.extend(bytes);
                while !self.pending.is_empty() {
                    self.advance(until)?;
                }
                Ok(true)
            }
            Err(RecvTimeoutError::Disconnected) => Ok(false),
            Err(RecvTimeoutError::Timeout) => Err(Failed::new("something still has the terminal open")),
        }
    }

    fn wait_state(&self, state: WaitIdOptions, not: &str) -> Result<()> {
        let pid = self.pid()?;
        let (sender, done) = mpsc::channel();
        // Left there to be seen again: the process is reaped by its owner.
        thread::spawn(move || {
            let _ = sender.send(waitid(WaitId::Pid(pid), state | WaitIdOptions::NOWAIT).map(drop));
        });
        match done.recv_timeout(DEADLINE) {
            Ok(ended) => ended.map_err(Failed::new),
            Err(_) => Err(Failed(format!("{not}\n{self}"))),
        }
    }

    /// The screen, cell by cell.
    #[must_use]
    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// The screen's rows as text.
    #[must_use]
    pub fn rows(&self) -> Vec<String> {
        let (_, columns) = self.screen().size();
        self.screen().rows(0, columns.get()).collect()
    }

    /// Whether one row has this.
    #[must_use]
    pub fn shows(&self, text: &str) -> bool {
        self.rows().iter().any(|row| row.contains(text))
    }

    /// The row and column of the first cell of the first such text.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<(u16, u16)> {
        let (rows, columns) = self.screen().size();
        let cell = |row, column| self.screen().cell(row, column);
        (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column))).find(|&(row, column)| {
            let mut rest = text;
            for column in column..columns.get() {
                let Some(cell) = cell(row, column) else { return false };
                if cell.is_wide_continuation() {
                    continue;
                }
                let content = if cell.has_contents() { cell.contents() } else { " " };
                match rest.strip_prefix(content) {
                    Some("") => return true,
                    Some(after) => rest = after,
                    None => return false,
                }
            }
            false
        })
    }

    /// The cell at which such a text begins.
    #[must_use]
    pub fn cell_of(&self, text: &str) -> Option<&vt100::Cell> {
        self.find(text).and_then(|(row, column)| self.screen().cell(row, column))
    }

    /// Everything that was sent to the terminal so far.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The window's title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.parser.callbacks().title
    }

    /// What was put into the clipboard (OSC 52): base64, the newest last.
    #[must_use]
    pub fn copied(&self) -> &[String] {
        &self.parser.callbacks().copied
    }

    /// Notices (OSC 9 and 777), the newest last.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.parser.callbacks().notices
    }

    /// How often the bell rang.
    #[must_use]
    pub fn bells(&self) -> usize {
        self.parser.callbacks().bells
    }

    /// What of the terminal's state is not as a shell needs it. Empty: it was given back.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn not_given_back(&self) -> Result<Vec<&'static str>> {
        let (screen, heard) = (self.screen(), self.parser.callbacks());
        let same_modes = self.pts.is_none() || same(&self.modes, &self.modes()?);
        Ok([
            (screen.alternate_screen(), "alternate screen"),
            (screen.hide_cursor(), "hidden cursor"),
            (screen.bracketed_paste(), "bracketed paste"),
            (screen.mouse_protocol_mode() != MouseProtocolMode::None, "mouse"),
            (heard.focus, "focus events"),
            (heard.keyboard != 0, "keyboard flags"),
            (heard.updating, "synchronized update"),
            (!heard.title.is_empty(), "title"),
            (!same_modes, "modes (raw)"),
        ]
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
        .collect())
    }

    fn modes(&self) -> Result<Termios> {
        tcgetattr(&*self.pty).map_err(Failed::new)
    }
}

impl fmt::Display for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, columns) = self.screen().size();
        writeln!(f, "the screen, {columns}x{rows}:")?;
        self.rows().iter().try_for_each(|row| writeln!(f, "  |{row}"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn same(one: &Termios, other: &Termios) -> bool {
    one.local_modes == other.local_modes
        && one.input_modes == other.input_modes
        && one.output_modes == other.output_modes
        && one.control_modes == other.control_modes
}

fn size(cells: u16) -> Result<NonZeroU16> {
    NonZeroU16::new(cells).ok_or_else(|| Failed::new("a terminal of no size"))
}
