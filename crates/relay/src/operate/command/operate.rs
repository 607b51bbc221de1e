//! The verbs that talk to a running relay over its admin socket.

use std::{
    io::{self, BufRead, BufReader, IsTerminal as _, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use subrosa_wire::harmless::escape_json;

use super::{AccountArgs, AccountVerb, SocketArgs, TokenVerb};
use crate::{
    clock::minute,
    json::json_line,
    operate::admin::{
        SOCKET_NAME,
        protocol::{AccountLine, AdminLine, AdminRequest, StatusLine, TokenLine, Versioned},
    },
};

/// Where the socket of the packaged service is.
const SYSTEM_SOCKET: &str = "/run/subrosa-relay/admin.sock";

/// How long a running relay may take to answer.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn token(verb: TokenVerb) -> anyhow::Result<()> {
    match verb {
        TokenVerb::Create { uses, expires, note, qr, socket } => {
            let expires_s = expires.map(|time| time.as_secs());
            ask_with(&socket, &AdminRequest::TokenCreate { uses, expires_s, note }, qr)
        }
        TokenVerb::List(socket) => ask(&socket, &AdminRequest::TokenList {}),
        TokenVerb::Revoke { token, socket } => ask(&socket, &AdminRequest::TokenRevoke { token }),
    }
}

pub(super) fn account(verb: AccountVerb) -> anyhow::Result<()> {
    match verb {
        AccountVerb::List(socket) => ask(&socket, &AdminRequest::AccountList {}),
        AccountVerb::Disable(AccountArgs { account, socket }) => {
            ask(&socket, &AdminRequest::AccountDisable { account })
        }
        AccountVerb::Enable(AccountArgs { account, socket }) => ask(&socket, &AdminRequest::AccountEnable { account }),
        AccountVerb::Remove { yes, account: AccountArgs { account, socket } } => {
            if !yes {
                bail!("this deletes the account and all mail that waits for it, for ever: say --yes if you mean it");
            }
            ask(&socket, &AdminRequest::AccountRemove { account })
        }
    }
}

pub(super) fn status(socket: &SocketArgs) -> anyhow::Result<()> {
    ask(socket, &AdminRequest::Status {})
}

pub(super) fn link(socket: &SocketArgs, qr: bool) -> anyhow::Result<()> {
    ask_with(socket, &AdminRequest::Link {}, qr)
}

pub(super) fn drain(socket: &SocketArgs) -> anyhow::Result<()> {
    ask(socket, &AdminRequest::Drain {})
}

fn path(socket: &SocketArgs) -> PathBuf {
    let in_data = || socket.data.as_ref().map(|data| data.join(SOCKET_NAME));
    socket.admin_socket.clone().or_else(in_data).unwrap_or_else(|| SYSTEM_SOCKET.into())
}

fn connect(path: &Path) -> anyhow::Result<UnixStream> {
    let stream = UnixStream::connect(path).map_err(|error| {
        let fix = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "is the relay running? Say which one with --data DIR or --admin-socket PATH"
            }
            io::ErrorKind::PermissionDenied => "run this as the user the relay runs as, or as root",
            _ => "say which relay is meant with --data DIR or --admin-socket PATH",
        };
        anyhow::anyhow!("no relay answers at {}: {error}; {fix}", path.display())
    })?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Asks, and prints the answer as it comes.
fn ask(socket: &SocketArgs, request: &AdminRequest) -> anyhow::Result<()> {
    ask_with(socket, request, false)
}

