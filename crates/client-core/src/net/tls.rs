//! One TLS configuration for HTTPS and WebSockets: rustls with ring and Mozilla's roots.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::ring};

use super::{NetError, RelayEndpoint};

/// The configuration, made once for the process.
///
/// Sessions are not resumed: a resumption ticket is a tag by which a relay could join the anonymous
/// submit socket to the authenticated mailbox, also from another network address.
pub(super) fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

/// Refuses what this build cannot check: a pinned key must never be passed over in silence.
pub(super) fn check_pin(relay: &RelayEndpoint) -> Result<(), NetError> {
    match relay.pin() {
        None => Ok(()),
        Some(_) => Err(NetError::unreachable(
            relay,
            "it is known by a pinned certificate, which this version of subrosa cannot check: update to reach it",
        )),
    }
}
