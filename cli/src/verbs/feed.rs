//! `send --lines` and `send --batch`: each line of stdin is a message, queued as soon as it is there.
//!
//! Three run side by side: a thread reads lines, one task queues them, another waits until each got as far as asked and
//! prints it, in order. All queues between them are bounded: who writes faster than the outbox takes is held up.

use std::{
    io::{BufRead as _, BufReader, IsTerminal as _, Read as _},
    time::Duration,
};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{MessageStatus, SendParams, Sent},
    limits::MAX_TEXT_BYTES,
};
use tokio::sync::mpsc;

use super::send::{DEFAULT_TIMEOUT, Tally, check, finish, new_message_id, rank, receivers, resolve, wait};
use crate::{
    Context,
    account::{Use, with_account},
    args::SendArgs,
    errors::{Failure, usage},
};

/// Longest line of a batch: JSON writes a byte as six at most; the other fields are short.
const MAX_BATCH_LINE: usize = 6 * MAX_TEXT_BYTES + 4_096;

/// Lines read ahead.
const READ_AHEAD: usize = 16;

/// Messages queued and not yet printed.
const IN_FLIGHT: usize = 256;

/// A line of stdin, or why it is none.
type Line = (u64, Result<String, Failure>);

/// What became of a line: whose it is, and its message.
type Queued = (String, Result<Sent, Failure>);

pub(super) async fn run(ctx: &Context, args: SendArgs) -> Result<(), Failure> {
    let to = if args.batch {
        if std::io::stdin().is_terminal() {
            return Err(usage("stdin is a keyboard, not a batch", "pipe JSON lines: … | subrosa send --batch"));
        }
        Vec::new()
    } else {
        receivers(&args.to)?.0
    };
    if args.lines && std::io::stdin().is_terminal() {
        ctx.out.note("Each line is sent as you end it; Ctrl-D ends.");
    }
    let wanted = args.wait.status();
    let timeout = ctx.global.timeout.unwrap_or(DEFAULT_TIMEOUT);
    with_account(ctx, Use { kind: "send", drain: true }, async |client| {
        let client = &*client;
        // Before the first line: a stream goes to all of its receivers or to none.
        let to = resolve(client, to).await?;
        let (results, queue) = mpsc::channel(IN_FLIGHT);
        let mut tally = Tally::new(true);
        let (queued, printed) = tokio::join!(
            queue_lines(client, &to, lines(if args.batch { MAX_BATCH_LINE } else { MAX_TEXT_BYTES }), results),
            print_results(ctx, client, queue, wanted, timeout, &mut tally),
        );
        printed?;
        queued?;
        tally.verdict()
    })
    .await
}

