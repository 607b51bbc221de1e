//! `daemon`: runs the engine until stopped, and serves it to programs over sockets and HTTP.

use std::{
    net::SocketAddr,
    os::unix::net::UnixListener as BlockingUnixListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use listenfd::ListenFd;
use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{DaemonInfo, EventsParams, NoParams},
    clean::clean_line,
    rpc::{self, HttpToken},
};
use tokio::{
    net::{TcpListener, UnixListener},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Context,
    account::{Use, home, millis, open_account},
    args::DaemonArgs,
    errors::{Failure, usage},
    interrupt::Signal,
};

mod access;
mod http;

use access::Access;

/// One look for the engine waits so long; each event ends it sooner. It only has to notice that another process that had the
/// engine is gone.
const WATCH: Duration = Duration::from_secs(3600);

/// After a failure to reach the engine: another process holds it and does not answer.
const WATCH_AGAIN: Duration = Duration::from_secs(5);

pub(crate) async fn run(ctx: &Context, args: DaemonArgs) -> Result<(), Failure> {
    // Before the account: what cannot be served is told at once.
    let Doors { sockets, http, made } = Doors::open(&args).await?;
    let opened = tokio::select! {
        opened = open_account(ctx, Use { kind: "daemon", drain: false }) => opened?,
        signal = ctx.interrupt.wait() => return end(signal),
    };
    let client = opened.client();
    let shutdown = CancellationToken::new();
    let work = async {
        let mut servers = JoinSet::new();
        let info = serve(ctx, &args, &client, &shutdown, &mut servers, sockets, http).await?;
        ctx.out.line(info)?;
        if !opened.runs_engine().await {
            let owner = client.status(NoParams {}).await?.engine;
            ctx.out.note(&format!(
                "`subrosa {}` (pid {}) runs the engine; this one takes over when it ends",
                clean_line(&owner.kind),
                owner.pid
            ));
        }
        tell_systemd(ctx, "READY=1");
        watch(ctx, &*client).await;
        Ok(())
    };
    let timeout = async {
        match ctx.global.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = work => result,
        () = timeout => Ok(()),
        signal = ctx.interrupt.wait() => end(signal),
    };
    tell_systemd(ctx, "STOPPING=1");
    shutdown.cancel();
    drop(made);
    opened.close().await;
    result
}

/// Being asked to stop is how a daemon ends; only Ctrl-C keeps its exit code.
const fn end(signal: Signal) -> Result<(), Failure> {
    match signal {
        Signal::Interrupt => Err(Failure::Interrupted(signal)),
        Signal::Terminate | Signal::Hangup => Ok(()),
    }
}

/// Holds on to the engine: if another process has it, this one takes over when that ends, also while nobody calls.
async fn watch(ctx: &Context, client: &dyn Client) {
    let mut cursor = None;
    loop {
        let wait_ms = if cursor.is_none() { 0 } else { millis(WATCH) };
        match client.events(EventsParams { since: cursor, max: None, wait_ms }).await {
            Ok(page) => cursor = Some(page.cursor),
            Err(error) => {
                ctx.out.warn(&format!("the engine is not reached: {}", error.message));
                tokio::time::sleep(WATCH_AGAIN).await;
            }
        }
    }
}

/// Where the daemon is reached, bound but not served yet.
struct Doors {
    sockets: Vec<(PathBuf, UnixListener)>,
    http: Vec<TcpListener>,
    /// Sockets of our own making, removed at the end.
    made: Vec<Removed>,
}

