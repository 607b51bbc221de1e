//! Reading of fixed-width, big-endian layouts. Every decoder refuses unknown versions, short
//! input and trailing bytes.

/// Bytes that are not a valid encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends too early.
    #[error("the encoding ends too early")]
    TooShort,
    /// Bytes follow after the end of the encoding.
    #[error("the encoding is followed by further bytes")]
    TrailingBytes,
    /// The first byte is not a version this program knows.
    #[error("version {0} of this encoding is unknown; a newer program may have written it")]
    UnknownVersion(u8),
    /// A public key is not canonical or of small order.
    #[error("the encoding holds a public key that is not acceptable")]
    BadKey,
    /// A field has a value that the layout does not allow.
    #[error("the field \"{0}\" has a value that is not allowed")]
    BadField(&'static str),
}

/// Takes fields from the front of a byte string.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::TooShort)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array_ref<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.array_ref().copied()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Reads the version byte, which must be `expected`.
    pub(crate) fn version(&mut self, expected: u8) -> Result<(), DecodeError> {
        match self.u8()? {
            version if version == expected => Ok(()),
            other => Err(DecodeError::UnknownVersion(other)),
        }
    }

    /// A presence byte (0 or 1) and a u32 that is 0 when absent: one encoding for each value.
    pub(crate) fn optional_u32(&mut self, field: &'static str) -> Result<Option<u32>, DecodeError> {
        match (self.u8()?, self.u32()?) {
            (0, 0) => Ok(None),
            (1, value) => Ok(Some(value)),
            _ => Err(DecodeError::BadField(field)),
        }
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }
}

/// The counterpart of [`Reader::optional_u32`].
pub(crate) fn put_optional_u32(out: &mut Vec<u8>, value: Option<u32>) {
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(&value.unwrap_or(0).to_be_bytes());
}
