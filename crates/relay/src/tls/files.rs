//! Certificate files: read at the start, and again when they change or on SIGHUP.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use tokio::sync::Notify;

use super::{Shown, provider, unusable, validity::Standing};
use crate::{clock::now_ms, config::RelayError};

/// Longest file that is read: a chain of a dozen certificates has 30 KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Certificates in a chain: more is no chain that a client would follow.
const MAX_CHAIN: usize = 16;

/// A certificate chain and its key, in PEM.
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// The name that clients know the relay by; a certificate for another one helps nobody.
    host: Option<String>,
}

/// What tells a file from its successor.
type Stamp = Option<[(u64, u64, i64, i64); 2]>;

impl Files {
    pub(super) fn new(certificate: PathBuf, key: PathBuf, host: Option<String>) -> Self {
        Self { certificate, key, host }
    }

    /// Reads both and checks that they belong together.
    pub(super) fn read(&self) -> Result<CertifiedKey, RelayError> {
        let chain = CertificateDer::pem_slice_iter(&bounded(&self.certificate)?)
            .take(MAX_CHAIN)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| unusable(&self.certificate, "it is not a certificate chain in PEM"))?;
        let Some(leaf) = chain.first() else {
            return Err(unusable(&self.certificate, "there is no certificate (BEGIN CERTIFICATE) in it"));
        };
        let parsed = ParsedCertificate::try_from(leaf)
            .map_err(|error| unusable(&self.certificate, format!("its first certificate is damaged ({error})")))?;
        if let Some(host) = &self.host {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| unusable(&self.certificate, format!("{host} is no name that a certificate can have")))?;
            verify_server_name(&parsed, &name)
                .map_err(|_| unusable(&self.certificate, format!("it is not for {host}, the host of --public-url")))?;
        }
        let key = PrivateKeyDer::from_pem_slice(&bounded(&self.key)?)
            .map_err(|_| unusable(&self.key, "there is no unencrypted private key in PEM in it"))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                unusable(&self.key, format!("it is not the key of {}", self.certificate.display()))
            }
            error => unusable(&self.key, error),
        })
    }

    /// Shows what changes, until dropped. A bad file is told once and changes nothing.
    pub(super) async fn follow(&self, shown: &Shown, reload: &Notify, interval: Duration) {
        if readable_by_all(&self.key) {
            tracing::warn!(file = %self.key.display(), "every user of this machine can read the TLS key: chmod 600");
        }
        let mut seen = self.stamp();
        let mut told = Standing::Good;
        loop {
            let standing = Standing::of(shown.current().certificate.end_entity_cert().ok(), now_ms());
            if standing != told {
                standing.tell(&self.certificate);
                told = standing;
            }
            let asked = tokio::select! {
                biased;
                () = reload.notified() => true,
                () = tokio::time::sleep(interval) => false,
            };
            let stamp = self.stamp();
            if !asked && stamp == seen {
                continue;
            }
            seen = stamp;
            // Two small files: read on this task, like every other start-up file.
            match self.read().and_then(|certificate| shown.replace(certificate)) {
                Ok(()) => tracing::info!("the TLS certificate was read again; new connections are shown it"),
                Err(error) => tracing::error!(%error, "the TLS certificate was not replaced: the old one stays"),
            }
        }
    }

    fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            let data = fs::metadata(path).ok()?;
            Some((data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
        };
        Some([of(&self.certificate)?, of(&self.key)?])
    }
}

pub(super) fn bounded(path: &Path) -> Result<Vec<u8>, RelayError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unusable(path, error))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unusable(path, error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(unusable(path, "it is larger than 1 MiB, so it is something else"));
    }
    Ok(bytes)
}

fn readable_by_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o004 != 0)
}
