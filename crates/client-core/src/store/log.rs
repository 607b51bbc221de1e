//! Whether the write-ahead log that lies beside a store is of that store.
//!
//! SQLite takes every log of the right name for that of its database: it reads pages from it, and copies them into the database
//! when that is closed. The log of another store would so be written over this one, unreadably. SQLCipher authenticates each
//! page with a key that it makes of the store's key and of the salt in the store's first bytes, so the first page of a log says
//! whose it is.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read as _},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::{PAGE_BYTES, StoreError};
use crate::files::beside;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const SALT_BYTES: usize = 16;

/// SQLCipher's reserve at the end of a page: the initialisation vector, then the HMAC-SHA-512.
const IV_BYTES: usize = 16;
const MAC_BYTES: usize = 64;

/// What the salt is changed with for the key of the HMAC.
const SALT_MASK: u8 = 0x3a;

/// A log's first bytes, but for the last bit, which says in which order its checksums read their words.
const MAGIC: u32 = 0x377f_0682;

/// Where the log of a store is.
pub(crate) fn path(store: &Path) -> PathBuf {
    beside(store, "-wal")
}

/// Refuses a log whose first page is whole and of another store. What SQLite itself takes for no log (nothing, a torn beginning)
/// is left to it.
pub(super) fn check(store: &Path, key: &[u8; 32]) -> Result<(), StoreError> {
    let unreadable = |error| StoreError::Unreadable { error };
    let mut log = Vec::with_capacity(HEADER_BYTES + FRAME_HEADER_BYTES + PAGE_BYTES);
    match File::open(path(store)) {
        Ok(file) => file.take(log.capacity() as u64).read_to_end(&mut log).map_err(unreadable)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    let Some(Frame { page_bytes, number, page }) = first_page(&log) else { return Ok(()) };
    let mut first = vec![0; PAGE_BYTES];
    File::open(store).and_then(|mut file| file.read_exact(&mut first)).map_err(unreadable)?;
    let mut salt = [0; SALT_BYTES];
    salt.copy_from_slice(&first[..SALT_BYTES]);
    if page_bytes == PAGE_BYTES && is_of(page, number, &salt, key) {
        return Ok(());
    }
    // With a key that does not even fit the store itself, its log says nothing.
    Err(if is_of(&first, 1, &salt, key) { StoreError::ForeignLog } else { StoreError::OtherKey })
}

/// Whether a store's log holds every page from `first` to `last`, which the store itself does not have yet.
pub(super) fn holds(store: &Path, first: u64, last: u64) -> bool {
    let read = || -> io::Result<BTreeSet<u64>> {
        let mut file = BufReader::new(File::open(path(store))?);
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let mut found = BTreeSet::new();
        let mut frame = [0; FRAME_HEADER_BYTES];
        // What is left of an earlier use of the file has other salts.
        while file.read_exact(&mut frame).is_ok() && frame[8..16] == header[16..24] {
            let [a, b, c, d, ..] = frame;
            found.insert(u64::from(u32::from_be_bytes([a, b, c, d])));
            file.seek_relative(PAGE_BYTES as i64)?;
        }
        Ok(found)
    };
    let Ok(found) = read() else { return false };
    found.range(first..=last).count() as u64 == (last + 1).saturating_sub(first)
}

/// The first frame of a log that is whole.
struct Frame<'a> {
    page_bytes: usize,
    number: u32,
    /// Empty, if pages are longer than ours.
    page: &'a [u8],
}

