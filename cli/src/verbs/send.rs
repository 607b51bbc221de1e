//! `send`: queues a message for one or several people and waits until it got as far as asked. Streams of messages (`--lines`,
//! `--batch`) are in `feed.rs`.

use std::{
    io::{IsTerminal as _, Read as _},
    time::{Duration, Instant},
};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{MessageStatus, NoParams, ReceiversParams, SendParams, SendResult, Sent, WaitParams},
    limits::MAX_TEXT_BYTES,
};

use crate::{
    Context,
    account::{Use, millis, with_account},
    args::SendArgs,
    errors::{Failure, show, usage},
    output::ticks,
};

/// How long `send` waits unless told: as long as a person does before looking what is wrong.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) async fn run(ctx: &Context, args: SendArgs) -> Result<(), Failure> {
    let (to, dash) = receivers(&args.to)?;
    if dash && args.message.is_some() {
        return Err(usage("there are two texts: -m and stdin", "leave out -m, or the - at the end"));
    }
    if to.len() > 1 && args.id.is_some() {
        return Err(usage(
            "one id cannot be that of several messages",
            "use --key KEY: each receiver gets an id of its own",
        ));
    }
    let message = if dash { Some("-".to_owned()) } else { args.message };
    let body = text(message, "say it with -m TEXT, or pipe it: … | subrosa send WHO -").await?;
    let timeout = ctx.global.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let wanted = args.wait.status();
    with_account(ctx, Use { kind: "send", drain: true }, async |client| {
        let mut messages = Vec::new();
        for (shown, to) in resolve(&*client, to).await? {
            let id = id_of(args.key.as_ref(), args.id.as_ref())?;
            let message = SendParams {
                to,
                body: body.clone(),
                id,
                reply_to: args.reply.clone(),
                key: args.key.clone(),
                request: false,
                forwarded: false,
            };
            messages.push((shown, message));
        }
        send_all(ctx, &*client, messages, wanted, timeout).await
    })
    .await
}

/// Whom these names mean, each once: what was typed, and the account. All of them, or an error: nothing goes to anybody while
/// one of them is nobody.
pub(super) async fn resolve(client: &dyn Client, names: Vec<String>) -> Result<Vec<(String, String)>, ApiError> {
    let found = client.receivers(ReceiversParams { to: names.clone() }).await?.receivers;
    let mut to: Vec<(String, String)> = Vec::new();
    for (name, person) in names.into_iter().zip(found) {
        if !to.iter().any(|(_, id)| *id == person.id) {
            to.push((name, person.id));
        }
    }
    Ok(to)
}

/// The text of `-m`, or of stdin for `-`.
pub(super) async fn text(message: Option<String>, hint: &str) -> Result<String, Failure> {
    let body = match message {
        Some(text) if text == "-" => tokio::task::spawn_blocking(text_from_stdin)
            .await
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("reading stdin failed: {error}")))??,
        Some(text) => text,
        None => return Err(usage("there is nothing to send", hint)),
    };
    check(&body)?;
    Ok(body)
}

/// The id of a message: the caller's, none if a key makes it, else ours, so that a call repeated after its engine died sends
/// nothing twice.
pub(super) fn id_of(key: Option<&String>, id: Option<&String>) -> Result<Option<String>, Failure> {
    match (key, id) {
        (Some(_), _) => Ok(None),
        (None, Some(id)) => Ok(Some(id.clone())),
        (None, None) => new_message_id().map(Some),
    }
}

/// The receivers, each once, and whether a lone - stands at the end.
pub(super) fn receivers(names: &[String]) -> Result<(Vec<String>, bool), Failure> {
    let mut to: Vec<String> = Vec::new();
    for name in names {
        if name != "-" && !to.contains(name) {
            to.push(name.clone());
        }
    }
    if to.is_empty() {
        return Err(usage("nobody is named", "for example: subrosa send bob -"));
    }
    Ok((to, names.iter().any(|name| name == "-")))
}

/// Queues all, then waits for each; one that fails now stops none of the others.
pub(super) async fn send_all(
    ctx: &Context,
    client: &dyn Client,
    messages: Vec<(String, SendParams)>,
    wanted: Option<MessageStatus>,
    timeout: Duration,
) -> Result<(), Failure> {
    let until = Instant::now() + timeout;
    let mut queued = Vec::new();
    for (to, message) in messages {
        queued.push((to, client.send(message).await));
    }
    let mut tally = Tally::new(queued.len() > 1);
    for (to, queued) in queued {
        let result = match (queued, wanted) {
            (Err(error), _) => Err(Failure::from(error)),
            (Ok(queued), None) => finish(ctx, queued, None),
            (Ok(queued), Some(status)) => {
                let left = until.saturating_duration_since(Instant::now());
                match wait(client, &queued, status, left).await {
                    Ok(sent) => finish(ctx, sent, wanted),
                    Err(error) => Err(error.into()),
                }
            }
        };
        tally.count(ctx, &to, result)?;
    }
    tally.verdict()
}

/// What became of several messages.
pub(super) struct Tally {
    /// Errors are told with whose they are, each when it happens.
    several: bool,
    total: usize,
    errors: Vec<ApiError>,
}

impl Tally {
    pub(super) const fn new(several: bool) -> Self {
        Self { several, total: 0, errors: Vec::new() }
    }

