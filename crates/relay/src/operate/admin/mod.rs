//! The operator's socket: a private unix socket on which a running relay takes the verbs of its host.
//!
//! Who may speak: the user the relay runs as, and root. The file's mode says so, and the peer's user id is checked.

mod answer;
pub(crate) mod protocol;

use std::{
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use subrosa_tasks::Acceptor;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use crate::{config::RelayError, json::json_line, parts::Parts, shared::Shared};
use protocol::{AdminLine, AdminRequest, MAX_REQUEST_BYTES, Versioned};

/// Name of the socket in the data directory, unless told otherwise.
pub(crate) const SOCKET_NAME: &str = "admin.sock";

/// Longest path of a unix socket that every system takes (`sun_path` without its end).
pub(crate) const MAX_SOCKET_PATH: usize = 107;

/// Verbs served at once: a person and their scripts.
const MAX_CONNECTIONS: usize = 8;

/// How long the operator's program may take to ask, or to read a line of the answer.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// The socket, bound; its file goes when this is dropped.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The user the relay runs as.
    owner: u32,
}

impl AdminSocket {
    /// Binds it. What is left of a relay that is gone is replaced; a socket that answers is not.
    pub(crate) fn bind(path: &Path) -> Result<Self, RelayError> {
        let failed = |source| RelayError::AdminSocket { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it is another kind of file")));
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(failed(io::Error::new(io::ErrorKind::AddrInUse, "another relay answers there")));
            }
            Ok(_) => std::fs::remove_file(path).map_err(failed)?,
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let owner = std::fs::metadata(path).map_err(failed)?.uid();
        Ok(Self { listener, path: path.to_owned(), owner })
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve<P: Parts>(self, shared: Arc<Shared<P>>) {
        let mut acceptor = Acceptor::new("the admin socket", MAX_CONNECTIONS);
        loop {
            let ((stream, _), permit) = acceptor.next(|| self.listener.accept()).await;
            let is_owner = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == self.owner);
            if !is_owner {
                tracing::warn!("somebody who is not this relay's user spoke to its admin socket");
                continue;
            }
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                if let Err(error) = serve_one(&shared, stream).await {
                    tracing::debug!(%error, "an admin connection ended");
                }
                drop(permit);
            });
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Whoever starts next would replace it anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve_one<P: Parts>(shared: &Shared<P>, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    let limit = u64::try_from(MAX_REQUEST_BYTES).unwrap_or(u64::MAX);
    let mut reading = BufReader::new(reading).take(limit);
    tokio::time::timeout(PEER_TIMEOUT, reading.read_line(&mut line)).await??;
    let lines = match serde_json::from_str::<AdminRequest>(&line) {
        Ok(request) => answer::answer(shared, request).await,
        Err(error) => vec![AdminLine::Error {
            message: format!("the relay does not understand this request: {error}"),
            hint: "use the subrosa-relay program of the same version as the running relay".to_owned(),
        }],
    };
    for line in lines {
        let line = json_line(&Versioned::new(line))? + "\n";
        tokio::time::timeout(PEER_TIMEOUT, writing.write_all(line.as_bytes())).await??;
    }
    writing.shutdown().await
}
