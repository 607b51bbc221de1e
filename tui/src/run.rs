//! The loop between terminal, state and engine: it waits for whatever comes first, and draws only when something changed.

use std::{future::Future, io, sync::Arc, time::Duration};

use crossterm::event::{Event as Input, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use jiff::{Timestamp, tz::TimeZone};
use rustix::process::Signal;
use subrosa_client_core::ApiError;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    account_service::AccountService,
    app::{App, Welcome},
    config::{Notify, TuiConfig, background_is_light},
    message::{Effect, Msg},
    sign_in::SignIn,
    terminal::{Screen, panicked},
    view::pointer::pointed,
    worker::Worker,
};

/// Outcomes that wait for the interface. Tasks wait when it is full; the interface never does.
const NEWS_QUEUE: usize = 256;

/// Keys that wait for the interface: a pasted text without brackets is many of them.
const INPUT_QUEUE: usize = 1_024;

/// Messages handled before the next frame: what pours in is shown together.
const MAX_BATCH: usize = 128;

/// What the interface needs.
pub struct Options {
    /// The way into the account.
    pub service: Arc<dyn AccountService>,
    /// `[tui]`.
    pub config: TuiConfig,
    /// The terminal shows colours, and `NO_COLOR` is not set.
    pub colour: bool,
    /// The terminal shows more than ASCII.
    pub unicode: bool,
    /// What is shown while no chat is open.
    pub welcome: Welcome,
}

/// Why the interface ended.
#[derive(Debug)]
pub enum Ending<T> {
    /// The person left.
    Left,
    /// The person left, and nothing could be opened.
    Refused(ApiError),
    /// What stopped it.
    Stopped(T),
}

/// Runs the interface until the person leaves or `stop` is ready. The terminal is as before then, and the account closed.
///
/// # Errors
/// The terminal cannot be used.
pub async fn run<T>(options: Options, stop: impl Future<Output = T>) -> io::Result<Ending<T>> {
    let light = background_is_light(std::env::var("COLORFGBG").ok().as_deref());
    let theme = options.config.theme(options.colour, options.unicode, light).map_err(io::Error::other)?;
    let mut screen = Screen::open(options.config.mouse.unwrap_or(true), options.config.hyperlinks.unwrap_or(true))?;
    // Before the size is asked for: no change of it is missed.
    let stream = EventStream::new();
    let mut app =
        App::new(&options.config, theme, TimeZone::system(), screen.size()?, new_id).map_err(io::Error::other)?;
    app.welcome = options.welcome;
    let (news, mut incoming) = mpsc::channel(NEWS_QUEUE);
    let worker = Worker::start(Arc::clone(&options.service), news);
    for effect in app.begin() {
        worker.perform(effect);
    }
    // A task of its own: polled now and then, the stream would wake whoever polled it first, and keys would wait.
    let (keys, mut inputs) = mpsc::channel(INPUT_QUEUE);
    let reading = AbortOnDropHandle::new(tokio::spawn(read_inputs(stream, keys)));
    let ending =
        converse(&mut screen, &mut app, &worker, (&mut inputs, &mut incoming), options.config.notify, stop).await;
    drop(reading);
    for effect in app.leave() {
        worker.perform(effect);
    }
    drop(screen);
    // Tasks that still have something to tell must not wait for ever.
    drop(incoming);
    worker.finish().await;
    options.service.close().await;
    match (ending?, app.sign_in) {
        (None, Some(SignIn::Failed { error, .. })) => Ok(Ending::Refused(error)),
        (None, _) => Ok(Ending::Left),
        (Some(stopped), _) => Ok(Ending::Stopped(stopped)),
    }
}

async fn converse<T>(
    screen: &mut Screen,
    app: &mut App,
    worker: &Worker,
    (inputs, incoming): (&mut mpsc::Receiver<io::Result<Input>>, &mut mpsc::Receiver<Msg>),
    notify: Notify,
    stop: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    let mut stop = std::pin::pin!(stop);
    let mut stopped = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
    let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    let mut batch: Vec<Happened> = Vec::new();
    app.update(Msg::Due, now_ms());
    loop {
        screen.draw(app)?;
        let due = app.due_ms().map(|due| Duration::from_millis(due.saturating_sub(now_ms())));
        tokio::select! {
            biased;
            ended = &mut stop => return Ok(Some(ended)),
            failed = panicked() => return Err(failed),
            _ = stopped.recv() => Screen::suspend()?,
            _ = continued.recv() => {
                screen.resume()?;
                let (width, height) = screen.size()?;
                batch.push(Happened::Msg(Msg::Resize(width, height)));
            }
            input = inputs.recv() => match input {
                Some(input) => batch.push(Happened::Input(input?)),
                // The terminal is gone.
                None => return Ok(None),
            },
            msg = incoming.recv() => batch.extend(msg.map(Happened::Msg)),
            () = sleep(due) => batch.push(Happened::Msg(Msg::Due)),
        }
        while batch.len() < MAX_BATCH {
            if let Ok(input) = inputs.try_recv() {
                batch.push(Happened::Input(input?));
            } else if let Ok(msg) = incoming.try_recv() {
                batch.push(Happened::Msg(msg));
            } else {
                break;
            }
        }
        for happened in batch.drain(..) {
            let Some(msg) = meant(app, happened) else { continue };
            for effect in app.update(msg, now_ms()) {
                if !perform(screen, app, worker, notify, effect)? {
                    return Ok(None);
                }
            }
        }
    }
}

/// Does it, or gives it to the worker. `false`: the person leaves.
fn perform(screen: &mut Screen, app: &mut App, worker: &Worker, notify: Notify, effect: Effect) -> io::Result<bool> {
    match effect {
        Effect::Quit => return Ok(false),
        Effect::Suspend => Screen::suspend()?,
        Effect::Redraw => screen.redraw()?,
        Effect::Title(title) => screen.title(&title)?,
        Effect::Copy(text) => {
            if !screen.copy(&text)? {
                app.update(Msg::NotCopied, now_ms());
            }
        }
        Effect::Notify { title, body } => screen.notify(notify, &title, &body)?,
        effect => worker.perform(effect),
    }
    Ok(true)
}

async fn read_inputs(mut stream: EventStream, keys: mpsc::Sender<io::Result<Input>>) {
    while let Some(input) = stream.next().await {
        if keys.send(input).await.is_err() {
            return;
        }
    }
}

/// What waits to be told to the state.
enum Happened {
    Input(Input),
    Msg(Msg),
}

/// What it means to the state as it is by then: a mouse points at what is on the screen.
fn meant(app: &App, happened: Happened) -> Option<Msg> {
    let input = match happened {
        Happened::Msg(msg) => return Some(msg),
        Happened::Input(input) => input,
    };
    match input {
        Input::Key(key) if key.kind != KeyEventKind::Release => Some(Msg::Key(key)),
        Input::Key(_) => None,
        Input::Paste(text) => Some(Msg::Paste(text)),
        Input::Mouse(event) => Some(Msg::Mouse(pointed(app, &event))),
        Input::Resize(width, height) => Some(Msg::Resize(width, height)),
        Input::FocusGained => Some(Msg::Focus(true)),
        Input::FocusLost => Some(Msg::Focus(false)),
    }
}

async fn sleep(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// A message id: 16 random bytes in hexadecimal.
fn new_id() -> String {
    let mut bytes = [0; 16];
    if subrosa_ambient::fill(&mut bytes).is_err() {
        // The engine refuses an empty id: the message fails and says so.
        return String::new();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
