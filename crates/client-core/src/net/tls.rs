//! One check of certificates for HTTPS and WebSockets: the pinned key, or a known authority.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use sha2::{Digest as _, Sha256};

use super::{Network, RelayEndpoint};

/// The configuration for connections to this relay.
///
/// Sessions are not resumed: a resumption ticket is a tag by which a relay could join the anonymous
/// submit socket to the authenticated mailbox, also from another network address.
pub(super) fn config(network: &Network, relay: &RelayEndpoint) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let authorities = WebPkiServerVerifier::builder_with_provider(network.roots(), Arc::clone(&provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let verifier = RelayVerifier {
        pin: relay.pin().copied(),
        authorities,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    // Without it two connections of TLS 1.2 can have the same exporter, which a login signs (RFC 7627).
    config.require_ems = true;
    Ok(Arc::new(config))
}

/// With a pin: the key has that hash, whatever the certificate round it says (names, dates, issuers).
/// Without: a known authority vouches for the name. In both: the other side proves in this very
/// handshake that it has the key.
#[derive(Debug)]
struct RelayVerifier {
    pin: Option<[u8; 32]>,
    authorities: Arc<WebPkiServerVerifier>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for RelayVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(pin) = self.pin {
            return if key_hash(certificate)? == pin {
                Ok(ServerCertVerified::assertion())
            } else {
                Err(other(OtherKey))
            };
        }
        self.authorities.verify_server_cert(certificate, intermediates, name, ocsp, now).map_err(|error| match error {
            // Nobody known vouches for it; a certificate that signs itself may also be refused as an authority's.
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)) => {
                key_hash(certificate).map_or_else(|error| error, |hash| other(UnknownKey(hash)))
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// SHA-256 of the certificate's public key (SubjectPublicKeyInfo in DER).
fn key_hash(certificate: &CertificateDer<'_>) -> Result<[u8; 32], Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Sha256::digest(parsed.subject_public_key_info()).into())
}

fn other(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(cause))))
}

/// No known authority vouches for the certificate; this is its key.
#[derive(Debug)]
pub(super) struct UnknownKey(pub(super) [u8; 32]);

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is not signed by a known authority")
    }
}

impl std::error::Error for UnknownKey {}

/// The key is not the pinned one.
#[derive(Debug)]
pub(super) struct OtherKey;

impl fmt::Display for OtherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is not the pinned one")
    }
}

impl std::error::Error for OtherKey {}

/// The cause that this file gave a TLS failure, if it did.
pub(super) fn own_cause<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => cause.downcast_ref(),
        _ => None,
    }
}
