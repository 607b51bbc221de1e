//! `send`: queues a message and waits until it got as far as asked.

use std::{
    io::{IsTerminal as _, Read as _},
    time::Duration,
};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{MessageStatus, SendParams, Sent, WaitParams},
    limits::MAX_TEXT_BYTES,
};

use crate::{
    Context,
    account::{Use, millis, with_account},
    args::SendArgs,
    errors::{Failure, usage},
    output::ticks,
};

/// How long `send` waits unless told: as long as a person does before looking what is wrong.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) async fn run(ctx: &Context, args: SendArgs) -> Result<(), Failure> {
    let from_stdin = args.stdin.is_some() || args.message.as_deref() == Some("-");
    let body = match args.message {
        _ if from_stdin => tokio::task::spawn_blocking(text_from_stdin)
            .await
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("reading stdin failed: {error}")))??,
        Some(text) => text,
        None => {
            return Err(usage("there is nothing to send", "say it with -m TEXT, or pipe it: … | subrosa send WHO -"));
        }
    };
    check(&body)?;
    // Ours, so that a call repeated after its engine died sends nothing twice.
    let id = match args.id {
        Some(id) => id,
        None => new_message_id()?,
    };
    let timeout = ctx.global.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let how = Use { kind: "send", drain: true };
    with_account(ctx, how, async |client| {
        let queued =
            client.send(SendParams { to: args.to.clone(), body, id: Some(id), ..SendParams::default() }).await?;
        let Some(wanted) = args.wait.status() else { return finish(ctx, queued, None) };
        let sent = wait(&*client, &queued, wanted, timeout).await;
        finish(ctx, sent?, Some(wanted))
    })
    .await
}

async fn wait(client: &dyn Client, queued: &Sent, wanted: MessageStatus, timeout: Duration) -> Result<Sent, ApiError> {
    let params = WaitParams { id: queued.id.clone(), status: wanted, timeout_ms: millis(timeout) };
    match client.wait(params).await {
        // Time that ran out is told by how far the message got.
        Err(error) if error.code == ErrorKind::Timeout => Ok(queued.clone()),
        result => result,
    }
}

/// Prints how far it got; an error if that is not as far as wanted.
fn finish(ctx: &Context, sent: Sent, wanted: Option<MessageStatus>) -> Result<(), Failure> {
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

const fn rank(status: MessageStatus) -> u8 {
    match status {
        MessageStatus::Failed | MessageStatus::Expired | MessageStatus::Queued => 0,
        MessageStatus::Sent => 1,
        MessageStatus::Delivered => 2,
        MessageStatus::Read => 3,
    }
}

/// Everything that is known to be wrong before anything is asked or stored.
fn check(body: &str) -> Result<(), Failure> {
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

fn new_message_id() -> Result<String, Failure> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}")))?;
    Ok(hex::encode(id))
}
