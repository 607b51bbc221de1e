//! TLS where the relay itself ends it: which certificate it shows, and the handshake.
//!
//! Three ways: certificate files that are read again when they change, a certificate from an ACME
//! authority, or a key of the relay's own that clients know by its SHA-256 (the *pin*). Plaintext
//! and TLS connections are served by the same code (`server.rs`); only the stream differs.

mod acme;
mod files;
mod own_key;
mod validity;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use subrosa_wire::labels::{RELAY_AUTH_EXPORTER, RELAY_AUTH_EXPORTER_BYTES};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::config::{Config, RelayError, Tls};
pub(crate) use own_key::KEY_FILE;

use acme::Acme;
use files::Files;

/// How a listener's connections begin.
pub(crate) struct Front {
    acceptor: TlsAcceptor,
    /// What is shown, unless an ACME authority decides.
    shown: Option<Arc<Shown>>,
    /// Where newer certificates come from, if they do.
    source: CertificateSource,
    reload: Arc<Notify>,
    /// Links name the key: nobody else vouches for it.
    is_pinned: bool,
}

/// Where newer certificates come from.
enum CertificateSource {
    Nowhere,
    Files(Files),
    Acme(Box<Acme>),
}

/// What an authority speaks when it checks a name (RFC 8737).
const ACME_CHECK: &[u8] = b"acme-tls/1";

impl Front {
    /// What these settings ask for; `None` is plaintext. Reads files, and makes the relay's own key.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should.
    pub(crate) fn open(config: &Config, address: SocketAddr) -> Result<Option<Self>, RelayError> {
        let (first, source, is_pinned) = match &config.tls {
            Tls::Auto if address.ip().is_loopback() || config.behind_proxy => return Ok(None),
            Tls::Auto | Tls::SelfSigned => (own_key::load_or_make(&config.data_dir)?, CertificateSource::Nowhere, true),
            Tls::Files { certificate, key } => {
                if certificate.as_os_str().is_empty() || key.as_os_str().is_empty() {
                    return Err(RelayError::HalfOfTls);
                }
                let host = config.public_url.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
                let files = Files::new(certificate.clone(), key.clone(), host);
                (files.read()?, CertificateSource::Files(files), false)
            }
            Tls::Acme(domain) => {
                let (acme, resolver) = Acme::open(config, domain)?;
                let mut tls = server_config(resolver)?;
                // The resolver shows another certificate to the authority's checks; what is spoken then ends at once.
                tls.alpn_protocols.push(ACME_CHECK.to_vec());
                return Ok(Some(Self {
                    acceptor: TlsAcceptor::from(Arc::new(tls)),
                    shown: None,
                    source: CertificateSource::Acme(Box::new(acme)),
                    reload: Arc::default(),
                    is_pinned: false,
                }));
            }
        };
        let shown = Arc::new(Shown::new(first)?);
        let acceptor = TlsAcceptor::from(Arc::new(server_config(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>)?));
        Ok(Some(Self { acceptor, shown: Some(shown), source, reload: Arc::default(), is_pinned }))
    }

    /// The handshake, and what the connection exports for a login. The caller sets the deadline.
    ///
    /// # Errors
    /// No TLS, or none that both sides know.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, [u8; RELAY_AUTH_EXPORTER_BYTES])> {
        let mut stream = self.acceptor.accept(stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(ACME_CHECK) {
            // The handshake was the answer.
            stream.shutdown().await?;
            return Err(io::Error::other("a check of the certificate authority, answered"));
        }
        let exporter = stream
            .get_ref()
            .1
            .export_keying_material([0; RELAY_AUTH_EXPORTER_BYTES], RELAY_AUTH_EXPORTER, None)
            .map_err(io::Error::other)?;
        Ok((stream, exporter))
    }

    /// SHA-256 of the key that is shown now; that of an ACME authority's certificate is nobody's pin.
    pub(crate) fn key_hash(&self) -> Option<[u8; 32]> {
        self.shown.as_ref().map(|shown| shown.current().hash)
    }

    /// The same, where links must name it.
    pub(crate) fn pin(&self) -> Option<[u8; 32]> {
        self.key_hash().filter(|_| self.is_pinned)
    }

    /// Asks to read the certificate files again; see [`Front::follow`].
    pub(crate) fn reloader(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Shows newer certificates as they come, until dropped. What stands goes on with the old one.
    pub(crate) async fn follow(&self, config: &Config) {
        match (&self.source, &self.shown) {
            (CertificateSource::Files(files), Some(shown)) => {
                files.follow(shown, &self.reload, config.tls_check_interval).await
            }
            (CertificateSource::Acme(acme), _) => acme.follow().await,
            _ => std::future::pending().await,
        }
    }
}

/// TLS 1.3 and 1.2, HTTP/1.1, nothing kept of a connection when it ends.
fn server_config(resolver: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, RelayError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| RelayError::System(io::Error::other(error)))?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Clients do not resume: a ticket would join the anonymous socket to the authenticated one.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // Without it two connections of TLS 1.2 can have the same secrets, and with them the same exporter (RFC 7627).
    config.require_ems = true;
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificate that new connections are shown. Those that stand keep theirs.
#[derive(Debug)]
pub(super) struct Shown(RwLock<Arc<Current>>);

#[derive(Debug)]
struct Current {
    certificate: Arc<CertifiedKey>,
    /// SHA-256 of its public key (SubjectPublicKeyInfo in DER): the pin.
    hash: [u8; 32],
}

impl Current {
    fn new(certificate: CertifiedKey) -> Result<Self, RelayError> {
        let system = |error: rustls::Error| RelayError::System(io::Error::other(error));
        let leaf = certificate.end_entity_cert().and_then(ParsedCertificate::try_from).map_err(system)?;
        let hash = Sha256::digest(leaf.subject_public_key_info()).into();
        Ok(Self { certificate: Arc::new(certificate), hash })
    }
}

impl Shown {
    fn new(certificate: CertifiedKey) -> Result<Self, RelayError> {
        Ok(Self(RwLock::new(Arc::new(Current::new(certificate)?))))
    }

    fn current(&self) -> Arc<Current> {
        // Replaced in one step: whoever panicked left a whole one.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this one.
    fn replace(&self, certificate: CertifiedKey) -> Result<(), RelayError> {
        let next = Arc::new(Current::new(certificate)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current().certificate))
    }
}

/// A file of TLS that cannot be used.
fn unusable(path: &Path, detail: impl ToString) -> RelayError {
    RelayError::TlsFile { path: path.to_owned(), detail: detail.to_string() }
}