/// A socket file that goes with us.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // Gone already: somebody else removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Doors {
    async fn open(args: &DaemonArgs) -> Result<Self, Failure> {
        let mut doors = Self { sockets: Vec::new(), http: Vec::new(), made: Vec::new() };
        for address in &args.http {
            check_address(*address, args.http_beyond_loopback)?;
            let listener = TcpListener::bind(address).await.map_err(|error| {
                ApiError::new(ErrorKind::Failed, format!("cannot listen on {address}: {error}"))
                    .hint("choose another port, or 0 for a free one")
            })?;
            doors.http.push(listener);
        }
        for path in &args.socket {
            let path = std::path::absolute(path)?;
            let listener = rpc::bind_at(&path)?;
            doors.made.push(Removed(path.clone()));
            doors.sockets.push((path, listener));
        }
        doors.take_from_systemd(args)?;
        Ok(doors)
    }

    /// Sockets that systemd made for us and hands over.
    fn take_from_systemd(&mut self, args: &DaemonArgs) -> Result<(), Failure> {
        let mut given = ListenFd::from_env();
        for place in 0..given.len() {
            // Each is asked for as what it may be; the wrong question leaves it in place.
            if let Ok(Some(listener)) = given.take_unix_listener(place) {
                let (path, listener) = from_unix(listener)?;
                self.sockets.push((path, listener));
            } else if let Ok(Some(listener)) = given.take_tcp_listener(place) {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                check_address(listener.local_addr()?, args.http_beyond_loopback)?;
                self.http.push(listener);
            } else {
                return Err(usage(
                    format!("systemd handed over a socket (number {place}) that is neither a unix nor a TCP listener"),
                    "use ListenStream= in the .socket unit",
                ));
            }
        }
        Ok(())
    }
}

/// Serves everything that was bound, in tasks of `servers`.
async fn serve(
    ctx: &Context,
    args: &DaemonArgs,
    client: &Arc<dyn Client>,
    shutdown: &CancellationToken,
    servers: &mut JoinSet<()>,
    sockets: Vec<(PathBuf, UnixListener)>,
    http: Vec<TcpListener>,
) -> Result<DaemonInfo, Failure> {
    let home = home(ctx)?;
    let mut info = DaemonInfo {
        name: client.account(NoParams {}).await?.name,
        pid: std::process::id(),
        sockets: vec![home.engine_socket().display().to_string()],
        http: Vec::new(),
        token_file: None,
    };
    for (path, listener) in sockets {
        info.sockets.push(path.display().to_string());
        servers.spawn(rpc::serve(Arc::clone(client), listener, shutdown.clone()));
    }
    if http.is_empty() {
        return Ok(info);
    }
    let access = Arc::new(Access::new(HttpToken::load_or_create(&home)?, args.http_host.clone()));
    info.token_file = Some(home.http_token().display().to_string());
    for listener in http {
        let address = listener.local_addr()?;
        info.http.push(format!("http://{address}"));
        if !address.ip().is_loopback() {
            ctx.out.warn(&format!(
                "{address} is reached from other machines, and what passes is not encrypted: put a proxy with TLS in front"
            ));
        }
        servers.spawn(http::serve(Arc::clone(client), listener, Arc::clone(&access), shutdown.clone()));
    }
    Ok(info)
}

/// Loopback, unless somebody really wants more.
fn check_address(address: SocketAddr, beyond_loopback: bool) -> Result<(), Failure> {
    if address.ip().is_loopback() || beyond_loopback {
        return Ok(());
    }
    Err(usage(
        format!("{address} is reached from other machines, and there is no TLS in here"),
        "use 127.0.0.1:PORT; or put a proxy with TLS in front and say --http-beyond-loopback",
    ))
}

/// A listener from systemd, as the runtime wants it, and its path.
fn from_unix(listener: BlockingUnixListener) -> Result<(PathBuf, UnixListener), Failure> {
    let path =
        listener.local_addr()?.as_pathname().map_or_else(|| PathBuf::from("(without a name)"), Path::to_path_buf);
    listener.set_nonblocking(true)?;
    Ok((path, UnixListener::from_std(listener)?))
}

/// Tells a service manager how it stands (`Type=notify`). Without one nothing happens.
#[cfg(not(target_os = "linux"))]
fn tell_systemd(_ctx: &Context, _state: &str) {}

/// Tells a service manager how it stands (`Type=notify`). Without one nothing happens.
#[cfg(target_os = "linux")]
fn tell_systemd(ctx: &Context, state: &str) {
    use std::os::{
        linux::net::SocketAddrExt as _,
        unix::{ffi::OsStrExt as _, net::UnixDatagram},
    };
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    let told = match name.as_bytes() {
        [b'@', name @ ..] => std::os::unix::net::SocketAddr::from_abstract_name(name)
            .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)),
        _ => UnixDatagram::unbound().and_then(|socket| socket.send_to(state.as_bytes(), Path::new(&name))),
    };
    if let Err(error) = told {
        ctx.out.detail(&format!("the service manager was not told {state}: {error}"));
    }
}
