//! Makes a backup: copies the store, seals it, reads the file back and checks it, and only then gives it its name.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    COPY_SUFFIX, KEY_BYTES, MAX_MANIFEST_BYTES, Manifest,
    copy::{check, copy, go_on},
    seal::{CHUNK_BYTES, Cipher, Header, Opener, Sealer},
};
use crate::{
    api::{AccountInfo, ApiError, BackupMade, BackupParams, ErrorKind},
    files::storage_error,
    keys::StoreKey,
    new_file::{NewFile, Partial, beside},
};

/// What is backed up.
pub(crate) struct BackupSource {
    pub(crate) store: PathBuf,
    pub(crate) key: std::sync::Arc<StoreKey>,
    pub(crate) account: AccountInfo,
    pub(crate) now_ms: u64,
}

/// Makes the file; nothing is left of it if anything fails, or `stop` is cancelled. Takes as long as the store is large.
pub(crate) fn make(
    source: &BackupSource,
    params: &BackupParams,
    stop: &CancellationToken,
) -> Result<BackupMade, ApiError> {
    let path = Path::new(&params.path);
    if !path.is_absolute() {
        return Err(ApiError::new(ErrorKind::Usage, format!("{:?} is not an absolute path", params.path))
            .hint("the engine may run in another directory: give the whole path"));
    }
    let (header, key) = params.key.parse()?;
    let new = NewFile::create(path, params.force)?;
    let copied = Partial::create(beside(path, COPY_SUFFIX))?;
    let _beside = Beside(&copied.path);

    let mut copy_key = Zeroizing::new([0; KEY_BYTES]);
    subrosa_ambient::fill(&mut copy_key[..])
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}")))?;
    let counts = copy((&source.store, source.key.as_bytes()), (&copied.path, &copy_key), stop)?;
    check(&copied.path, &copy_key, counts, stop)?;

    let failed =
        |error: io::Error| storage_error("write", path, &error).hint("is the disk full? Nothing is left of the backup");
    let store_bytes = copied.file.metadata().map_err(failed)?.len();
    let account = &source.account;
    let manifest = Manifest {
        v: 1,
        created_ms: source.now_ms,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        account: account.id.clone(),
        handle: account.name.clone(),
        relay: account.relay.clone(),
        device: account.device,
        messages: counts.messages,
        contacts: counts.contacts,
        store_bytes,
    };
    let written = write(new.file(), Cipher::new(header, &key), &manifest, &copy_key, &copied.path, stop)
        .and_then(|hash| new.file().sync_all().map(|()| hash))
        .map_err(|error| stopped(stop).unwrap_or_else(|| failed(error)))?;
    let bytes = new.file().metadata().map_err(failed)?.len();

    // What lies on the disk now, read as a restore would read it, is what was checked above.
    let unread = |error: io::Error| {
        stopped(stop).unwrap_or_else(|| {
            ApiError::new(ErrorKind::Storage, format!("the backup does not read back as it was written: {error}"))
                .hint("check the disk, or write it to another one")
        })
    };
    let read_back = read_back(&new, header, &key, stop).map_err(unread)?;
    if read_back != (manifest, written) {
        return Err(unread(io::Error::other("it differs")));
    }
    new.publish()?;
    Ok(BackupMade {
        path: params.path.clone(),
        bytes,
        account: account.id.clone(),
        created_ms: source.now_ms,
        messages: counts.messages,
        contacts: counts.contacts,
    })
}

fn stopped(stop: &CancellationToken) -> Option<ApiError> {
    go_on(stop).err()
}

/// Log and index of the copy, removed with it.
struct Beside<'a>(&'a Path);

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        for suffix in ["-wal", "-shm", "-journal"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(suffix);
            // Mostly they are gone already.
            let _ = std::fs::remove_file(PathBuf::from(name));
        }
    }
}

/// Writes header and payload; gives the hash of the store's bytes.
fn write(
    out: &File,
    cipher: Cipher,
    manifest: &Manifest,
    copy_key: &[u8; KEY_BYTES],
    store: &Path,
    stop: &CancellationToken,
) -> io::Result<[u8; 32]> {
    let mut out = Sealer::new(BufWriter::new(out), cipher)?;
    let manifest = serde_json::to_vec(manifest)?;
    let length = u32::try_from(manifest.len()).ok().filter(|length| *length <= MAX_MANIFEST_BYTES);
    out.write_all(&length.ok_or_else(|| io::Error::other("its description is too long"))?.to_be_bytes())?;
    out.write_all(&manifest)?;
    out.write_all(copy_key)?;
    let hash = pump(&mut File::open(store)?, &mut out, stop)?;
    out.finish()?;
    Ok(hash)
}

fn read_back(
    new: &NewFile,
    header: Header,
    key: &[u8; 32],
    stop: &CancellationToken,
) -> io::Result<(Manifest, [u8; 32])> {
    let mut file = BufReader::new(File::open(crate::new_file::unfinished(new.path()))?);
    let found = Header::read(&mut file).map_err(io::Error::other)?;
    if found != header {
        return Err(io::Error::other("its header differs"));
    }
    let mut opener = Opener::new(file, Cipher::new(header, key));
    let (manifest, _) = read_head(&mut opener)?;
    let hash = pump(&mut opener, &mut io::sink(), stop)?;
    Ok((manifest, hash))
}

/// Manifest and key of the copy, from the beginning of the payload.
pub(crate) fn read_head(payload: &mut impl Read) -> io::Result<(Manifest, Zeroizing<[u8; KEY_BYTES]>)> {
    let mut length = [0; 4];
    payload.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_MANIFEST_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its description is too long"));
    }
    let mut json = vec![0; usize::try_from(length).unwrap_or(0)];
    payload.read_exact(&mut json)?;
    let manifest: Manifest = serde_json::from_slice(&json)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    payload.read_exact(&mut key[..])?;
    Ok((manifest, key))
}

/// Copies to the end and hashes on the way.
pub(crate) fn pump(from: &mut impl Read, to: &mut impl Write, stop: &CancellationToken) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        if stop.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}
