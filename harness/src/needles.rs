//! Searching bytes for secrets in every form they could have been written in: raw, hexadecimal, base64.

use std::collections::HashMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Shorter secrets would be found by chance.
const MIN_BYTES: usize = 8;
/// Patterns are looked up by their first bytes.
const PREFIX: usize = 4;

/// A secret, and what to call it in a report.
#[derive(Debug, Clone)]
pub struct Needle {
    /// What it is.
    pub name: String,
    /// The secret itself.
    pub bytes: Vec<u8>,
}

impl Needle {
    /// A secret of at least 8 bytes.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

/// One find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// Which needle.
    pub name: String,
    /// In which form.
    pub form: &'static str,
    /// Where it begins.
    pub offset: usize,
}

struct Pattern {
    needle: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

/// Needles prepared for searching.
pub struct Haystacks {
    names: Vec<String>,
    patterns: Vec<Pattern>,
    by_prefix: HashMap<[u8; PREFIX], Vec<usize>>,
}

/// Every form of a secret.
fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("raw", bytes.to_vec()),
        ("hex", hex::encode(bytes).into_bytes()),
        ("HEX", hex::encode_upper(bytes).into_bytes()),
    ];
    for (name, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
        for shift in 0..3 {
            // The secret may begin at any of three places in a group of three bytes. Characters that
            // also carry neighbouring bits are left out of the pattern.
            let mut shifted = vec![0; shift];
            shifted.extend_from_slice(bytes);
            let text = engine.encode(&shifted);
            let first = (shift * 8).div_ceil(6);
            let last = shifted.len() * 8 / 6;
            forms.push((name, text.as_bytes()[first..last].to_vec()));
        }
    }
    // Without the characters - _ + / both alphabets give the same text.
    let mut seen = std::collections::HashSet::new();
    forms.retain(|(_, pattern)| seen.insert(pattern.clone()));
    forms
}

impl Haystacks {
    /// Prepares needles.
    ///
    /// # Errors
    /// A needle is shorter than 8 bytes.
    pub fn of(needles: &[Needle]) -> Result<Self, String> {
        let mut prepared = Self { names: Vec::new(), patterns: Vec::new(), by_prefix: HashMap::new() };
        for needle in needles {
            if needle.bytes.len() < MIN_BYTES {
                return Err(format!("{} is too short to be searched for", needle.name));
            }
            let number = prepared.names.len();
            prepared.names.push(needle.name.clone());
            for (form, bytes) in forms(&needle.bytes) {
                let Some(prefix) = bytes.first_chunk::<PREFIX>().copied() else { continue };
                prepared.by_prefix.entry(prefix).or_default().push(prepared.patterns.len());
                prepared.patterns.push(Pattern { needle: number, form, bytes });
            }
        }
        Ok(prepared)
    }

    /// Everything that stands in these bytes.
    #[must_use]
    pub fn search(&self, bytes: &[u8]) -> Vec<Find> {
        let mut finds = Vec::new();
        for (offset, prefix) in bytes.windows(PREFIX).enumerate() {
            let Some(candidates) = <&[u8; PREFIX]>::try_from(prefix).ok().and_then(|p| self.by_prefix.get(p)) else {
                continue;
            };
            for pattern in candidates.iter().map(|index| &self.patterns[*index]) {
                if bytes[offset..].starts_with(&pattern.bytes) {
                    finds.push(Find { name: self.names[pattern.needle].clone(), form: pattern.form, offset });
                }
            }
        }
        finds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_at_every_alignment() {
        let secret = b"\xffan \xfeaccount id\xfb".to_vec();
        let prepared = Haystacks::of(&[Needle::new("secret", secret.clone())]).unwrap();
        for before in 0..7usize {
            let mut plain = vec![0x5a; before];
            plain.extend_from_slice(&secret);
            plain.extend_from_slice(b"tail");
            let texts = [
                plain.clone(),
                hex::encode(&plain).into_bytes(),
                hex::encode_upper(&plain).into_bytes(),
                STANDARD_NO_PAD.encode(&plain).into_bytes(),
                URL_SAFE_NO_PAD.encode(&plain).into_bytes(),
            ];
            for text in texts {
                let mut noisy = b"xx".to_vec();
                noisy.extend_from_slice(&text);
                assert_eq!(prepared.search(&noisy).len(), 1, "{before} {}", String::from_utf8_lossy(&text));
            }
        }
        assert!(prepared.search(b"nothing of the kind stands here").is_empty());
        assert!(Haystacks::of(&[Needle::new("short", *b"abc")]).is_err());
    }
}