fn first_page(log: &[u8]) -> Option<Frame<'_>> {
    let word = |at: usize| log.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let magic = word(0)?;
    if magic & !1 != MAGIC {
        return None;
    }
    let big_endian = magic & 1 == 1;
    let sum = checksum((0, 0), log.get(..24)?, big_endian);
    if sum != (word(24)?, word(28)?) {
        return None;
    }
    let page_bytes = usize::try_from(word(8)?).ok()?;
    if page_bytes != PAGE_BYTES {
        return Some(Frame { page_bytes, number: 0, page: &[] });
    }
    let page = log.get(HEADER_BYTES + FRAME_HEADER_BYTES..)?.get(..PAGE_BYTES)?;
    let salts = (word(HEADER_BYTES + 8)?, word(HEADER_BYTES + 12)?);
    let sum = checksum(sum, log.get(HEADER_BYTES..HEADER_BYTES + 8)?, big_endian);
    let whole = checksum(sum, page, big_endian) == (word(HEADER_BYTES + 16)?, word(HEADER_BYTES + 20)?);
    (whole && salts == (word(16)?, word(20)?)).then_some(Frame { page_bytes, number: word(HEADER_BYTES)?, page })
}

/// SQLite's checksum of a log, over pairs of words.
fn checksum((mut first, mut second): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let (words, _) = bytes.as_chunks::<4>();
    let word = |bytes: [u8; 4]| if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    let (pairs, _) = words.as_chunks::<2>();
    for [one, two] in pairs {
        first = first.wrapping_add(word(*one)).wrapping_add(second);
        second = second.wrapping_add(word(*two)).wrapping_add(first);
    }
    (first, second)
}

/// Whether SQLCipher wrote this page with this key.
fn is_of(page: &[u8], number: u32, salt: &[u8; SALT_BYTES], key: &[u8; 32]) -> bool {
    // The first page begins with the salt, in the clear.
    let start = if number == 1 { SALT_BYTES } else { 0 };
    let end = PAGE_BYTES - IV_BYTES - MAC_BYTES + IV_BYTES;
    let (Some(covered), Some(mac)) = (page.get(start..end), page.get(end..)) else { return false };
    let Some(mac_key) = mac_key(salt, key) else { return false };
    let Ok(mut hmac) = Hmac::<Sha512>::new_from_slice(&mac_key[..]) else { return false };
    hmac.update(covered);
    hmac.update(&number.to_le_bytes());
    hmac.verify_slice(mac).is_ok()
}