/// As [`ask`]; relay links are drawn as QR codes, too, if that is wanted.
fn ask_with(socket: &SocketArgs, request: &AdminRequest, qr: bool) -> anyhow::Result<()> {
    let mut stream = connect(&path(socket))?;
    let line = json_line(request)? + "\n";
    stream.write_all(line.as_bytes())?;
    let mut out = io::stdout().lock();
    for (shown, line) in BufReader::new(stream).lines().enumerate() {
        let line = line.context("the relay stopped answering")?;
        let answer: Versioned<AdminLine> =
            serde_json::from_str(&line).context("this program and the running relay are of different versions")?;
        match answer.line {
            AdminLine::Done { text } => {
                if socket.json {
                    writeln!(out, "{}", escape_json(&line))?;
                } else if !text.is_empty() {
                    // A note beside the data, or all there is to say.
                    out.flush()?;
                    writeln!(io::stderr(), "{text}")?;
                }
                return Ok(());
            }
            AdminLine::Error { message, hint } => bail!("{message}: {hint}"),
            _ if socket.json => writeln!(out, "{}", escape_json(&line))?,
            AdminLine::Token(token) => {
                show_token(&mut out, &token, shown == 0)?;
                if let Some(link) = token.link.filter(|_| qr) {
                    draw(&mut out, &link)?;
                }
            }
            AdminLine::Link { link } => {
                writeln!(out, "{link}")?;
                if qr {
                    draw(&mut out, &link)?;
                }
            }
            AdminLine::Account(account) => show_account(&mut out, &account, shown == 0)?,
            AdminLine::Status(status) => show_status(&mut out, &status)?,
        }
    }
    bail!("the relay did not finish its answer: look at its log")
}

fn draw(out: &mut impl Write, link: &str) -> anyhow::Result<()> {
    let code = subrosa_wire::qr::lines(link.as_bytes(), io::stdout().is_terminal());
    Ok(write!(out, "{}", code.context("the link is too long for a QR code")?)?)
}

fn show_token(out: &mut impl Write, token: &TokenLine, first: bool) -> io::Result<()> {
    if let Some(secret) = &token.token {
        writeln!(out, "{secret}")?;
        return token.link.as_ref().map_or(Ok(()), |link| writeln!(out, "{link}"));
    }
    if first {
        writeln!(out, "{:<10}{:<9}{:<18}{:<18}NOTE", "ID", "USED", "MADE (UTC)", "ENDS (UTC)")?;
    }
    let ends = match token.expires_ms {
        _ if token.used >= token.uses => "used up".to_owned(),
        Some(at) if !token.valid => format!("ended {}", minute(at).get(5..).unwrap_or_default()),
        Some(at) => minute(at),
        None => "never".to_owned(),
    };
    let used = format!("{}/{}", token.used, token.uses);
    writeln!(out, "{:<10}{used:<9}{:<18}{ends:<18}{}", token.id, minute(token.created_ms), token.note)
}

fn show_account(out: &mut impl Write, account: &AccountLine, first: bool) -> io::Result<()> {
    if first {
        writeln!(
            out,
            "{:<34}{:<9}{:<12}{:<9}{:<12}{:<10}ID",
            "HANDLE", "DEVICES", "SINCE", "WAITING", "BYTES", "STATE"
        )?;
    }
    let AccountLine { handle, devices, created, waiting, waiting_bytes, id, .. } = account;
    let state = if account.disabled { "disabled" } else { "ok" };
    writeln!(out, "{handle:<34}{devices:<9}{created:<12}{waiting:<9}{waiting_bytes:<12}{state:<10}{id}")
}

fn show_status(out: &mut impl Write, status: &StatusLine) -> io::Result<()> {
    let StatusLine { url, version, pid, uptime_s, registration, .. } = status;
    let ready = status.not_ready_because.as_ref().map_or_else(|| "ready".to_owned(), |why| format!("NOT READY: {why}"));
    writeln!(out, "{url}: {ready}")?;
    writeln!(out, "  subrosa-relay {version}, pid {pid}, up {uptime_s} s, registration {registration}")?;
    let StatusLine { accounts, disabled, devices, connected, .. } = status;
    writeln!(out, "  {accounts} accounts ({disabled} disabled), {devices} devices, {connected} connected")?;
    let StatusLine { waiting, waiting_bytes, deepest_mailbox, .. } = status;
    let oldest = status.oldest_waiting_s.map_or_else(String::new, |age| format!(", the oldest for {age} s"));
    writeln!(
        out,
        "  {waiting} envelopes wait ({waiting_bytes} bytes), at most {deepest_mailbox} for one device{oldest}"
    )
}
