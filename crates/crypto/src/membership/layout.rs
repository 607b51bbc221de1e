//! Parts of layouts that several have: counts, texts, optional values, lists in one order.

use super::{MAX_NAME_LEN, MAX_TARGETS};
use crate::decoding::{DecodeError, Reader};

/// At most 255 everywhere, or the length would not be read back: who signs a change has no more.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.push(u8::try_from(count).unwrap_or(u8::MAX));
}

pub(super) fn put_text8(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_bytes16(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn put_optional<const N: usize>(out: &mut Vec<u8>, value: Option<&[u8; N]>) {
    out.push(u8::from(value.is_some()));
    out.extend(value.into_iter().flatten());
}

pub(super) fn counted<'a, T>(
    reader: &mut Reader<'a>,
    allowed: core::ops::RangeInclusive<usize>,
    field: &'static str,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = usize::from(reader.u8()?);
    if !allowed.contains(&count) {
        return Err(DecodeError::BadField(field));
    }
    (0..count).map(|_| read(reader)).collect()
}

pub(super) fn targets<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    counted(reader, 1..=MAX_TARGETS, "targets", read)
}

pub(super) fn read_bytes16<'a>(reader: &mut Reader<'a>, most: usize) -> Result<&'a [u8], DecodeError> {
    let len = usize::from(u16::from_be_bytes(reader.array()?));
    if len > most {
        return Err(DecodeError::BadField("length"));
    }
    reader.take(len)
}

pub(super) fn read_name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let len = usize::from(reader.u8()?);
    if len == 0 || len > MAX_NAME_LEN {
        return Err(DecodeError::BadField("name"));
    }
    text(reader.take(len)?)
}

pub(super) fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::BadField("text"))
}

pub(super) fn read_bool(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::BadField("flag")),
    }
}

pub(super) fn read_optional<const N: usize>(reader: &mut Reader<'_>) -> Result<Option<[u8; N]>, DecodeError> {
    read_bool(reader)?.then(|| reader.array()).transpose()
}

/// One order for each set, and nobody twice.
pub(super) fn ascending<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K, field: &'static str) -> Result<(), DecodeError> {
    let keys: Vec<K> = items.iter().map(key).collect();
    if keys.windows(2).all(|pair| pair[0] < pair[1]) { Ok(()) } else { Err(DecodeError::BadField(field)) }
}
