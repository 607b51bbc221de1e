//! The relay's own key: made once, kept for ever, because clients know the relay by it.
//!
//! Only the key is kept. The certificate round it is made anew at each start; nobody looks at it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

use super::{provider, unusable};
use crate::config::RelayError;

/// The key's file in the data directory. Belongs into every backup.
pub(crate) const KEY_FILE: &str = "tls-key.pem";

/// What the certificate calls itself. Clients compare the key and read no name.
const NAME: &str = "subrosa-relay";

/// Reads the key, or makes it. The caller holds the lock of the data directory.
pub(super) fn load_or_make(data_dir: &Path) -> Result<CertifiedKey, RelayError> {
    let path = data_dir.join(KEY_FILE);
    let key = match fs::read_to_string(&path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|_| {
            unusable(
                &path,
                "it is damaged. Clients know this relay by that key: restore the file from a backup. If there is \
                 none, move it away; a new key is made, and everybody needs a new link",
            )
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| unusable(&path, error))?;
            write_once(data_dir, &path, key.serialize_pem().as_bytes()).map_err(|error| unusable(&path, error))?;
            tracing::info!(file = %path.display(), "made the key by which clients know this relay: keep it in your backups");
            key
        }
        Err(error) => return Err(unusable(&path, error)),
    };
    let failed = |error: rcgen::Error| unusable(&path, error);
    let mut params = CertificateParams::new([NAME.to_owned()]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    let certificate = params.self_signed(&key).map_err(failed)?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    CertifiedKey::from_der(vec![certificate.der().clone()], der, &provider()).map_err(|error| unusable(&path, error))
}

/// Whole or not at all, for the owner only, and on disk when this returns.
fn write_once(data_dir: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let half = path.with_extension("pem.new");
    // Left behind by a start that was killed.
    let _ = fs::remove_file(&half);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&half, path)?;
    File::open(data_dir)?.sync_all()
}
