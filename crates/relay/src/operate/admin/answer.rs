//! What a running relay does when its operator asks.

use subrosa_wire::{AccountId, CapabilityHash, ErrorCode, RegistrationToken};

use super::protocol::{AccountLine, AdminLine, AdminRequest, MAX_NOTE_CHARS, StatusLine, TokenLine};
use crate::{
    backend::{Directory as _, NewToken, Operators as _, Source, StoreError, TokenFacts},
    clock::{date, now_ms},
    parts::Parts,
    router::Router as _,
    shared::Shared,
};

/// Bytes of a token's hash that name it: among some hundreds, no two begin alike.
const ID_BYTES: usize = 4;

/// Accounts read at once, so that a long list holds no reader for long.
const ACCOUNT_PAGE: usize = 500;

/// What goes wrong, as the operator reads it.
struct Failure(String, String);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) if refusal.code == ErrorCode::QuotaExceeded => Self(
                "there are too many registration tokens".into(),
                "revoke old ones: subrosa-relay token list".into(),
            ),
            other => Self(other.to_string(), "the relay's log says more".into()),
        }
    }
}

fn failure(message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure(message.into(), hint.into())
}

/// Does it; the last line says that it is done, or why not.
pub(super) async fn answer<P: Parts>(shared: &Shared<P>, request: AdminRequest) -> Vec<AdminLine> {
    let mut lines = Vec::new();
    let last = match act(shared, request, &mut lines).await {
        Ok(text) => AdminLine::Done { text },
        Err(Failure(message, hint)) => AdminLine::Error { message, hint },
    };
    lines.push(last);
    lines
}

async fn act<P: Parts>(
    shared: &Shared<P>,
    request: AdminRequest,
    lines: &mut Vec<AdminLine>,
) -> Result<String, Failure> {
    match request {
        AdminRequest::TokenCreate { uses, expires_s, note } => {
            lines.push(AdminLine::Token(create_token(shared, uses, expires_s, note).await?));
            Ok("shown only now: the relay keeps its hash".into())
        }
        AdminRequest::TokenList {} => {
            let now = now_ms();
            let tokens = shared.store.registration_tokens().await?;
            let text = format!("{} registration tokens", tokens.len());
            lines.extend(tokens.into_iter().map(|facts| AdminLine::Token(token_line(facts, now))));
            Ok(text)
        }
        AdminRequest::TokenRevoke { token } => revoke_token(shared, &token).await,
        AdminRequest::AccountList {} => list_accounts(shared, lines).await,
        AdminRequest::AccountDisable { account } => {
            let account = find(shared, &account).await?;
            for device in shared.store.set_disabled(account, true).await? {
                shared.router.end(device, ErrorCode::AccountDisabled).await;
            }
            Ok("disabled: it neither connects nor receives, and its owner is told so; what waits for it stays".into())
        }
        AdminRequest::AccountEnable { account } => {
            let account = find(shared, &account).await?;
            shared.store.set_disabled(account, false).await?;
            Ok("enabled".into())
        }
        AdminRequest::AccountRemove { account } => {
            let account = find(shared, &account).await?;
            for device in shared.store.remove_account(Source::RELAY, account).await? {
                shared.router.end(device, ErrorCode::AuthenticationFailed).await;
            }
            Ok("removed with all that waited for it; nobody else gets its handle".into())
        }
        AdminRequest::Status {} => {
            lines.push(AdminLine::Status(Box::new(status(shared).await?)));
            Ok(String::new())
        }
        AdminRequest::Link {} => {
            let link = shared.link(None).ok_or_else(|| {
                failure("this relay's address is no URL, so there is no link to it", "set public-url and restart it")
            })?;
            lines.push(AdminLine::Link { link: link.to_string() });
            Ok(String::new())
        }
        AdminRequest::Drain {} => {
            shared.drain.cancel();
            Ok("draining: connections are told to come back, then the relay stops".into())
        }
    }
}

