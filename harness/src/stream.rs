//! The lines a `listen --json` process prints, as far as the harness judges them.

use serde_json::Value;
use subrosa_client_core::api::{Event, MessageStatus};

/// One printed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Its place in the account's event stream.
    pub cursor: u64,
    /// What it says.
    pub what: What,
}

/// What a printed event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A message of somebody else.
    Message {
        /// Message id.
        id: String,
        /// Account id of its author.
        from: String,
        /// Text.
        body: String,
    },
    /// A message of ours moved: by a relay, or by a receipt.
    Status {
        /// Message id.
        id: String,
        /// The new status.
        status: MessageStatus,
    },
    /// Something the harness only passes by: contacts, notices, own messages.
    Other(String),
}

impl Printed {
    /// Reads one line.
    ///
    /// # Errors
    /// Not an event line of the documented form; the text says why.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON ({error}): {line}"))?;
        let object = value.as_object_mut().ok_or_else(|| format!("no object: {line}"))?;
        if object.remove("v").and_then(|v| v.as_u64()) != Some(1) {
            return Err(format!("no \"v\":1: {line}"));
        }
        let event: Event = serde_json::from_value(value).map_err(|error| format!("no event ({error}): {line}"))?;
        let cursor = event.cursor().ok_or_else(|| format!("an event without cursor: {line}"))?;
        let what = match event {
            Event::Message(message) if !message.outgoing => {
                What::Message { id: message.id, from: message.from.id, body: message.body }
            }
            Event::State(state) => What::Status { id: state.id, status: state.status },
            Event::Receipt(receipt) => What::Status { id: receipt.id, status: receipt.status },
            Event::Message(_) | Event::Contact(_) | Event::Chat(_) | Event::Notice(_) => What::Other(line.to_owned()),
        };
        Ok(Self { cursor, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use subrosa_client_core::api::{Line, StateEvent};

    #[test]
    fn a_line_of_the_engines_own_types_is_read_back() {
        let state = StateEvent {
            cursor: Some(7),
            id: "ab".into(),
            chat: "cd".into(),
            status: MessageStatus::Sent,
            ts_ms: 1,
            error: None,
        };
        let line = serde_json::to_string(&Line::new(state)).unwrap();
        let printed = Printed::parse(&line).unwrap();
        assert_eq!(printed.cursor, 7);
        assert_eq!(printed.what, What::Status { id: "ab".into(), status: MessageStatus::Sent });
    }

    #[test]
    fn half_a_line_is_an_error() {
        assert!(Printed::parse("{\"v\":1,\"type\":\"mess").is_err());
        assert!(Printed::parse("{\"type\":\"state\"}").is_err());
    }
}
