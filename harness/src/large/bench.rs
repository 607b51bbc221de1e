//! What the interface does with an account, measured at the real program in a pseudo-terminal.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use subrosa_client_core::api::{Chats, ChatsParams, History, HistoryParams, Hits, SearchParams, SendParams, Sent};
use tokio::task::block_in_place;

use super::{Manifest, OWNER, PATIENCE, PEER, key_file, relay, terminal::Terminal, words::RARE};
use crate::{
    account::Account,
    keeper::{Keeper, Program},
    measure::{Times, surroundings},
};

/// Page up.
const PAGE_UP: &[u8] = b"\x1b[5~";

/// Starts measured.
const STARTS: usize = 11;

/// Keys pressed while nothing else happens, and while messages pour in.
const KEYS: usize = 400;

/// Letters in a row, before they are taken back: they stay in one line.
const LETTERS: &[u8] = b"the quick brown fox jumps over the lazy dog";

/// Between two keys of a quick typist.
const BETWEEN: Duration = Duration::from_millis(30);

/// Connections that send at once while messages pour in.
const SENDERS: usize = 12;

/// Presses that move nothing in a row before the top is taken to be reached.
const AT_TOP: usize = 200;

/// A press that has shown nothing for so long is repeated, as a held key is.
const REPEAT: Duration = Duration::from_millis(16);

/// Searches of each query.
const SEARCHES: usize = 40;

/// How long an idle interface is watched.
const IDLE: Duration = Duration::from_secs(10);

/// What people look for: frequent words, what a program writes, seldom and absent ones, several, beginnings of all lengths,
/// scripts without spaces.
const QUERIES: &[&str] = &[
    "the",
    "information",
    "tomorrow meeting",
    "und",
    "Besprechung",
    "завтра",
    "会議",
    "ありがとう",
    "build",
    "finished seconds",
    RARE,
    "notthere",
    "the build",
    "t",
    "th",
    "to",
    "tom",
    "tomo",
    "tomor",
    "inte",
    "intern",
    "infor",
    "vielle",
    "unte",
    "build numb",
    "numb",
    "seco",
    "https",
    "quok",
    "🙂",
];

/// What was measured of one account.
#[derive(Debug, Default)]
pub struct Figures {
    /// Messages in it.
    pub messages: usize,
    /// From the start of the process to the first frame with chats.
    pub start: Times,
    /// From Enter to the largest chat with messages.
    pub open: Times,
    /// Key to frame, nothing else happening.
    pub quiet: Times,
    /// Key to frame while messages come into the open chat.
    pub pouring: Times,
    /// Messages a second that came meanwhile.
    pub poured_per_second: f64,
    /// A page up, from the largest chat's end to its beginning: press to the frame that moved.
    pub scroll: Times,
    /// Messages passed on the way.
    pub scrolled: usize,
    /// Presses that had to be repeated because a page was not there yet.
    pub stalls: usize,
    /// Resident memory in KiB before, at most while, and after scrolling.
    pub memory: (u64, u64, u64),
    /// To the oldest message and back to the newest, by a key.
    pub oldest: Times,
    /// See `oldest`.
    pub newest: Times,
    /// 50 hits, by query.
    pub searches: Vec<(String, usize, Times)>,
    /// The list of all chats.
    pub chats: Times,
    /// Wake-ups of all threads and frames of an idle interface in [`IDLE`].
    pub idle: (u64, u64),
}

impl Figures {
    /// All searches together.
    #[must_use]
    pub fn search(&self) -> Times {
        let mut all = Times::default();
        for (_, _, times) in &self.searches {
            all.extend(times);
        }
        all
    }
}

/// A key in a plain terminal: what the system takes for a key there and back.
///
/// # Errors
/// `cat` does not run.
pub fn echo() -> Result<Times> {
    let mut command = std::process::Command::new("sh");
    // Each key comes back as a frame.
    command
        .args(["-c", "stty -echo -icanon min 1; while :; do dd bs=1 count=1 2>/dev/null; printf '\\033[?2026l'; done"]);
    let mut terminal = Terminal::start(command)?;
    std::thread::sleep(Duration::from_millis(300));
    let mut times = Times::default();
    for _ in 0..KEYS / 4 {
        times.add(terminal.respond(b"x", |_| true)?);
        std::thread::sleep(BETWEEN / 3);
    }
    Ok(times)
}

/// Measures the account in a folder that `large-account` made.
///
/// # Errors
/// Something does not start, or does not show what it should.
pub async fn measure(folder: &Path, told: impl Fn(&str)) -> Result<Figures> {
    let folder = folder.canonicalize()?;
    let manifest = Manifest::read(&folder)?;
    let around = surroundings(&folder)?;
    let relay = Keeper::start("relay", relay(&folder, manifest.port), &around, &[]);
    relay.serving().await?;
    let peer = Account::existing(&around.programs, &folder, PEER, &manifest.peer);
    let engine = Keeper::start(PEER, Program::Engine(peer.clone()), &around, &[]);
    engine.serving().await?;
    let owner = Account::existing(&around.programs, &folder, OWNER, &manifest.owner);
    let mut bench = Bench { owner, peer, manifest, key: key_file(&folder), figures: Figures::default() };
    bench.figures.messages = bench.manifest.size.messages;
    told("start");
    let mut terminal = bench.starts()?;
    told("idle");
    bench.idle(&mut terminal)?;
    told("open");
    bench.opened(&mut terminal)?;
    told("keys");
    bench.figures.quiet = block_in_place(|| type_keys(&mut terminal))?;
    told("search");
    bench.searched().await?;
    told("scrolling");
    bench.scrolled(&mut terminal).await?;
    told("pouring");
    bench.poured(&mut terminal).await?;
    block_in_place(|| terminal.leave())?;
    engine.stop().await;
    relay.stop().await;
    Ok(bench.figures)
}

