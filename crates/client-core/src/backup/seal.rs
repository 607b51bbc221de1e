//! The encryption of a backup: Argon2id makes the key, AES-256-GCM seals chunks of 64 KiB (the STREAM construction).
//!
//! A chunk's nonce holds its number and whether it is the last one, and the header is authenticated with each: chunks that
//! are cut off, swapped, repeated or of another file do not open.

use std::io::{self, Read, Write};

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, AeadInOut as _, Payload},
};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    api::{ApiError, ErrorKind, FileKey, Secret},
    keys::Passphrase,
};

/// How every backup begins.
const MAGIC: &[u8; 8] = b"SUBROSAB";

/// Version of the whole format.
const VERSION: u8 = 1;

/// Magic, version, three numbers, salt.
pub(crate) const HEADER_BYTES: usize = 8 + 1 + 12 + SALT_BYTES;

const SALT_BYTES: usize = 16;

/// Clear bytes of a chunk: large enough that the tag costs nothing, small enough to hold a few.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

const TAG_BYTES: usize = 16;

/// Argon2id memory of a new backup: twice that of the store's key, as a backup lies where others may try for years; still
/// beside everything else on a machine with 512 MiB.
const MEMORY_KIB: u32 = 128 * 1024;

/// Passes; with [`MEMORY_KIB`] a third of a second on a small machine, once a backup.
const PASSES: u32 = 3;

/// One lane: more help only who has more cores to attack with.
const LANES: u32 = 1;

/// Bounds on what a file may ask for: its header is read before anything proves who wrote it.
const MEMORY_BOUNDS: std::ops::RangeInclusive<u32> = 19 * 1024..=1024 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 8;

/// Makes the key of a new backup. Takes a third of a second: not for asynchronous threads.
///
/// # Errors
/// [`ErrorKind::Failed`] without randomness or memory.
pub fn derive(passphrase: &Passphrase) -> Result<FileKey, ApiError> {
    let mut salt = [0; SALT_BYTES];
    subrosa_ambient::fill(&mut salt)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}")))?;
    let header = Header { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt };
    let key = header.derive(passphrase)?;
    Ok(FileKey {
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        lanes: LANES,
        salt: hex::encode(salt),
        key: Secret::new(hex::encode(&key[..])),
    })
}

/// The clear beginning of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; SALT_BYTES],
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8] = VERSION;
        for (place, number) in [self.memory_kib, self.passes, self.lanes].into_iter().enumerate() {
            bytes[9 + 4 * place..13 + 4 * place].copy_from_slice(&number.to_be_bytes());
        }
        bytes[21..].copy_from_slice(&self.salt);
        bytes
    }

    /// Reads it, and believes it only within bounds.
    pub(crate) fn read(from: &mut impl Read) -> Result<Self, ApiError> {
        let mut bytes = [0; HEADER_BYTES];
        from.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => not_a_backup("it is too short"),
            _ => ApiError::new(ErrorKind::Storage, format!("the backup cannot be read: {error}")),
        })?;
        if &bytes[..8] != MAGIC {
            return Err(not_a_backup("it does not begin as one"));
        }
        if bytes[8] != VERSION {
            return Err(ApiError::new(
                ErrorKind::Failed,
                format!("the backup is of a newer program (version {})", bytes[8]),
            )
            .hint("install the newest subrosa"));
        }
        let number = |place: usize| {
            let mut number = [0; 4];
            number.copy_from_slice(&bytes[9 + 4 * place..13 + 4 * place]);
            u32::from_be_bytes(number)
        };
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&bytes[21..]);
        Self { memory_kib: number(0), passes: number(1), lanes: number(2), salt }.bounded()
    }

    fn bounded(self) -> Result<Self, ApiError> {
        let fits = MEMORY_BOUNDS.contains(&self.memory_kib)
            && (1..=MAX_PASSES).contains(&self.passes)
            && (1..=MAX_LANES).contains(&self.lanes);
        if fits { Ok(self) } else { Err(not_a_backup("its cost parameters are out of bounds")) }
    }

    pub(crate) fn derive(self, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>, ApiError> {
        let failed = |error: argon2::Error| {
            ApiError::new(ErrorKind::Failed, format!("the passphrase cannot be hashed: {error}"))
                .hint(format!("it takes {} MiB of memory", self.memory_kib / 1024))
        };
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(failed)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt, &mut key[..])
            .map_err(failed)?;
        Ok(key)
    }
}

