//! One way to ask before something is destroyed: `--force` answers, a person answers, a script is refused.

use std::io::Write as _;

use subrosa_client_core::{ApiError, ErrorKind, clean::clean_text};

use crate::{
    Context,
    errors::{Failure, usage},
    output::can_ask,
};

/// Longest answer that is read: a file on stdin by mistake must not fill the memory.
const MAX_ANSWER_BYTES: u64 = 64;

/// Asks whether to go on. `loss` says in a sentence what is lost: "This removes Bob and all messages with him." Returns only
/// if the answer is yes; with `force` it is yes without asking.
///
/// # Errors
/// [`ErrorKind::Usage`] when nobody can be asked (`--no-input`, no terminal), [`ErrorKind::Failed`] for every answer but yes.
pub(crate) async fn confirm(ctx: &Context, force: bool, loss: &str) -> Result<(), Failure> {
    confirm_word(ctx, force, loss, "yes").await
}

/// As [`confirm`], for what cannot be made again: a word that names it has to be typed.
///
/// # Errors
/// As [`confirm`].
pub(crate) async fn confirm_word(ctx: &Context, force: bool, loss: &str, word: &str) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    if !can_ask(ctx.global.no_input) {
        return Err(usage(
            format!("this needs a yes, and there is nobody to ask: {loss}"),
            "add --force if you mean it",
        ));
    }
    let question = format!("{}\nGo on? Type {word}: ", clean_text(loss));
    match answer_to(ctx, question).await? {
        answer if is_word(&answer, word) => Ok(()),
        _ => Err(ApiError::new(ErrorKind::Failed, format!("you did not type {word}: nothing was changed")).into()),
    }
}

/// Asks whether a text is to go to a stranger. A `y` is enough: nothing is destroyed, and the handle stands beside it.
///
/// # Errors
/// As [`confirm`]; without somebody to ask, the hint is the command that needs no answer.
pub(crate) async fn confirm_request(ctx: &Context, yes: bool, handle: &str, relay: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !can_ask(ctx.global.no_input) {
        return Err(usage(
            format!(
                "{handle} is no contact, and there is nobody to ask whether you mean them: nothing was sent to anybody"
            ),
            format!("if you do: subrosa request {handle} --yes -m TEXT"),
        ));
    }
    let question = format!("{handle} is no contact. Send this as a request to whoever is {handle} at {relay}? [y/N] ");
    match answer_to(ctx, question).await? {
        answer if is_word(&answer, "y") || is_word(&answer, "yes") => Ok(()),
        _ => Err(ApiError::new(ErrorKind::Failed, "you did not say yes: nothing was sent to anybody").into()),
    }
}

/// What a person types after this question.
async fn answer_to(ctx: &Context, question: String) -> Result<String, Failure> {
    let answer = tokio::select! {
        answer = tokio::task::spawn_blocking(move || ask(&question)) => answer,
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    };
    answer
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("your answer could not be read: {error}")).into())
}

fn ask(question: &str) -> std::io::Result<String> {
    use std::io::{BufRead as _, Read as _};
    let mut terminal = anstream::stderr().lock();
    write!(terminal, "{question}")?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().take(MAX_ANSWER_BYTES).read_line(&mut answer)?;
    Ok(answer)
}

/// The whole word only: a `y` is typed too quickly.
fn is_word(answer: &str, word: &str) -> bool {
    answer.trim().eq_ignore_ascii_case(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        let is_yes = |answer: &str| is_word(answer, "yes");
        assert!(is_yes("yes\n") && is_yes(" YES\r\n"));
        for answer in ["", "\n", "y", "no", "yes please", "yess"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }
}