struct Bench {
    owner: Account,
    peer: Account,
    manifest: Manifest,
    key: PathBuf,
    figures: Figures,
}

/// Longest wait for a screen that is to come.
const LONGEST: Duration = Duration::from_secs(30);

impl Bench {
    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(self.owner.command().as_std().get_program());
        command.env("SUBROSA_HOME", &self.owner.home).env("SUBROSA_KEY_FILE", &self.key);
        command.env_remove("SUBROSA_PASSPHRASE_FILE").env_remove("NO_COLOR").env("COLORTERM", "truecolor");
        command
    }

    /// Several starts; the last one stays.
    fn starts(&mut self) -> Result<Terminal> {
        block_in_place(|| {
            let mut terminal: Option<Terminal> = None;
            for _ in 0..STARTS {
                if let Some(terminal) = terminal.take() {
                    terminal.leave()?;
                }
                let began = Instant::now();
                let mut started = Terminal::start(self.command())?;
                // A row of the list has a time or a day beside its name; without chats there is none.
                let at = started.wait(LONGEST, |screen| listed(&screen.contents()))?;
                self.figures.start.add(at.saturating_duration_since(began));
                terminal = Some(started);
            }
            terminal.context("a start")
        })
    }

    fn idle(&mut self, terminal: &mut Terminal) -> Result<()> {
        block_in_place(|| {
            // What comes after the start: the connection, what waited at the relay.
            std::thread::sleep(Duration::from_secs(3));
            terminal.take_over();
            let before = (terminal.waits()?, terminal.frames);
            std::thread::sleep(IDLE);
            terminal.take_over();
            let wakes = terminal
                .waits()?
                .iter()
                .map(|(thread, waits)| waits.saturating_sub(before.0.get(thread).copied().unwrap_or(0)))
                .sum();
            self.figures.idle = (wakes, terminal.frames - before.1);
            Ok(())
        })
    }

    /// Opens the largest chat through the palette, as somebody would who knows the name.
    fn opened(&mut self, terminal: &mut Terminal) -> Result<()> {
        block_in_place(|| {
            terminal.respond(b"\x0b", |_| true)?;
            for at in 1..=PEER.len() {
                terminal.respond(&PEER.as_bytes()[at - 1..at], |screen| screen.contents().contains(&PEER[..at]))?;
            }
            let took = terminal
                .respond(b"\r", |screen| title(screen).contains(PEER) && !shown_line(&screen.contents()).is_empty())?;
            self.figures.open.add(took);
            Ok(())
        })
    }

    async fn searched(&mut self) -> Result<()> {
        let mut rpc = self.owner.rpc().await?;
        for query in QUERIES {
            let params = SearchParams { query: (*query).to_owned(), limit: Some(50), ..SearchParams::default() };
            let mut times = Times::default();
            let mut found = 0;
            for _ in 0..SEARCHES {
                let began = Instant::now();
                let hits: Hits = rpc.call("search", &params, PATIENCE).await?;
                times.add(began.elapsed());
                found = hits.hits.len();
            }
            self.figures.searches.push(((*query).to_owned(), found, times));
        }
        for _ in 0..SEARCHES {
            let began = Instant::now();
            let chats: Chats = rpc.call("chats", &ChatsParams::default(), PATIENCE).await?;
            self.figures.chats.add(began.elapsed());
            ensure!(!chats.chats.is_empty(), "no chats");
        }
        Ok(())
    }

    /// What the first message of the largest chat begins with.
    async fn first_word(&self) -> Result<String> {
        let mut rpc = self.owner.rpc().await?;
        let chat = self.peer.id.clone();
        let params = HistoryParams { chat, limit: Some(1), oldest: true, ..HistoryParams::default() };
        let oldest: History = rpc.call("history", &params, PATIENCE).await?;
        let body = oldest.messages.first().map_or("", |message| message.body.as_str());
        Ok(body.split_whitespace().next().unwrap_or_default().to_owned())
    }

    async fn scrolled(&mut self, terminal: &mut Terminal) -> Result<()> {
        let oldest = self.first_word().await?;
        let figures = &mut self.figures;
        block_in_place(|| {
            let before = terminal.resident_kib()?;
            let mut most = before;
            let mut still = 0;
            let mut shown = terminal.text();
            let mut presses = 0;
            while still < AT_TOP {
                let pressed = terminal.press(PAGE_UP)?;
                let mut moved = None;
                let until = pressed + REPEAT;
                while let Some(at) = terminal.frame(until.saturating_duration_since(Instant::now()))? {
                    let now = terminal.text();
                    if now != shown {
                        shown = now;
                        moved = Some(at);
                        break;
                    }
                }
                match moved {
                    Some(at) => {
                        let waited = REPEAT * u32::try_from(still).unwrap_or(0);
                        figures.scroll.add(at.saturating_duration_since(pressed) + waited);
                        figures.stalls += usize::from(still > 0);
                        still = 0;
                    }
                    None => still += 1,
                }
                presses += 1;
                if presses % 100 == 0 {
                    most = most.max(terminal.resident_kib()?);
                }
            }
            ensure!(shown.contains(&oldest), "the top does not show {oldest:?}:\n{shown}");
            let after = terminal.resident_kib()?;
            figures.memory = (before, most.max(after), after);
            figures.scrolled = self.manifest.size.largest;
            // Into the messages, where the keys for both ends are.
            terminal.respond(b"\x1b", |_| true)?;
            std::thread::sleep(Duration::from_millis(200));
            let first = shown_line(&shown);
            let newest = |screen: &vt100::Screen| {
                let line = shown_line(&screen.contents());
                !line.is_empty() && !line.contains(&first)
            };
            for _ in 0..20 {
                figures.newest.add(terminal.respond(b"G", newest)?);
                figures.oldest.add(terminal.respond(b"g", |screen| screen.contents().contains(&first))?);
            }
            terminal.respond(b"G", newest)?;
            terminal.respond(b"i", |_| true)?;
            Ok(())
        })
    }

    async fn poured(&mut self, terminal: &mut Terminal) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let mut senders = Vec::new();
        for number in 0..SENDERS {
            let (peer, to) = (self.peer.clone(), self.owner.id.clone());
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            senders.push(tokio::spawn(async move {
                let mut rpc = peer.rpc().await?;
                while !stop.load(Ordering::Relaxed) {
                    let body = format!("poured by {number}: {}", sent.fetch_add(1, Ordering::Relaxed));
                    let send = SendParams { to: to.clone(), body, ..SendParams::default() };
                    rpc.call::<_, Sent>("send", &send, PATIENCE).await?;
                }
                anyhow::Ok(())
            }));
        }
        let count = async |bench: &Self| -> Result<usize> {
            // What is stored at the receiver, not what the sender has in hand.
            let mut rpc = bench.owner.rpc().await?;
            let params = HistoryParams { chat: bench.peer.id.clone(), limit: Some(1), ..HistoryParams::default() };
            let history: History = rpc.call("history", &params, PATIENCE).await?;
            let number = history.messages.first().and_then(|message| message.body.rsplit(": ").next()?.parse().ok());
            Ok(number.unwrap_or(0))
        };
        block_in_place(|| {
            terminal.wait(LONGEST, |screen| screen.contents().contains("poured by"))?;
            std::thread::sleep(Duration::from_secs(2));
            anyhow::Ok(())
        })?;
        let (began, before) = (Instant::now(), count(self).await?);
        self.figures.pouring = block_in_place(|| type_keys(terminal))?;
        let (took, after) = (began.elapsed(), count(self).await?);
        self.figures.poured_per_second = after.saturating_sub(before) as f64 / took.as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.await??;
        }
        Ok(())
    }
}