async fn create_token<P: Parts>(
    shared: &Shared<P>,
    uses: u32,
    expires_s: Option<u64>,
    note: String,
) -> Result<TokenLine, Failure> {
    if uses == 0 {
        return Err(failure("a token without uses lets nobody in", "--uses 1, or more"));
    }
    if note.chars().count() > MAX_NOTE_CHARS || note.chars().any(char::is_control) {
        return Err(failure(format!("a note is one line of at most {MAX_NOTE_CHARS} characters"), "shorten --note"));
    }
    let mut bytes = [0; RegistrationToken::LEN];
    subrosa_ambient::fill(&mut bytes).map_err(|_| failure("the system gives no random numbers", "try again"))?;
    let token = RegistrationToken::new(bytes);
    let now = now_ms();
    let expires_ms = expires_s.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000)));
    let new = NewToken { hash: token.hash(), note: note.clone(), uses, expires_ms };
    shared.store.add_registration_token(new).await?;
    let facts = TokenFacts { hash: token.hash(), note, uses, used: 0, created_ms: now, expires_ms };
    let text = token.to_text();
    let link = shared.link(Some(token)).map(|link| link.to_string());
    Ok(TokenLine { token: Some(text), link, ..token_line(facts, now) })
}

fn token_line(facts: TokenFacts, now_ms: u64) -> TokenLine {
    TokenLine {
        id: hex(&facts.hash.0[..ID_BYTES]),
        token: None,
        link: None,
        valid: facts.used < facts.uses && facts.expires_ms.is_none_or(|at| at > now_ms),
        note: facts.note,
        uses: facts.uses,
        used: facts.used,
        created_ms: facts.created_ms,
        expires_ms: facts.expires_ms,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits in pairs.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

async fn revoke_token<P: Parts>(shared: &Shared<P>, text: &str) -> Result<String, Failure> {
    let wrong = || failure("this is no token and no token's id", "subrosa-relay token list shows the ids");
    let prefix = match RegistrationToken::from_text(text) {
        Ok(token) => {
            let CapabilityHash(hash) = token.hash();
            hash.to_vec()
        }
        Err(_) => unhex(text).filter(|prefix| prefix.len() >= ID_BYTES && prefix.len() <= 32).ok_or_else(wrong)?,
    };
    match shared.store.revoke_registration_token(prefix).await? {
        0 => Err(failure("there is no such token", "subrosa-relay token list shows the ids")),
        1 => Ok("revoked: it lets nobody in any more; accounts it let in stay".into()),
        _ => Err(failure("several tokens begin like this", "give the token itself instead of its id")),
    }
}

async fn list_accounts<P: Parts>(shared: &Shared<P>, lines: &mut Vec<AdminLine>) -> Result<String, Failure> {
    let mut after = String::new();
    loop {
        let page = shared.store.accounts(after.clone(), ACCOUNT_PAGE).await?;
        let Some(last) = page.last() else { return Ok(format!("{} accounts", lines.len())) };
        after.clone_from(&last.handle);
        lines.extend(page.into_iter().map(|facts| {
            AdminLine::Account(AccountLine {
                handle: facts.handle,
                id: facts.account.to_string(),
                devices: facts.devices,
                created: date(facts.created_day),
                disabled: facts.disabled,
                waiting: facts.waiting,
                waiting_bytes: facts.waiting_bytes,
            })
        }));
    }
}

/// An account by handle or id.
async fn find<P: Parts>(shared: &Shared<P>, text: &str) -> Result<AccountId, Failure> {
    if let Ok(id) = text.parse::<AccountId>() {
        return Ok(id);
    }
    let found = shared.store.find_account(text.to_owned()).await?;
    found.ok_or_else(|| failure("no account has this handle", "subrosa-relay account list shows all"))
}

async fn status<P: Parts>(shared: &Shared<P>) -> Result<StatusLine, Failure> {
    let totals = shared.store.totals().await?;
    let not_ready_because = shared.not_ready().await;
    Ok(StatusLine {
        url: shared.names.url.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: shared.started.elapsed().as_secs(),
        ready: not_ready_because.is_none(),
        not_ready_because,
        registration: shared.registration.to_string(),
        accounts: totals.accounts,
        disabled: totals.disabled,
        devices: totals.devices,
        connected: u64::try_from(shared.router.sessions()).unwrap_or(u64::MAX),
        waiting: totals.waiting,
        waiting_bytes: totals.waiting_bytes,
        deepest_mailbox: totals.deepest,
        oldest_waiting_s: totals.oldest_ms.map(|oldest| now_ms().saturating_sub(oldest) / 1_000),
    })
}
