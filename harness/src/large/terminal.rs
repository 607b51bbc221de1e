//! A program in a pseudo-terminal, and the moments at which its frames are complete.
//!
//! `subrosa-pty` is for tests and pictures: it keeps every byte and looks at each. Here nothing is kept, and the time of a frame is
//! taken where it is read, so that what the emulator costs is not measured.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    process::{Child, Command},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use pty_process::{Size, blocking};

/// Columns and rows of the terminal: a large window.
pub(super) const SIZE: (NonZeroU16, NonZeroU16) = (NonZeroU16::new(120).unwrap(), NonZeroU16::new(40).unwrap());

/// What a program writes when a frame is complete (synchronized output).
const FRAME_END: &[u8] = b"\x1b[?2026l";

/// Chunks of output that wait to be looked at: more than any frame has. Beyond it the program waits, as at a slow terminal.
const CHUNKS: usize = 1_024;

/// A program on a terminal.
pub(super) struct Terminal {
    child: Child,
    pty: Arc<blocking::Pty>,
    output: Receiver<(Instant, Vec<u8>)>,
    screen: vt100::Parser,
    /// What came and was not yet shown: frames are looked at one by one.
    rest: Vec<u8>,
    rest_at: Instant,
    /// Frames so far.
    pub(super) frames: u64,
}

impl Terminal {
    /// Starts the program as the leader of a new session on a terminal.
    pub(super) fn start(mut command: Command) -> Result<Self> {
        let (columns, rows) = SIZE;
        let (pty, pts) = blocking::open()?;
        pty.resize(Size::new(rows.get(), columns.get()))?;
        command.env("TERM", "xterm-256color");
        let child = blocking::Command::from(command).spawn(pts)?;
        let pty = Arc::new(pty);
        let reader = Arc::clone(&pty);
        let (sender, output) = mpsc::sync_channel(CHUNKS);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            // Reading fails once the last process has closed the terminal.
            while let Ok(read @ 1..) = (&*reader).read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..read].to_vec())).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            pty,
            output,
            screen: vt100::Parser::new(rows, columns, 0),
            rest: Vec::new(),
            rest_at: Instant::now(),
            frames: 0,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the screen shows, a line a row.
    pub(super) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Where the cursor is in its row.
    pub(super) fn cursor_column(&self) -> u16 {
        self.screen.screen().cursor_position().1
    }

    /// Presses keys; gives the moment.
    pub(super) fn press(&mut self, keys: &[u8]) -> Result<Instant> {
        let at = Instant::now();
        (&*self.pty).write_all(keys)?;
        Ok(at)
    }

    /// Waits for the next complete frame; gives the moment it was complete, or nothing in this time.
    pub(super) fn frame(&mut self, longest: Duration) -> Result<Option<Instant>> {
        let until = Instant::now() + longest;
        loop {
            if let Some(at) = find(&self.rest, FRAME_END) {
                let frame: Vec<u8> = self.rest.drain(..at + FRAME_END.len()).collect();
                self.screen.process(&frame);
                self.frames += 1;
                return Ok(Some(self.rest_at));
            }
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((at, chunk)) => {
                    self.rest.extend(chunk);
                    self.rest_at = at;
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => bail!("the program ended:\n{}", self.text()),
            }
        }
    }

    /// Waits for a frame that shows it.
    pub(super) fn wait(&mut self, longest: Duration, mut shown: impl FnMut(&vt100::Screen) -> bool) -> Result<Instant> {
        let until = Instant::now() + longest;
        loop {
            match self.frame(until.saturating_duration_since(Instant::now()))? {
                Some(at) if shown(self.screen.screen()) => return Ok(at),
                Some(_) => {}
                None => bail!("not shown in {longest:?}:\n{}", self.text()),
            }
        }
    }

    /// The time from the press of keys until a frame shows what they do.
    pub(super) fn respond(&mut self, keys: &[u8], shown: impl FnMut(&vt100::Screen) -> bool) -> Result<Duration> {
        /// Far beyond any target: longer is broken, not slow.
        const LONGEST: Duration = Duration::from_secs(20);
        self.take_over();
        let pressed = self.press(keys)?;
        Ok(self.wait(LONGEST, shown)?.saturating_duration_since(pressed))
    }

    /// Takes in all frames that are complete already.
    pub(super) fn take_over(&mut self) {
        while let Ok(Some(_)) = self.frame(Duration::ZERO) {}
    }

    /// Resident memory of the program, in KiB.
    pub(super) fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        field(&status, "VmRSS:").context("VmRSS")
    }

    /// How often each of its threads gave up its processor to wait for something, by thread: as many wake-ups.
    pub(super) fn waits(&self) -> Result<BTreeMap<OsString, u64>> {
        let mut waits = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let task = task?;
            // A thread may have ended meanwhile.
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            waits.insert(task.file_name(), field(&status, "voluntary_ctxt_switches:").unwrap_or(0));
        }
        Ok(waits)
    }

    /// Leaves the program by its key and waits for its end.
    pub(super) fn leave(mut self) -> Result<()> {
        self.press(b"\x11")?;
        while self.output.recv().is_ok() {}
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ended already, if it was left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
