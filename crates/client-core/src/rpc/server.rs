//! Sockets that answer JSON-RPC calls: the account's own, and further ones where a person wants them.

use std::{
    io,
    os::unix::{fs::FileTypeExt as _, fs::PermissionsExt as _, net::UnixStream as BlockingStream},
    path::Path,
    sync::Arc,
};

use subrosa_tasks::Acceptor;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{MAX_CONNECTIONS, MAX_SOCKET_PATH, SocketPath, connection::serve_stream};
use crate::{
    api::{ApiError, ErrorKind},
    caller::Caller,
    client::Client,
    files::storage_error,
    home::Home,
    lock::EngineLock,
};

/// Binds the account's socket (0600) in place of one that a dead owner left. Only the lock's holder may: hence the reference.
///
/// # Errors
/// [`ErrorKind::Storage`].
pub fn bind(home: &Home, _lock: &EngineLock) -> Result<UnixListener, ApiError> {
    let shown = home.engine_socket();
    let failed = |error: io::Error| storage_error("listen on", &shown, &error);
    let socket = SocketPath::of(home).map_err(failed)?;
    match std::fs::remove_file(&socket.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&socket.path).map_err(failed)?;
    std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Binds a further socket (0600) at a path of the person's choice. What a dead process left there is replaced; a socket that
/// somebody serves and any other file are left alone.
///
/// # Errors
/// [`ErrorKind::Usage`] for a path that does not fit or is taken, [`ErrorKind::Storage`].
pub fn bind_at(path: &Path) -> Result<UnixListener, ApiError> {
    let failed = |error: io::Error| storage_error("listen on", path, &error);
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(ApiError::new(
            ErrorKind::Usage,
            format!("{} is longer than the {MAX_SOCKET_PATH} bytes a socket's path may have", path.display()),
        )
        .hint("choose a shorter path, for example below $XDG_RUNTIME_DIR"));
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ApiError::new(ErrorKind::Usage, format!("{} exists and is not a socket", path.display()))
                .hint("choose another path for --socket"));
        }
        Ok(_) if BlockingStream::connect(path).is_ok() => {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!("another process already serves the socket {}", path.display()),
            )
            .hint("stop it, or choose another path for --socket"));
        }
        Ok(_) => std::fs::remove_file(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves `client` to every process of this user until `shutdown`. Calls that then are open are given up: their callers
/// see the connection close and may call again elsewhere.
pub async fn serve(client: Arc<dyn Client>, listener: UnixListener, shutdown: CancellationToken) {
    let Some(owner) = own_user() else {
        debug!("the socket is closed: the user of this process is not known");
        return;
    };
    let mut acceptor = Acceptor::new("the engine", MAX_CONNECTIONS);
    // Dropped at the end, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        let ((stream, _), place) = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = acceptor.next(|| listener.accept()) => accepted,
        };
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == owner => {
                let client = Arc::clone(&client);
                let caller = Caller::connected(peer.pid().and_then(|pid| u32::try_from(pid).ok()));
                connections.spawn(async move {
                    let (reader, writer) = stream.into_split();
                    serve_stream(client, reader, writer, caller).await;
                    drop(place);
                });
            }
            _ => debug!("a connection of another user was closed"),
        }
    }
}

/// The user this process acts as: the two ends of an own socket pair belong to it.
fn own_user() -> Option<u32> {
    let pair = UnixStream::pair().ok()?;
    pair.0.peer_cred().ok().map(|own| own.uid())
}