/// PBKDF2-HMAC-SHA-512 with SQLCipher's two iterations, cut to 32 bytes.
fn mac_key(salt: &[u8; SALT_BYTES], key: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let round = |parts: &[&[u8]]| {
        let mut hmac = Hmac::<Sha512>::new_from_slice(key).ok()?;
        parts.iter().for_each(|part| hmac.update(part));
        Some(Zeroizing::new(<[u8; 64]>::from(hmac.finalize().into_bytes())))
    };
    let masked = salt.map(|byte| byte ^ SALT_MASK);
    let first = round(&[&masked, &1u32.to_be_bytes()])?;
    let second = round(&[&first[..]])?;
    let mut made = Zeroizing::new([0; 32]);
    made.iter_mut().zip(first.iter().zip(second.iter())).for_each(|(to, (one, two))| *to = one ^ two);
    Some(made)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{self, params};

    /// A store with something in it, and its log as a killed process leaves it.
    fn killed(place: &Path, key: &[u8; 32], marker: u64) -> PathBuf {
        let path = place.join("store.db");
        let db = store::open(&path, key, true).unwrap();
        db.execute("INSERT INTO base_key (hash, seen_ms) VALUES (?1, ?2)", params![[7u8; 32], store::to_sql(marker)])
            .unwrap();
        let copies = [path.clone(), super::path(&path)].map(|file| (fs::read(&file).unwrap(), file));
        drop(db);
        for (content, file) in copies {
            fs::write(file, content).unwrap();
        }
        path
    }

    fn marker(db: &store::Db) -> i64 {
        db.query_row("SELECT seen_ms FROM base_key", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn ones_own_log_is_taken_and_anothers_is_refused_untouched() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = killed(ours.path(), &[1; 32], 41);
        let other = killed(theirs.path(), &[2; 32], 42);
        let (own_log, foreign_log) = (fs::read(path(&store)).unwrap(), fs::read(path(&other)).unwrap());
        let bytes = fs::read(&store).unwrap();

        fs::write(path(&store), &foreign_log).unwrap();
        assert!(matches!(store::open(&store, &[1; 32], false), Err(StoreError::ForeignLog)));
        assert_eq!((fs::read(&store).unwrap(), fs::read(path(&store)).unwrap()), (bytes, foreign_log));
        // A log of the same key is not enough: every store has a salt of its own.
        let third = tempfile::tempdir().unwrap();
        let twin = killed(third.path(), &[1; 32], 43);
        fs::copy(path(&twin), path(&store)).unwrap();
        assert!(matches!(store::open(&store, &[1; 32], false), Err(StoreError::ForeignLog)));

        fs::write(path(&store), &own_log).unwrap();
        assert!(matches!(store::open(&store, &[2; 32], false), Err(StoreError::OtherKey)), "then the key is at fault");
        assert_eq!(fs::read(path(&store)).unwrap(), own_log);
        assert_eq!(marker(&store::open(&store, &[1; 32], false).unwrap()), 41);
    }

    #[test]
    fn without_that_look_sqlite_writes_anothers_log_over_a_store() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = killed(ours.path(), &[1; 32], 41);
        let bytes = fs::read(&store).unwrap();
        fs::copy(path(&killed(theirs.path(), &[2; 32], 42)), path(&store)).unwrap();
        let db = store::open_raw(&store, &[1; 32], false).unwrap();
        assert!(db.query_row("SELECT count(*) FROM base_key", [], |row| row.get::<_, i64>(0)).is_err());
        drop(db);
        assert_ne!(
            fs::read(&store).unwrap(),
            bytes,
            "if SQLite learned to be careful, this file is not needed any more"
        );
    }

    #[test]
    fn a_store_whose_end_is_missing_is_not_written_to() {
        let place = tempfile::tempdir().unwrap();
        let store = killed(place.path(), &[1; 32], 41);
        let (bytes, log) = (fs::read(&store).unwrap(), fs::read(path(&store)).unwrap());
        // Pages that are only in the log do not count as missing.
        assert_eq!(marker(&store::open(&store, &[1; 32], false).unwrap()), 41);
        let whole = fs::read(&store).unwrap();
        assert!(whole.len() > bytes.len());
        let cut = &whole[..whole.len() / 2];
        fs::write(&store, cut).unwrap();
        assert!(matches!(store::open(&store, &[1; 32], false), Err(StoreError::CutOff | StoreError::Sqlite(_))));
        // A log that holds pages, but not those.
        fs::write(path(&store), &log[..HEADER_BYTES + FRAME_HEADER_BYTES + PAGE_BYTES]).unwrap();
        assert!(store::open(&store, &[1; 32], false).is_err());
        assert_eq!(fs::read(&store).unwrap(), cut);
        assert!(holds(&store, 1, 1) && !holds(&store, 1, 2) && !holds(&store, 900, 901));
    }

    #[test]
    fn what_is_no_log_is_left_to_sqlite_and_a_torn_one_is_read_to_where_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let store = killed(place.path(), &[1; 32], 41);
        let log = fs::read(path(&store)).unwrap();
        let bytes = fs::read(&store).unwrap();
        for torn in [&log[..0], &log[..10], &log[..HEADER_BYTES], &log[..HEADER_BYTES + 100], &[9; 5000][..]] {
            fs::write(&store, &bytes).unwrap();
            fs::write(path(&store), torn).unwrap();
            assert!(check(&store, &[1; 32]).is_ok(), "{}", torn.len());
        }
        fs::write(&store, &bytes).unwrap();
        fs::write(path(&store), &log[..log.len() - 1]).unwrap();
        assert!(check(&store, &[1; 32]).is_ok());
    }
}
