//! How this process reaches relays: directly or through a proxy, and which authorities it believes.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::net::TcpStream;

use super::{NetError, Proxy, RelayEndpoint, error::DNS, error::io_cause, proxy::Circuit};
use crate::api::{ApiError, ErrorKind};

/// Longest file of authorities that is read; all of Mozilla's are 250 KiB.
const MAX_CA_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A connection to a relay, before TLS.
#[cfg(not(feature = "simulation"))]
pub(super) type Connection = TcpStream;
/// A connection to a relay, before TLS.
#[cfg(feature = "simulation")]
pub(super) type Connection = super::simulated::Stream;

/// What is asked of the network. Clones are one network.
#[derive(Clone)]
pub struct Network {
    roots: Arc<RootCertStore>,
    proxy: Option<Arc<Proxy>>,
    /// Instead of the system's.
    #[cfg(feature = "simulation")]
    pub(super) simulated: Option<Arc<dyn super::simulated::Dial>>,
}

impl Default for Network {
    fn default() -> Self {
        Self::direct()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl Network {
    /// Straight to the relays, believing Mozilla's authorities.
    #[must_use]
    pub fn direct() -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self {
            roots: Arc::new(roots),
            proxy: None,
            #[cfg(feature = "simulation")]
            simulated: None,
        }
    }

    /// A network of a simulation.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn simulated(dial: Arc<dyn super::simulated::Dial>) -> Self {
        Self { simulated: Some(dial), ..Self::direct() }
    }

    /// The same through this proxy: every connection, and every name is resolved there.
    #[must_use]
    pub fn through(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(Arc::new(proxy));
        self
    }

    /// The same, believing the authorities of this PEM file too.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`]: the file cannot be read or has no certificate.
    pub fn also_trusting(mut self, file: &Path) -> Result<Self, ApiError> {
        let wrong = |why: &str| {
            ApiError::new(ErrorKind::Usage, format!("cannot use {} as a file of authorities: {why}", file.display()))
                .hint("it has one or more certificates in PEM (BEGIN CERTIFICATE)")
        };
        let size = std::fs::metadata(file).map_err(|error| wrong(&error.to_string()))?.len();
        if size > MAX_CA_FILE_BYTES {
            return Err(wrong("it is larger than 4 MiB"));
        }
        let pem = std::fs::read(file).map_err(|error| wrong(&error.to_string()))?;
        let mut roots = RootCertStore::clone(&self.roots);
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| wrong("it is not PEM"))?;
            roots.add(certificate).map_err(|_| wrong("a certificate in it is damaged"))?;
            added += 1;
        }
        if added == 0 {
            return Err(wrong("there is no certificate in it"));
        }
        self.roots = Arc::new(roots);
        Ok(self)
    }

    /// The proxy, as people name it; without its credentials.
    #[must_use]
    pub fn proxy_shown(&self) -> Option<String> {
        self.proxy.as_ref().map(|proxy| proxy.to_string())
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }

    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_deref()
    }

    /// Whether this network may be used for that relay.
    ///
    /// # Errors
    /// An onion service without a proxy: its name would be asked from a name server, in the open. Plaintext to this
    /// computer through a proxy on another one: it would be read on the way.
    pub(super) fn check(&self, relay: &RelayEndpoint) -> Result<(), NetError> {
        match &self.proxy {
            None if relay.is_onion() => Err(NetError::unreachable(
                relay,
                "an .onion address is reached through Tor only: add --proxy socks5h://127.0.0.1:9050",
            )),
            Some(proxy) if !relay.is_tls() && !relay.is_onion() && !proxy.is_here() => Err(NetError::unreachable(
                relay,
                "it is not encrypted (http://), and the way to the proxy would show everything",
            )),
            _ => Ok(()),
        }
    }

    /// A connection to the relay. With a proxy there is no other way than through it.
    pub(super) async fn connect(&self, relay: &RelayEndpoint, circuit: Circuit) -> Result<Connection, NetError> {
        self.check(relay)?;
        #[cfg(feature = "simulation")]
        if let Some(dial) = &self.simulated {
            return dial
                .connect(relay.authority())
                .await
                .map_err(|error| NetError::unreachable(relay, io_cause(&error)));
        }
        let stream = match &self.proxy {
            Some(proxy) => proxy.connect(relay, circuit).await?,
            None => direct(relay).await?,
        };
        // Frames are small and wait for answers: Nagle's delay would only add latency.
        // A socket that cannot be told so still works.
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "simulation")]
        let stream: Connection = Box::new(stream);
        Ok(stream)
    }
}

/// Tries the host's addresses one after the other; the last failure is the one told.
async fn direct(relay: &RelayEndpoint) -> Result<TcpStream, NetError> {
    let addresses = tokio::net::lookup_host(relay.authority()).await.map_err(|_| NetError::unreachable(relay, DNS))?;
    let mut failure = NetError::unreachable(relay, DNS);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = NetError::unreachable(relay, io_cause(&error)),
        }
    }
    Err(failure)
}