/// Types letters into the composer and takes them back, and measures each.
fn type_keys(terminal: &mut Terminal) -> Result<Times> {
    let mut times = Times::default();
    while times.count() < KEYS {
        for at in 1..=LETTERS.len() {
            let text = String::from_utf8_lossy(&LETTERS[..at]).trim_end().to_owned();
            let column = terminal.cursor_column();
            let took = terminal.respond(&LETTERS[at - 1..at], |screen| {
                screen.cursor_position().1 == column + 1 && screen.contents().contains(&text)
            })?;
            times.add(took);
            std::thread::sleep(BETWEEN);
        }
        for _ in 0..LETTERS.len() {
            let column = terminal.cursor_column();
            times.add(terminal.respond(b"\x7f", |screen| screen.cursor_position().1 + 1 == column)?);
            std::thread::sleep(BETWEEN);
        }
    }
    Ok(times)
}

/// The list of chats is filled: under its title there are names, not the sign that it is being loaded.
fn listed(screen: &str) -> bool {
    let mut lines = screen.lines();
    let head = lines.next().unwrap_or_default();
    let first = lines.nth(1).unwrap_or_default();
    head.contains("Chats") && first.split('│').next().is_some_and(|row| row.trim().chars().count() > 2)
}

/// The first row, right of the list.
fn title(screen: &vt100::Screen) -> String {
    let row = screen.contents();
    row.lines().next().unwrap_or_default().split('│').nth(1).unwrap_or_default().to_owned()
}

/// A row of the messages that stands on no other screen: the third one, right of the list.
fn shown_line(screen: &str) -> String {
    let row = screen.lines().nth(3).unwrap_or_default();
    row.split('│').nth(1).unwrap_or_default().trim().to_owned()
}
