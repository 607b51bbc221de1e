//! What must hold for any input of each decoder and parser: called by the fuzz targets and by the property tests below.
//! (Frames and links are `wire`'s, keys, sessions and seals `crypto`'s.)
#![allow(missing_docs)]

use std::{
    path::Path,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use serde_json::Value;
use subrosa_wire::link::may_be_plaintext;

use crate::{
    api::{ApiError, ErrorKind},
    backup::{
        FileKey,
        seal::{HEADER_BYTES, Header},
    },
    clean::{clean_line, clean_text, escape_json},
    client::{Remote, RemoteCall, dispatch},
    config,
    content::{self, Body, CheckedContent},
    keys,
    limits::{MAX_RECEIPT_IDS, MAX_RETRY_IDS, MAX_TEXT_BYTES},
    net::{Proxy, RelayEndpoint},
    relay_access::RelayAccess,
    rpc::{answer_message, parse_answer},
    store::words::Query,
};

/// A content that is taken is within the bounds that the engine relies on, and points at no plaintext relay elsewhere.
pub fn contents(data: &[u8]) {
    let Ok(checked) = content::decode(data) else { return };
    let text = |text: &str| assert!((1..=MAX_TEXT_BYTES).contains(&text.len()));
    match &checked.body {
        Some(Body::Text(body)) => text(&body.text),
        Some(Body::Transcript(body)) => {
            if let Ok(CheckedContent { body: Some(Body::Text(body)), .. }) = content::decode_transcript(body) {
                text(&body.text);
            }
        }
        Some(Body::Receipt(body)) => {
            let ids = content::message_ids(body.items.iter().map(|item| &item.message_id));
            assert!(ids.len() == body.items.len() && ids.len() <= MAX_RECEIPT_IDS);
        }
        Some(Body::ReadSync(body)) => {
            let ids = content::message_ids(body.message_ids.iter());
            assert!(ids.len() == body.message_ids.len() && ids.len() <= MAX_RECEIPT_IDS);
        }
        Some(Body::RetryRequest(body)) => assert!(body.envelope_ids.len() <= MAX_RETRY_IDS),
        _ => {}
    }
    if let Some(introduction) = &checked.introduction {
        assert!(introduction.relay.scheme() == "https" || may_be_plaintext(&introduction.relay));
    }
}

/// An engine that only remembers what it was asked.
#[derive(Default)]
struct Asked(Mutex<Vec<(&'static str, Value)>>);

impl Asked {
    fn take(&self) -> Vec<(&'static str, Value)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RemoteCall for Arc<Asked> {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, ApiError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((method, params));
        Err(ApiError::new(ErrorKind::Failed, "nothing is behind this"))
    }
}

/// The outcome of what never waits.
fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// A line from a program is answered by a line of JSON-RPC, and what reaches the engine means the same when it is asked again;
/// a line from an engine is an answer, something else, or the end.
pub fn socket_lines(data: &[u8]) {
    let asked = Arc::new(Asked::default());
    let client = Remote(Arc::clone(&asked));
    let answer = at_once(answer_message(&client, data));
    assert!(answer.is_some(), "nothing here waits");
    let answers = match answer.flatten() {
        Some(Value::Array(answers)) => answers,
        other => other.into_iter().collect(),
    };
    for answer in &answers {
        assert!(answer["jsonrpc"] == "2.0" && answer.get("id").is_some(), "{answer}");
        assert!(answer.get("result").is_some() != answer.get("error").is_some(), "{answer}");
        assert!(!answer.to_string().contains('\n'), "one line");
        let _ = parse_answer(answer.to_string().as_bytes());
    }
    for (method, params) in asked.take() {
        let _ = at_once(dispatch(&client, method, params.clone()));
        assert_eq!(asked.take(), [(method, params)]);
    }
    let _ = parse_answer(data);
}

/// What is taken for a key file or the beginning of a backup is within its bounds, and is written again as it was. The first
/// byte chooses the format. No key is derived: that is slow on purpose.
pub fn stored_keys(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 4 {
        0 => {
            let path = Path::new("store.key");
            match keys::parse(path, bytes) {
                Ok(file) => {
                    let written = serde_json::to_vec(&file).unwrap_or_default();
                    assert!(keys::parse(path, &written).is_ok_and(|again| again == file));
                }
                Err(error) => assert!(error.code == ErrorKind::DamagedStore && error.hint.is_some(), "{error}"),
            }
        }
        1 => {
            if let Some(key) = keys::key_in(bytes) {
                let line = keys::key_file_line(&key);
                assert_eq!(keys::key_in(line.as_bytes()), Some(key));
                assert!(line.trim_end().as_bytes().eq_ignore_ascii_case(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
            }
        }
        2 => {
            if let Ok(header) = Header::read(&mut &bytes[..]) {
                assert_eq!(header.encode()[..], bytes[..HEADER_BYTES]);
            }
        }
        _ => {
            let Ok(key) = serde_json::from_slice::<FileKey>(bytes) else { return };
            if let Ok((header, _)) = key.parse() {
                assert!(Header::read(&mut &header.encode()[..]).is_ok_and(|again| again == header));
            }
        }
    }
}

/// An address that is taken is written and taken again as the same; what is typed never comes back with control characters.
pub fn addresses(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match RelayAccess::read(&text, None) {
        Ok(place) => {
            if let Ok(endpoint) = RelayEndpoint::new(place.url, place.pin) {
                assert!(endpoint.url().scheme() == "https" || may_be_plaintext(endpoint.url()));
                let again = endpoint.to_string().parse::<RelayEndpoint>();
                assert!(again.is_ok_and(|again| again.authority() == endpoint.authority()), "{endpoint}");
            }
        }
        Err(error) => assert!(error.code == ErrorKind::Usage && clean_line(&error.message) == error.message, "{error}"),
    }
    if let Ok(proxy) = text.parse::<Proxy>() {
        let shown = proxy.to_string();
        assert!(shown.parse::<Proxy>().is_ok_and(|again| again.to_string() == shown), "{shown}");
    }
}

/// See [`config::hold`].
pub fn settings(data: &[u8]) {
    config::hold(data);
}

/// Nothing that a terminal obeys is left in a cleaned text, cleaning twice is cleaning once, and escaped JSON means the same.
pub fn cleaning(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (cleaned, line_end) in [(clean_text(&text), Some('\n')), (clean_line(&text), None)] {
        assert!(!cleaned.chars().any(|c| Some(c) != line_end && is_obeyed(c)), "{cleaned:?}");
        let again = if line_end.is_some() { clean_text(&cleaned) } else { clean_line(&cleaned) };
        assert_eq!(again, cleaned);
    }
    let json = Value::String(text.into_owned()).to_string();
    let escaped = escape_json(&json);
    assert!(!escaped.chars().any(is_obeyed));
    assert_eq!(serde_json::from_str::<Value>(&escaped).ok(), serde_json::from_str(&json).ok());
}

/// Said apart from [`crate::clean`], so that a character forgotten there is found here: control characters, line separators and
/// the bidirectional controls of Unicode (`Bidi_Control`).
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || ['\u{2028}', '\u{2029}', '\u{61C}', '\u{200E}', '\u{200F}'].contains(&c)
        || ('\u{202A}'..='\u{202E}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// What is typed (the first line) reaches the index as words only, and what it finds in a text (the rest) is shown cleaned.
pub fn search_words(data: &[u8]) {
    let typed = String::from_utf8_lossy(data);
    let (query, text) = typed.split_once('\n').unwrap_or((&typed, ""));
    let Some(query) = Query::new(query) else { return };
    let expression = query.expression();
    let phrases = expression.strip_prefix("body : (").and_then(|rest| rest.strip_suffix(" *)"));
    let phrases = phrases.into_iter().flat_map(|phrases| phrases.split(" AND "));
    for phrase in phrases {
        let words = phrase.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or("\"");
        assert!(words.chars().all(|c| c == ' ' || !c.is_ascii() || c.is_ascii_alphanumeric()), "{expression}");
    }
    for part in query.snippet(text) {
        assert!(!part.text.is_empty() && !part.text.chars().any(is_obeyed));
    }
}

#[cfg(test)]
#[path = "../../../fuzz/inputs.rs"]
mod inputs;

#[cfg(test)]
mod tests {
    use super::{inputs::hold, *};

    #[test]
    fn contents_are_within_their_bounds() {
        hold("contents", contents);
    }

    #[test]
    fn lines_on_the_socket_are_answered() {
        hold("socket_lines", socket_lines);
    }

    #[test]
    fn stored_keys_are_within_their_bounds() {
        hold("stored_keys", stored_keys);
    }

    #[test]
    fn addresses_keep_their_meaning() {
        hold("addresses", addresses);
    }

    #[test]
    fn settings_files_are_refused_or_can_be_changed() {
        hold("settings", settings);
    }

    #[test]
    fn cleaned_texts_are_harmless() {
        hold("cleaning", cleaning);
    }

    #[test]
    fn queries_are_words_and_snippets_are_harmless() {
        hold("search_words", search_words);
    }
}
