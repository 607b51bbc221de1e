//! The file's format: what was sealed opens whole, and nothing else does.

use std::io::{Read as _, Write as _};

use zeroize::Zeroizing;

use super::seal::{CHUNK_BYTES, Cipher, HEADER_BYTES, Header, Opener, Sealer, derive};
use crate::{
    api::{FileKey, Secret},
    keys::Passphrase,
};

const SEALED_CHUNK: usize = CHUNK_BYTES + 16;

fn key() -> FileKey {
    FileKey { memory_kib: 19 * 1024, passes: 1, lanes: 1, salt: "07".repeat(16), key: Secret::new("09".repeat(32)) }
}

fn seal(clear: &[u8]) -> Vec<u8> {
    let (header, key) = key().parse().unwrap();
    let mut sealer = Sealer::new(Vec::new(), Cipher::new(header, &key)).unwrap();
    sealer.write_all(clear).unwrap();
    sealer.finish().unwrap()
}

fn open(mut sealed: &[u8]) -> Result<Vec<u8>, String> {
    let (_, key) = key().parse().unwrap();
    let header = Header::read(&mut sealed).map_err(|error| error.message)?;
    let mut clear = Vec::new();
    Opener::new(sealed, Cipher::new(header, &key)).read_to_end(&mut clear).map_err(|error| error.to_string())?;
    Ok(clear)
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect()
}

#[test]
fn what_was_sealed_opens_at_every_length() {
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7] {
        let sealed = seal(&text(length));
        let chunks = length.div_ceil(CHUNK_BYTES).max(1);
        assert_eq!(sealed.len(), HEADER_BYTES + length + 16 * chunks, "{length}");
        assert_eq!(open(&sealed).unwrap(), text(length), "{length}");
    }
}

#[test]
fn cutting_swapping_repeating_adding_and_changing_are_noticed() {
    let sealed = seal(&text(3 * CHUNK_BYTES + 7));
    let (head, chunks) = sealed.split_at(HEADER_BYTES);
    let chunks: Vec<&[u8]> = chunks.chunks(SEALED_CHUNK).collect();
    let made = |order: &[usize]| {
        let mut file = head.to_vec();
        order.iter().for_each(|place| file.extend_from_slice(chunks[*place]));
        file
    };
    assert!(open(&made(&[0, 1, 2, 3])).is_ok());
    for order in [
        &[0, 1, 2][..],
        &[0],
        &[],
        &[1, 0, 2, 3],
        &[0, 0, 1, 2, 3],
        &[0, 1, 3],
        &[0, 1, 2, 3, 3],
        &[3],
        &[0, 1, 2, 2, 3],
    ] {
        assert!(open(&made(order)).is_err(), "{order:?}");
    }
    for length in [0, 5, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 3, sealed.len() - 1, sealed.len() - 23] {
        assert!(open(&sealed[..length]).is_err(), "cut to {length}");
    }
    assert!(open(&[&sealed[..], b"x"].concat()).is_err(), "something added");
    // Also each byte of the header is authenticated, or refused as it stands.
    for place in (0..HEADER_BYTES).chain([HEADER_BYTES, HEADER_BYTES + SEALED_CHUNK, sealed.len() - 1]) {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert!(open(&changed).is_err(), "byte {place}");
    }
}

#[test]
fn a_header_that_asks_for_too_much_is_refused_before_anything_is_derived() {
    let good = seal(b"x");
    for (place, number) in [(9, u32::MAX), (9, 8), (13, u32::MAX), (13, 0), (17, 255), (17, 0)] {
        let mut hostile = good.clone();
        hostile[place..place + 4].copy_from_slice(&number.to_be_bytes());
        let error = Header::read(&mut &hostile[..]).unwrap_err();
        assert!(error.message.contains("out of bounds"), "{error}");
    }
    let mut newer = good.clone();
    newer[8] = 2;
    assert!(Header::read(&mut &newer[..]).unwrap_err().message.contains("newer"));
    assert!(Header::read(&mut &b"PNG"[..]).unwrap_err().message.contains("no backup"));

    let mut wrong = key();
    wrong.salt = "07".repeat(15);
    assert!(wrong.parse().is_err());
    wrong.salt = "07".repeat(16);
    wrong.memory_kib = 1;
    assert!(wrong.parse().is_err(), "nobody makes a weak backup through the socket");
}

#[test]
fn a_key_is_of_its_passphrase_and_salt_and_is_never_shown() {
    let typed = |text: &str| Passphrase::typed(Zeroizing::new(text.to_owned())).unwrap();
    let made = derive(&typed("one two three")).unwrap();
    let (header, key) = made.parse().unwrap();
    assert_eq!(*header.derive(&typed("one two three")).unwrap(), *key);
    assert_ne!(*header.derive(&typed("one two four")).unwrap(), *key);
    assert!(!format!("{made:?}").contains(made.key.as_str()));
}