/// Queues each line for each receiver, or as it says itself.
async fn queue_lines(
    client: &dyn Client,
    to: &[(String, String)],
    mut lines: mpsc::Receiver<Line>,
    results: mpsc::Sender<Queued>,
) -> Result<(), Failure> {
    while let Some((number, line)) = lines.recv().await {
        let messages = match line {
            Err(failure) => vec![(format!("line {number}"), Err(failure))],
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) if to.is_empty() => vec![(format!("line {number}"), parse(&line))],
            Ok(line) => to
                .iter()
                .map(|(shown, to)| {
                    let message = new_message_id().map(|id| SendParams {
                        to: to.clone(),
                        body: line.clone(),
                        id: Some(id),
                        ..SendParams::default()
                    });
                    (format!("line {number} to {shown}"), message)
                })
                .collect(),
        };
        for (whose, message) in messages {
            let result = match message {
                Ok(message) => client.send(message).await.map_err(Failure::from),
                Err(failure) => Err(failure),
            };
            if results.send((whose, result)).await.is_err() {
                // Printing has ended with an error of its own.
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A line of a batch. It gets an id here, unless it has one, so that a call repeated after its engine died sends nothing twice.
fn parse(line: &str) -> Result<SendParams, Failure> {
    let mut message: SendParams = serde_json::from_str(line).map_err(|error| {
        usage(format!("not a message: {error}"), "for example: {\"to\":\"bob\",\"body\":\"hello\"}")
    })?;
    check(&message.body)?;
    if message.id.is_none() && message.key.is_none() {
        message.id = Some(new_message_id()?);
    }
    Ok(message)
}

/// Waits for each message in turn and prints how far it got.
async fn print_results(
    ctx: &Context,
    client: &dyn Client,
    mut queue: mpsc::Receiver<Queued>,
    wanted: Option<MessageStatus>,
    timeout: Duration,
    tally: &mut Tally,
) -> Result<(), Failure> {
    // Once one took too long the next ones are not waited for either, until one gets there again: an unreachable relay must
    // not hold up a stream by a timeout a line.
    let mut patience = timeout;
    while let Some((whose, queued)) = queue.recv().await {
        let result = match (queued, wanted) {
            (Err(failure), _) => Err(failure),
            (Ok(queued), None) => finish(ctx, queued, None),
            (Ok(queued), Some(status)) => match wait(client, &queued, status, patience).await {
                Ok(sent) => {
                    patience = if rank(sent.status) >= rank(status) { timeout } else { Duration::ZERO };
                    finish(ctx, sent, wanted)
                }
                Err(error) => Err(error.into()),
            },
        };
        tally.count(ctx, &whose, result)?;
    }
    Ok(())
}

/// The lines of stdin, read by a thread of their own.
fn lines(longest: usize) -> mpsc::Receiver<Line> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || {
        let mut stdin = BufReader::new(std::io::stdin());
        let mut number = 0;
        loop {
            number += 1;
            match next_line(&mut stdin, longest) {
                Ok(Some(line)) => {
                    if sender.blocking_send((number, line)).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    let error = ApiError::new(ErrorKind::Failed, format!("cannot read stdin: {error}"));
                    let _ = sender.blocking_send((number, Err(error.into())));
                    return;
                }
            }
        }
    });
    receiver
}

/// One line without its end. What is longer than allowed is passed over and told; `None` at the end.
fn next_line(input: &mut impl std::io::BufRead, longest: usize) -> std::io::Result<Option<Result<String, Failure>>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(2);
    input.take(limit).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let ended = bytes.ends_with(b"\n");
    if ended {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.len() > longest {
        if !ended {
            input.skip_until(b'\n')?;
        }
        return Ok(Some(Err(usage(
            format!("longer than the {longest} bytes that are allowed"),
            "cut it into shorter lines",
        ))));
    }
    Ok(Some(
        String::from_utf8(bytes)
            .map_err(|_| usage("not UTF-8 text", "messages are text; convert it first, for example with iconv")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8], longest: usize) -> Vec<Option<String>> {
        let mut input = std::io::Cursor::new(input);
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input, longest).unwrap() {
            lines.push(line.ok());
        }
        lines
    }

    #[test]
    fn lines_are_read_within_bounds() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(all(b"one\r\n\ntwo", 5), [some("one"), some(""), some("two")]);
        assert_eq!(
            all(b"12345\n123456\n12345\r\n1234567890\nx\n", 5),
            [some("12345"), None, some("12345"), None, some("x")]
        );
        assert_eq!(all(b"\xff\nok\n1234567890", 5), [None, some("ok"), None]);
        assert_eq!(all(b"", 5), Vec::<Option<String>>::new());
    }

    #[test]
    fn a_line_of_a_batch_is_a_message_or_says_why_not() {
        let message = parse(r#"{"to":"bob","body":"hi"}"#).unwrap();
        assert!(message.id.is_some() && message.key.is_none());
        assert!(parse(r#"{"to":"bob","body":"hi","key":"k"}"#).unwrap().id.is_none());
        for wrong in
            ["", "hi", "[]", r#"{"to":"bob"}"#, r#"{"to":"bob","body":""}"#, r#"{"to":"bob","body":"x","colour":1}"#]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
