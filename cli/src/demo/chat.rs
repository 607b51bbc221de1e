//! The live chat: keys in, events in, a picture out.

use std::io;

use crossterm::{
    event::{
        DisableBracketedPaste, EnableBracketedPaste, Event as Input, EventStream, KeyCode, KeyEvent, KeyEventKind,
        KeyModifiers,
    },
    execute,
};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;
use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{Connection, EventsParams, HistoryParams, Message, NoParams, ReadParams, SendParams},
};
use tokio::sync::mpsc;

use super::{
    editor::Editor,
    robin,
    stage::{ROBIN, Stage},
    view::{View, draw},
};
use crate::{Context, errors::Failure};

/// Messages kept on screen; a demo does not get longer.
const SHOWN: u32 = 500;

/// Lines of one page key.
const PAGE: usize = 10;

/// Snapshots and texts that wait between the interface and the engine.
const QUEUE: usize = 16;

/// What the engine told last.
#[derive(Default)]
struct Snapshot {
    messages: Vec<Message>,
    status: String,
}

pub(super) async fn run(ctx: &Context, stage: &Stage) -> Result<(), Failure> {
    let mut screen = Screen::open().map_err(terminal_error)?;
    let result = tokio::select! {
        result = converse(ctx, stage, &mut screen) => result,
        error = robin::live(&*stage.robin.client) => error.map_err(Failure::Api),
        // Ended as asked; the exit code says by what.
        signal = ctx.interrupt.wait() => Err(Failure::Interrupted(signal)),
    };
    drop(screen);
    result
}

async fn converse(ctx: &Context, stage: &Stage, screen: &mut Screen) -> Result<(), Failure> {
    let (news, mut snapshots) = mpsc::channel(QUEUE);
    let (texts, to_send) = mpsc::channel(QUEUE);
    let client = &*stage.you.client;
    let engine =
        async { tokio::try_join!(follow(client, news, stage.relay.as_str()), send_all(client, to_send)).map(|_| ()) };
    let interface = async {
        let mut keys = EventStream::new();
        let mut chat = Chat::default();
        let mut snapshot = Snapshot::default();
        loop {
            screen.draw(ctx, &mut chat, &snapshot).map_err(terminal_error)?;
            tokio::select! {
                input = keys.next() => match input {
                    Some(Ok(input)) => match chat.input(input) {
                        Step::Stay => {}
                        Step::Send(text) => {
                            // The queue is full only if the engine stands still: then typing has to wait, too.
                            let _ = texts.send(text).await;
                        }
                        Step::Leave => return Ok(()),
                    },
                    Some(Err(error)) => return Err(terminal_error(error)),
                    None => return Ok(()),
                },
                news = snapshots.recv() => match news {
                    Some(news) => snapshot = news,
                    None => std::future::pending().await,
                },
            }
        }
    };
    tokio::select! {
        result = interface => result,
        result = engine => result.map_err(Failure::Api),
    }
}

/// Reads the conversation anew whenever something happened: what is drawn is what is stored.
async fn follow(client: &dyn Client, news: mpsc::Sender<Snapshot>, relay: &str) -> Result<(), ApiError> {
    let mut cursor = client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?.cursor;
    loop {
        let params = HistoryParams { chat: ROBIN.to_owned(), limit: Some(SHOWN), ..HistoryParams::default() };
        let messages = client.history(params).await?.messages;
        // It is on the screen now, so it is read.
        if let Some(unread) = messages.iter().rev().find(|message| message.unread == Some(true)) {
            client.read(ReadParams { what: unread.id.clone() }).await?;
        }
        let reached = match client.status(NoParams {}).await?.relay {
            Connection::Online => "online",
            Connection::Connecting => "connecting",
            Connection::Offline | Connection::Displaced => "offline",
        };
        let status = format!("relay {} {reached}", relay.trim_start_matches("http://").trim_end_matches('/'));
        if news.send(Snapshot { messages, status }).await.is_err() {
            return Ok(());
        }
        let page = client.events(EventsParams { since: Some(cursor), max: None, wait_ms: 60_000 }).await?;
        cursor = page.cursor;
    }
}

async fn send_all(client: &dyn Client, mut texts: mpsc::Receiver<String>) -> Result<(), ApiError> {
    while let Some(body) = texts.recv().await {
        client.send(SendParams { to: ROBIN.to_owned(), body, ..SendParams::default() }).await?;
    }
    Ok(())
}

/// What the person does.
#[derive(Default)]
struct Chat {
    editor: Editor,
    scroll: usize,
    furthest: usize,
}

/// What follows from a key.
enum Step {
    Stay,
    Send(String),
    Leave,
}

impl Chat {
    fn input(&mut self, input: Input) -> Step {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            Input::Paste(text) => {
                self.editor.insert(&text);
                Step::Stay
            }
            _ => Step::Stay,
        }
    }

    fn key(&mut self, key: KeyEvent) -> Step {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd' | 'q') if control => return Step::Leave,
            KeyCode::Esc => return Step::Leave,
            KeyCode::Char('u') if control => self.editor.clear_before(),
            KeyCode::Char('a') if control => self.editor.home(),
            KeyCode::Char('e') if control => self.editor.end(),
            KeyCode::Char(c) if !control => self.editor.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.editor.backspace(),
            KeyCode::Delete => self.editor.delete(),
            KeyCode::Left => self.editor.left(),
            KeyCode::Right => self.editor.right(),
            KeyCode::Home => self.editor.home(),
            KeyCode::End => self.editor.end(),
            KeyCode::PageUp => self.scroll = (self.scroll + PAGE).min(self.furthest),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_sub(PAGE),
            KeyCode::Enter => {
                if let Some(text) = self.editor.take() {
                    self.scroll = 0;
                    return Step::Send(text);
                }
            }
            _ => {}
        }
        Step::Stay
    }
}

/// The terminal in its drawing state; given back when dropped, and by ratatui's hook on a panic.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        let screen = Self(ratatui::try_init()?);
        execute!(io::stdout(), EnableBracketedPaste)?;
        Ok(screen)
    }

    fn draw(&mut self, ctx: &Context, chat: &mut Chat, snapshot: &Snapshot) -> io::Result<()> {
        let view = View {
            messages: &snapshot.messages,
            editor: &chat.editor,
            status: &snapshot.status,
            scroll: chat.scroll,
            ticks: ctx.out.ticks,
        };
        let mut furthest = 0;
        self.0.draw(|frame| furthest = draw(frame, &view))?;
        chat.furthest = furthest;
        chat.scroll = chat.scroll.min(furthest);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that is gone.
        let _ = execute!(io::stdout(), DisableBracketedPaste);
        let _ = ratatui::try_restore();
    }
}

fn terminal_error(error: io::Error) -> Failure {
    ApiError::new(ErrorKind::Failed, format!("the terminal cannot be used: {error}"))
        .hint("without one: subrosa demo --script")
        .into()
}
