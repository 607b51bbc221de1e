//! The test vectors of `test-vectors/`, in both directions: the checked-in ones were made by Python packages of other
//! people and must be reproduced here; fresh random ones are made here and must be reproduced there (`fresh`).
//!
//! As in Python, each construction is one function from a case's inputs to its outputs. It runs the code that the product
//! runs; only the random bytes come from the case.

mod fresh;
mod identity;
mod membership;
mod ratchet;
mod seal;
mod sender_key;
mod session;

use serde_json::{Map, Value, json};

use crate::decoding::DecodeError;
use crate::randomness::{Entropy, RandomnessError};
use crate::session::{Step, StoredState};

/// What a case holds besides its name and inputs. Intermediate values only where this crate has them in its hands.
struct Computed {
    intermediate: Value,
    outputs: Value,
}

impl Computed {
    fn outputs(outputs: Value) -> Self {
        Self { intermediate: json!({}), outputs }
    }
}

type Compute = fn(&Value) -> Computed;

fn construction(name: &str) -> Compute {
    match name {
        "keys" => identity::keys,
        "recovery-words" => identity::recovery_words,
        "account" => identity::account,
        "device-certificate" => identity::device_certificate,
        "device-list" => identity::device_list,
        "prekeys" => identity::prekeys,
        "ml-kem-1024" => session::ml_kem,
        "x3dh" => session::x3dh,
        "pqxdh" => session::pqxdh,
        "key-schedule" => ratchet::key_schedule,
        "double-ratchet" => ratchet::conversation,
        "seal" => seal::seal,
        "sender-key" => sender_key::conversation,
        "safety-number" => identity::safety_number,
        "relay-proofs" => identity::relay_proofs,
        "link-secret" => identity::link_secret,
        "message-id" => identity::message_ids,
        "group-change" => membership::changes,
        "membership" => membership::membership,
        other => panic!("no construction {other}"),
    }
}

/// Computes all cases of a checked-in file and compares.
fn reproduce(name: &str, least: usize) {
    let path = format!("{}/../../test-vectors/v1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= least, "{name} has lost cases");
    for case in cases {
        let computed = construction(name)(case);
        let title = &case["name"];
        for (field, value) in computed.intermediate.as_object().unwrap() {
            assert_eq!(&case["intermediate"][field], value, "{name}: {title}: {field}");
        }
        let (expected, found) = (object(&case["outputs"]), object(&computed.outputs));
        assert!(expected.keys().eq(found.keys()), "{name}: {title}: {:?} {:?}", expected.keys(), found.keys());
        for (field, value) in found {
            assert_eq!(&expected[field], value, "{name}: {title}: {field}");
        }
    }
}

macro_rules! reproduced {
    ($($test:ident: $file:literal, $least:literal;)*) => {$(
        #[test]
        fn $test() {
            reproduce($file, $least);
        }
    )*};
}

reproduced! {
    keys: "keys", 40;
    recovery_words: "recovery-words", 11;
    accounts: "account", 13;
    device_certificates: "device-certificate", 14;
    device_lists: "device-list", 32;
    prekeys: "prekeys", 23;
    ml_kem: "ml-kem-1024", 4;
    x3dh: "x3dh", 6;
    pqxdh: "pqxdh", 13;
    key_schedules: "key-schedule", 9;
    conversations: "double-ratchet", 13;
    seals: "seal", 41;
    sender_keys: "sender-key", 15;
    safety_numbers: "safety-number", 5;
    relay_proofs: "relay-proofs", 6;
    link_secrets: "link-secret", 5;
    message_ids: "message-id", 6;
    group_changes: "group-change", 94;
    memberships: "membership", 48;
}

// Reading and writing values of a case.

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn show(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(hex::encode(bytes))
}

/// The changes that make a negative case (`test-vectors/schema.json`); nothing for an absent list.
fn changed(given: &[u8], steps: &Value) -> Vec<u8> {
    let mut out = given.to_vec();
    for step in list(steps) {
        let at = step.get("offset").map_or(0, count);
        if let Some(mask) = step.get("flip") {
            out[at] ^= array::<1>(mask)[0];
        } else if let Some(value) = step.get("set") {
            let value = bytes(value);
            out[at..at + value.len()].copy_from_slice(&value);
        } else if let Some(cut) = step.get("cut") {
            out.truncate(out.len() - count(cut));
        } else {
            out.extend(bytes(&step["append"]));
        }
    }
    out
}

/// `outputs`, and whether the bytes were accepted.
fn decided(mut outputs: Value, result: Result<Value, &'static str>) -> Value {
    let fields = outputs.as_object_mut().unwrap();
    match result {
        Ok(more) => {
            fields.extend(object(&more).clone());
            fields.insert("accepted".into(), Value::Bool(true));
        }
        Err(reason) => {
            fields.insert("accepted".into(), Value::Bool(false));
            fields.insert("refused".into(), reason.into());
        }
    }
    outputs
}

fn decode_reason(error: DecodeError) -> &'static str {
    match error {
        DecodeError::TooShort => "too short",
        DecodeError::TrailingBytes => "trailing bytes",
        DecodeError::UnknownVersion(_) => "unknown version",
        DecodeError::BadKey => "bad key",
        DecodeError::BadField(_) => "bad field",
    }
}

/// Answers requests for randomness from a list; a request of another length, or one too many, fails.
struct Scripted(Vec<Vec<u8>>);

impl Scripted {
    fn new(values: &[&Value]) -> Self {
        Self(values.iter().map(|value| bytes(value)).collect())
    }
}

impl Entropy for Scripted {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        if self.0.first().is_none_or(|next| next.len() != buffer.len()) {
            return Err(RandomnessError);
        }
        buffer.copy_from_slice(&self.0.remove(0));
        Ok(())
    }
}

/// Stores a step's state: what transcripts need is all in the stored bytes.
fn committed<T, S: StoredState>(step: Step<T, S>, bytes: fn(&S::Serialized) -> &[u8]) -> (Vec<u8>, T) {
    let mut stored = Vec::new();
    let (_, output) = step
        .commit(|state| {
            stored = bytes(state).to_vec();
            Ok::<_, ()>(())
        })
        .unwrap();
    (stored, output)
}
