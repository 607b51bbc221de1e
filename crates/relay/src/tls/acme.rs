//! A certificate from an ACME authority (RFC 8555), proven by TLS-ALPN-01 on the relay's own port.
//!
//! Order, proof and renewal are `rustls-acme`'s; here are the settings, where things are kept, what
//! the log says, and a pause after a failure: authorities count failures and shut the door.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
    server::ResolvesServerCert,
};
use rustls_acme::{AcmeConfig, AcmeState, EventError, EventOk, caches::DirCache};

use super::{files::bounded, provider, unusable};
use crate::config::{Config, RelayError};

/// Account key and certificate, in the data directory.
const CACHE_DIR: &str = "acme";

/// After a first failure: a lost packet or a used nonce must not keep a new relay without a certificate for long.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// After further ones. Let's Encrypt allows five failed checks of a name in an hour; then it answers no more.
const FURTHER_PAUSE: Duration = Duration::from_secs(20 * 60);

/// What is under way with the authority.
pub(super) struct Acme {
    domain: String,
    cache: PathBuf,
    /// Taken by the task that drives it.
    state: Mutex<Option<AcmeState<io::Error>>>,
}

impl Acme {
    /// Prepares; nothing is asked yet. The resolver also answers the authority's checks.
    pub(super) fn open(config: &Config, domain: &str) -> Result<(Self, Arc<dyn ResolvesServerCert>), RelayError> {
        let cache = config.data_dir.join(CACHE_DIR);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&cache)
            .map_err(|source| RelayError::DataDir { path: cache.clone(), source })?;
        let acme = AcmeConfig::new_with_client_config([domain], client_config(config.acme.root.as_deref())?)
            .directory(&config.acme.directory)
            .contact(config.acme.contact.iter().map(|mail| format!("mailto:{mail}")))
            .cache(DirCache::new(cache.clone()));
        let state = acme.state();
        let resolver = state.resolver();
        Ok((Self { domain: domain.to_owned(), cache, state: Mutex::new(Some(state)) }, resolver))
    }

    /// Gets certificates and renews them, until dropped.
    pub(super) async fn follow(&self) {
        let taken = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut state) = taken else { return std::future::pending().await };
        let mut pause = FIRST_PAUSE;
        while let Some(event) = state.next().await {
            match event {
                Ok(EventOk::DeployedCachedCert) => tracing::info!("the certificate of the last run is shown"),
                Ok(EventOk::DeployedNewCert) => {
                    pause = FIRST_PAUSE;
                    tracing::info!("the authority gave a new certificate; it is shown from now on")
                }
                Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore) => self.make_private(),
                Err(error @ (EventError::Order(_) | EventError::NewCertParse(_))) => {
                    tracing::error!(
                        %error,
                        "no certificate from the authority. It must reach this relay under {} at port 443 (TLS-ALPN-01): \
                         does the name point here, is the port open and passed on unchanged? The next try is in {} s",
                        self.domain,
                        pause.as_secs()
                    );
                    tokio::time::sleep(pause).await;
                    pause = FURTHER_PAUSE;
                }
                Err(error) => {
                    tracing::error!(%error, directory = %self.cache.display(), "what the authority gave cannot be kept or read: is the disk full?");
                }
            }
        }
    }

    /// The library writes with the process's mask; the directory is private from the start.
    fn make_private(&self) {
        let Ok(entries) = fs::read_dir(&self.cache) else { return };
        for entry in entries.flatten() {
            if let Err(error) = fs::set_permissions(entry.path(), Permissions::from_mode(0o600)) {
                tracing::warn!(%error, file = %entry.path().display(), "a key of ACME could not be made private");
            }
        }
    }
}

fn client_config(root: Option<&Path>) -> Result<Arc<ClientConfig>, RelayError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = root {
        let pem = bounded(path)?;
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| unusable(path, "it is not PEM"))?;
            roots.add(certificate).map_err(|_| unusable(path, "a certificate in it is damaged"))?;
            added += 1;
        }
        if added == 0 {
            return Err(unusable(path, "there is no certificate in it"));
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| RelayError::System(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