    /// Counts one result; only what ends the command comes back.
    pub(super) fn count(&mut self, ctx: &Context, whose: &str, result: Result<(), Failure>) -> Result<(), Failure> {
        self.total += 1;
        match result {
            Ok(()) => Ok(()),
            Err(Failure::Api(error)) => {
                if self.several {
                    let message = format!("{whose}: {}", error.message);
                    show(&ApiError { message, ..error.clone() }, ctx.out.json);
                    // Its text has been shown: only what kind it was counts at the end.
                }
                self.errors.push(error);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    /// Some failed: that is an error of its own kind. If all failed alike, it is theirs.
    pub(super) fn verdict(self) -> Result<(), Failure> {
        let Self { several, total, mut errors } = self;
        let failed = errors.len();
        let Some(last) = errors.pop() else { return Ok(()) };
        if !several {
            return Err(last.into());
        }
        let alike = failed == total && errors.iter().all(|error| error.code == last.code);
        let code = if alike { last.code } else { ErrorKind::Partial };
        Err(ApiError::new(code, format!("{failed} of {total} did not get as far as asked")).into())
    }
}

pub(super) async fn wait(
    client: &dyn Client,
    queued: &Sent,
    wanted: MessageStatus,
    timeout: Duration,
) -> Result<Sent, ApiError> {
    let params = WaitParams { id: queued.id.clone(), status: wanted, timeout_ms: millis(timeout) };
    let sent = match client.wait(params).await {
        // Time that ran out is told by how far the message got.
        Err(error) if error.code == ErrorKind::Timeout => queued.clone(),
        result => result?,
    };
    explained(client, sent).await
}

/// Says what holds up that which has not left: where nothing is known of a receiver it is the connection to our own relay.
async fn explained(client: &dyn Client, mut sent: Sent) -> Result<Sent, ApiError> {
    let waits = |result: &SendResult| result.status == MessageStatus::Queued && result.error.is_none();
    if sent.results.iter().any(waits) {
        let cause = client.status(NoParams {}).await?.error;
        for result in sent.results.iter_mut().filter(|result| waits(result)) {
            result.error.clone_from(&cause);
        }
    }
    Ok(sent)
}

/// Prints how far it got; an error if that is not as far as wanted.
pub(super) fn finish(ctx: &Context, sent: Sent, wanted: Option<MessageStatus>) -> Result<(), Failure> {
    let status = sent.status;
    let id = sent.id.clone();
    let reason = sent.results.iter().find_map(|result| result.error.clone());
    let results = sent.results.len();
    let failed = sent.results.iter().filter(|result| is_final_failure(result.status)).count();
    ctx.out.line(sent)?;
    if failed > 0 && failed < results {
        return Err(ApiError::new(ErrorKind::Partial, format!("{failed} of {results} receivers did not get it")).into());
    }
    if is_final_failure(status) || failed > 0 {
        let why = reason.unwrap_or_else(|| ticks::name(status).to_owned());
        return Err(ApiError::new(ErrorKind::Failed, format!("the message was not delivered: {why}")).into());
    }
    let Some(wanted) = wanted else { return Ok(()) };
    if rank(status) >= rank(wanted) {
        return Ok(());
    }
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let message = format!("it is not {} yet{why}", ticks::name(wanted));
    let hint = if status == MessageStatus::Queued {
        format!("it stays in the outbox and goes out by itself; see: subrosa info {id}")
    } else {
        format!("it is on its way; see: subrosa info {id}")
    };
    Err(ApiError::new(ErrorKind::Timeout, message).hint(hint).into())
}

const fn is_final_failure(status: MessageStatus) -> bool {
    matches!(status, MessageStatus::Failed | MessageStatus::Expired)
}

pub(super) const fn rank(status: MessageStatus) -> u8 {
    match status {
        MessageStatus::Failed | MessageStatus::Expired | MessageStatus::Queued => 0,
        MessageStatus::Sent => 1,
        MessageStatus::Delivered => 2,
        MessageStatus::Read => 3,
    }
}

/// Everything that is known to be wrong before anything is asked or stored.
pub(super) fn check(body: &str) -> Result<(), Failure> {
    if body.is_empty() {
        return Err(usage("the message is empty", "say something with -m TEXT"));
    }
    if body.len() > MAX_TEXT_BYTES {
        return Err(usage(
            format!("the message has {} bytes, {MAX_TEXT_BYTES} are allowed", body.len()),
            "send it in parts",
        ));
    }
    Ok(())
}

/// All of stdin as UTF-8, without one line end at its end.
fn text_from_stdin() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(usage(
            "stdin is a keyboard, not a text",
            "pipe one: echo hello | subrosa send WHO -   or use -m TEXT",
        ));
    }
    // More than allowed by a line end and a byte: enough to tell that it is too long.
    let limit = MAX_TEXT_BYTES as u64 + 3;
    let mut bytes = Vec::new();
    stdin
        .lock()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("cannot read stdin: {error}")))?;
    if bytes.len() as u64 == limit {
        return Err(usage(
            format!("stdin has more than the {MAX_TEXT_BYTES} bytes that are allowed"),
            "send it in parts",
        ));
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|_| usage("stdin is not UTF-8 text", "messages are text; convert it first, for example with iconv"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

pub(super) fn new_message_id() -> Result<String, Failure> {
    let mut id = [0; 16];
    subrosa_ambient::fill(&mut id)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}")))?;
    Ok(hex::encode(id))
}
