//! Lines from a stream, with a bound on their length.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// One line of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its line end.
    Whole(Vec<u8>),
    /// It was longer than the bound and was skipped up to its end.
    TooLong,
}

/// Reads the next line; `None` at the end of the stream. A last line without an end counts.
///
/// # Errors
/// Those of the stream.
pub(super) async fn next_line(
    stream: &mut (impl AsyncBufRead + Unpin),
    max_bytes: usize,
) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        let available = stream.fill_buf().await?;
        if available.is_empty() {
            let nothing = line.is_empty() && !too_long;
            return Ok((!nothing).then(|| finish(line, too_long)));
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        if line.len() + part.len() > max_bytes {
            too_long = true;
            line = Vec::new();
        }
        if !too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        stream.consume(used);
        if end.is_some() {
            return Ok(Some(finish(line, too_long)));
        }
    }
}

fn finish(line: Vec<u8>, too_long: bool) -> Line {
    if too_long { Line::TooLong } else { Line::Whole(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(content: &[u8], max_bytes: usize) -> Vec<Line> {
        let mut stream = tokio::io::BufReader::with_capacity(3, content);
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut stream, max_bytes).await.unwrap() {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn lines_end_where_they_end_and_long_ones_are_skipped() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(lines(b"", 5).await, []);
        assert_eq!(lines(b"a\nbcd\n\nend", 5).await, [whole("a"), whole("bcd"), whole(""), whole("end")]);
        assert_eq!(lines(b"12345\n123456\nnext\n", 5).await, [whole("12345"), Line::TooLong, whole("next")]);
        assert_eq!(lines(&[b'x'; 1000], 5).await, [Line::TooLong]);
    }
}
