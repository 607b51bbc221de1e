//! Padding to a few sizes, so that a sealed body's length says little (`docs/protocol.md`,
//! "Seal and padding").

use zeroize::Zeroizing;

/// The sizes of a whole sealed body, in bytes. 512 holds most chat messages, 2,304 a message
/// with its set-up header; the largest is the relay's limit for one message.
pub const BUCKETS: [usize; 8] = [512, 1024, 2304, 4096, 8192, 16_384, 32_768, 65_536];

/// Ends the content; zeros follow.
const MARK: u8 = 0x80;

/// The bucket for a body with `overhead` bytes besides the padded content; the mark needs one
/// byte more.
pub(crate) fn bucket(overhead: usize, content: usize) -> Option<usize> {
    let needed = content.checked_add(overhead)?.checked_add(1)?;
    BUCKETS.into_iter().find(|bucket| *bucket >= needed)
}

/// Appends the mark and zeros up to `len`. The caller has room for the mark.
pub(crate) fn pad(content: &mut Vec<u8>, len: usize) {
    content.push(MARK);
    content.resize(len.max(content.len()), 0);
}

/// Removes zeros and the mark. Called only on authenticated content, so timing says nothing to
/// anybody who could not read it.
pub(crate) fn unpad(content: &mut Zeroizing<Vec<u8>>) -> Option<()> {
    let mark = content.iter().rposition(|byte| *byte != 0)?;
    if content[mark] != MARK {
        return None;
    }
    content.truncate(mark);
    Some(())
}