impl FileKey {
    /// Header and key, if they are ones: they may come from another program over the socket.
    pub(crate) fn parse(&self) -> Result<(Header, Zeroizing<[u8; 32]>), ApiError> {
        let wrong = |what: &str| {
            ApiError::new(ErrorKind::Usage, format!("the backup's {what} is not hexadecimal of its length"))
        };
        let mut salt = [0; SALT_BYTES];
        hex::decode_to_slice(&self.salt, &mut salt).map_err(|_| wrong("salt"))?;
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(self.key.as_str(), &mut key[..]).map_err(|_| wrong("key"))?;
        let header = Header { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes, salt };
        Ok((header.bounded()?, key))
    }
}

fn not_a_backup(why: &str) -> ApiError {
    ApiError::new(ErrorKind::Failed, format!("this is no backup of subrosa: {why}"))
        .hint("name the file that `subrosa backup` made")
}

/// The cipher of one file, and its header as what every chunk is bound to.
pub(crate) struct Cipher {
    aead: Aes256Gcm,
    header: [u8; HEADER_BYTES],
}

impl Cipher {
    pub(crate) fn new(header: Header, key: &[u8; 32]) -> Self {
        Self { aead: Aes256Gcm::new(key.into()), header: header.encode() }
    }

    /// Three zero bytes, the chunk's number, whether it is the last.
    fn nonce(number: u64, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = u8::from(last);
        nonce
    }
}

/// Seals what is written to it, chunk by chunk.
pub(crate) struct Sealer<W> {
    out: W,
    cipher: Cipher,
    chunk: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<W: Write> Sealer<W> {
    /// Writes the header.
    pub(crate) fn new(mut out: W, cipher: Cipher) -> io::Result<Self> {
        out.write_all(&cipher.header)?;
        Ok(Self { out, cipher, chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)), number: 0 })
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        let payload = Payload { msg: &self.chunk, aad: &self.cipher.header };
        let sealed = self
            .cipher
            .aead
            .encrypt(&Cipher::nonce(self.number, last).into(), payload)
            .map_err(|_| io::Error::other("a chunk cannot be encrypted"))?;
        self.out.write_all(&sealed)?;
        self.chunk.zeroize();
        self.number += 1;
        Ok(())
    }

    /// The last chunk; without it the file does not open.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk goes only when more follows: the last one has to know that it is.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.put(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what [`Sealer`] wrote, after the header was read.
pub(crate) struct Opener<R> {
    input: R,
    cipher: Cipher,
    /// The next chunk as it stands in the file; empty after the last.
    ahead: Vec<u8>,
    chunk: Zeroizing<Vec<u8>>,
    used: usize,
    number: u64,
    begun: bool,
}

impl<R: Read> Opener<R> {
    pub(crate) fn new(input: R, cipher: Cipher) -> Self {
        Self { input, cipher, ahead: Vec::new(), chunk: Zeroizing::default(), used: 0, number: 0, begun: false }
    }

    fn read_ahead(&mut self) -> io::Result<Vec<u8>> {
        let mut sealed = Vec::with_capacity(CHUNK_BYTES + TAG_BYTES);
        (&mut self.input).take((CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut sealed)?;
        Ok(sealed)
    }

    /// Whether any chunk has opened: before that, the passphrase may be wrong.
    pub(crate) const fn has_opened(&self) -> bool {
        self.number > 0
    }

    fn next(&mut self) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            self.ahead = self.read_ahead()?;
        } else if self.ahead.is_empty() {
            return Ok(());
        }
        let next = self.read_ahead()?;
        let mut sealed = Zeroizing::new(std::mem::replace(&mut self.ahead, next));
        let nonce = Cipher::nonce(self.number, self.ahead.is_empty());
        self.cipher
            .aead
            .decrypt_in_place(&nonce.into(), &self.cipher.header, &mut *sealed)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a part of it was changed, or cut off"))?;
        self.chunk = sealed;
        self.used = 0;
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.chunk.len() {
            self.chunk.clear();
            self.used = 0;
            self.next()?;
        }
        let given = out.len().min(self.chunk.len() - self.used);
        out[..given].copy_from_slice(&self.chunk[self.used..self.used + given]);
        self.used += given;
        Ok(given)
    }
}
