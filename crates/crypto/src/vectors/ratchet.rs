//! Section 5: the key schedule, and whole conversations through [`Session`].

use super::session::Setup;
use super::*;
use crate::chain_key::ChainKey;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::kdf::sha256;
use crate::message_kind::MessageKind;
use crate::root_key::RootKey;
use crate::session::{AcceptError, Ciphertext, DecryptError, Plaintext, SerializedSession, Session};

pub(super) fn key_schedule(case: &Value) -> Computed {
    let given = &case["inputs"];
    if text(&given["what"]) == "root step" {
        let own = Curve25519KeyPair::from_secret(&array(&given["ratchet_secret"]));
        let peer = Curve25519PublicKey::from_bytes(&array(&given["peer_ratchet_key"])).unwrap();
        let shared = own.diffie_hellman(&peer).unwrap();
        let (root, chain) = RootKey::new(&array(&given["root"])).step(&shared);
        return Computed {
            intermediate: json!({"dh": show(*shared)}),
            outputs: json!({"root": show(root.as_bytes()), "chain": show(chain.as_bytes())}),
        };
    }
    let mut chain = ChainKey::new(&array(&given["chain"]));
    let mut keys = Vec::new();
    for _ in 0..count(&given["steps"]) {
        let (key, next) = chain.step();
        assert_eq!(next.as_bytes(), chain.next().as_bytes());
        keys.push(key);
        chain = next;
    }
    let mut sealed = bytes(&given["plaintext"]);
    let key = keys.last().unwrap().aead_key(crate::labels::MESSAGE, &array(&given["salt"]));
    assert!(key.seal(&bytes(&given["associated_data"]), &mut sealed, 0));
    Computed {
        intermediate: json!({
            "message_keys": keys.iter().map(|key| show(key.as_bytes())).collect::<Value>(),
            "chain": show(chain.as_bytes()),
        }),
        outputs: json!({"ciphertext": show(sealed)}),
    }
}

fn reason(error: DecryptError) -> &'static str {
    match error {
        DecryptError::Malformed(error) => decode_reason(error),
        DecryptError::OtherSession => "other session",
        DecryptError::KeyGone => "key gone",
        DecryptError::JumpTooFar => "jump too far",
        DecryptError::BadHeader => "bad header",
        DecryptError::Forged => "forged",
    }
}

/// One side of a conversation.
struct Party {
    session: Option<Session>,
    /// Ratchet secrets in the order in which new chains take them.
    secrets: Vec<Vec<u8>>,
}

impl Party {
    fn send(&mut self, plaintext: &[u8], salt: Vec<u8>) -> Ciphertext {
        let session = self.session.as_ref().unwrap();
        // A new chain asks for a ratchet secret first; in a running one that is one value too many.
        let mut entropy = Scripted(vec![salt.clone()]);
        let step = session.encrypt_from(plaintext, &mut entropy).unwrap_or_else(|_| {
            let mut entropy = Scripted(vec![self.secrets.remove(0), salt]);
            session.encrypt_from(plaintext, &mut entropy).unwrap()
        });
        let (stored, sent) = committed(step, SerializedSession::as_bytes);
        self.session = Some(Session::deserialize(&stored).unwrap());
        sent
    }

    fn receive(&mut self, setup: &Setup, kind: MessageKind, message: &[u8]) -> Result<Plaintext, &'static str> {
        let step = match &self.session {
            Some(session) => session.decrypt(kind, message).map_err(reason)?,
            None => {
                let (identity, certificate) = &setup.responder;
                let address = certificate.address();
                Session::accept(identity, &address, &setup.initiator.1, &setup.prekeys(), message).map_err(|error| {
                    match error {
                        AcceptError::Message(error) => reason(error),
                        AcceptError::OtherPrekeys => "other prekeys",
                        AcceptError::BadKey => "bad key",
                    }
                })?
            }
        };
        let (stored, plaintext) = committed(step, SerializedSession::as_bytes);
        self.session = Some(Session::deserialize(&stored).unwrap());
        Ok(plaintext)
    }
}

pub(super) fn conversation(case: &Value) -> Computed {
    let given = &case["inputs"];
    let setup = Setup::new(&given["setup"]);
    let secrets = |name: &str| list(&given["ratchet_secrets"][name]).iter().map(bytes).collect::<Vec<_>>();
    let (mut a, mut b) =
        (Party { session: None, secrets: secrets("a") }, Party { session: None, secrets: secrets("b") });
    let start = [&given["setup"]["base_secret"], &given["setup"]["kem_randomness"]];
    let mut entropy = Scripted::new(&start);
    entropy.0.push(a.secrets.remove(0));
    let (identity, certificate) = &setup.initiator;
    let started = Session::initiate_from(identity, &certificate.address(), &setup.bundle(), &mut entropy).unwrap();
    let setup_header = started.setup.as_deref().unwrap().clone();
    a.session = Some(started);

    let mut sent: Vec<(bool, Ciphertext)> = Vec::new();
    let mut results = Vec::new();
    for step in list(&given["steps"]) {
        if let Some(who) = step.get("send") {
            let by_a = who == "a";
            let party = if by_a { &mut a } else { &mut b };
            let made = party.send(&bytes(&step["text"]), bytes(&step["salt"]));
            let (kind, message) = match made.kind {
                MessageKind::Setup => {
                    assert!(made.message.starts_with(&setup_header));
                    ("setup", &made.message[setup_header.len()..])
                }
                MessageKind::Session | MessageKind::Group => ("session", made.message.as_slice()),
            };
            results.push(json!({"kind": kind, "message": show(message)}));
            sent.push((by_a, made));
        } else if let Some(who) = step.get("lose") {
            let party = if who == "a" { &mut a } else { &mut b };
            for _ in 0..count(&step["count"]) {
                party.send(&[], vec![0; 16]);
            }
            results.push(json!({"lost": step["count"]}));
        } else {
            let (by_a, message) = &sent[count(&step["deliver"])];
            let seen = changed(&message.message, &step["change"]);
            let receiver = if *by_a { &mut b } else { &mut a };
            let before = receiver.session.as_ref().map(|session| session.serialize().as_bytes().to_vec());
            let result = receiver.receive(&setup, message.kind, &seen);
            if result.is_err() {
                let after = receiver.session.as_ref().map(|session| session.serialize().as_bytes().to_vec());
                assert!(before == after, "a refused message changed the session");
            }
            let outputs = json!({"delivered_sha256": show(sha256(&[&seen]))});
            results.push(decided(outputs, result.map(|text| json!({"text": show(text.as_bytes())}))));
        }
    }
    assert!(a.secrets.is_empty() && b.secrets.is_empty(), "a ratchet secret was not used");
    Computed::outputs(json!({"setup_header": show(setup_header), "steps": results}))
}
