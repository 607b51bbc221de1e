//! Section 19: chains of a group, what is handed over of them, and messages in them.

use super::*;
use crate::address::PartyAddress;
use crate::chain_key::ChainKey;
use crate::device::IdentityKeyPair;
use crate::ed25519::Ed25519KeyPair;
use crate::kdf::sha256;
use crate::labels;
use crate::sender_key::{
    GroupDecryptError, GroupSender, HandoverError, MemberChain, SenderKeyHandover, SendingChain, SerializedChain,
};
use crate::session::Plaintext;

fn sender(given: &Value) -> GroupSender {
    GroupSender {
        group: array(&given["group"]),
        address: PartyAddress { account: array(&given["account_id"]), device: number(&given["device"]) },
        identity: IdentityKeyPair::from_seed(&array(&given["identity_seed"])).public(),
    }
}

fn decrypt_reason(error: GroupDecryptError) -> &'static str {
    match error {
        GroupDecryptError::Malformed(error) => decode_reason(error),
        GroupDecryptError::OtherChain => "other chain",
        GroupDecryptError::BadSignature => "bad signature",
        GroupDecryptError::KeyGone => "key gone",
        GroupDecryptError::JumpTooFar => "jump too far",
        GroupDecryptError::Forged => "forged",
    }
}

fn handover_reason(error: HandoverError) -> &'static str {
    match error {
        HandoverError::OtherChain => "other chain",
        HandoverError::OtherGeneration => "other generation",
        HandoverError::OtherKey => "other key",
        HandoverError::TooFar => "too far",
    }
}

fn send(chain: &mut SendingChain, who: &GroupSender, text: &[u8], salt: Vec<u8>) -> Vec<u8> {
    let step = chain.encrypt_from(who, text, &mut Scripted(vec![salt])).unwrap();
    let (stored, sent) = committed(step, SerializedChain::as_bytes);
    *chain = SendingChain::deserialize(&stored).unwrap();
    sent.message
}

fn receive(chain: &mut MemberChain, who: &GroupSender, message: &[u8]) -> Result<Value, &'static str> {
    let step = chain.decrypt(who, message).map_err(decrypt_reason)?;
    let (stored, text): (_, Plaintext) = committed(step, SerializedChain::as_bytes);
    *chain = MemberChain::deserialize(&stored).unwrap();
    Ok(json!({"text": show(text.as_bytes())}))
}

/// As the owner of `seed` would sign it.
fn signed_again(message: &[u8], seed: &Value, who: &GroupSender, generation: u32) -> Vec<u8> {
    let before = &message[..message.len() - 64];
    let pair = Ed25519KeyPair::from_seed(&array(seed));
    let signature = pair.sign(&[labels::GROUP_SIGNATURE, &who.associated_data(generation), before]);
    [before, &signature].concat()
}

pub(super) fn conversation(case: &Value) -> Computed {
    let given = &case["inputs"];
    let (who, chain) = (sender(&given["sender"]), &given["chain"]);
    let (generation, first) = (number(&chain["generation"]), number(&chain["number"]));
    let key: [u8; 32] = array(&chain["chain_key"]);
    let seed: [u8; 32] = array(&chain["seed"]);
    let stored = [&[1][..], &generation.to_be_bytes(), &first.to_be_bytes(), &key, &seed].concat();
    let mut chain = SendingChain::deserialize(&stored).unwrap();
    assert_eq!(chain.serialize().as_bytes(), stored);

    let mut message_keys = Vec::new();
    let mut sent = Vec::new();
    let mut handovers = Vec::new();
    let mut receivers: Vec<MemberChain> = Vec::new();
    let mut results = Vec::new();
    for step in list(&given["steps"]) {
        if let Some(text) = step.get("send") {
            message_keys.push(show(ChainKey::step(&chain.key).0.as_bytes()));
            sent.push(send(&mut chain, &who, &bytes(text), bytes(&step["salt"])));
            results.push(json!({"message": show(sent.last().unwrap())}));
        } else if let Some(lost) = step.get("lose") {
            for _ in 0..count(lost) {
                send(&mut chain, &who, &[], vec![0; 16]);
            }
            results.push(json!({"lost": lost}));
        } else if let Some(change) = step.get("hand_over") {
            handovers.push(chain.handover().encode());
            let seen = changed(handovers.last().unwrap(), change);
            let read = SenderKeyHandover::decode(&seen).map(|handover| {
                assert_eq!(handover.encode().as_slice(), seen);
                receivers.push(MemberChain::new(&handover));
                json!({})
            });
            results.push(decided(json!({"handover": show(&seen)}), read.map_err(decode_reason)));
        } else if let Some(again) = step.get("again") {
            let seen = changed(&handovers[count(again)], &step["change"]);
            let receiver = &receivers[count(&step["to"])];
            let read = SenderKeyHandover::decode(&seen)
                .map_err(decode_reason)
                .and_then(|handover| receiver.handed_over_again(&handover).map_err(handover_reason));
            let outputs = json!({"handover": show(&seen), "to": step["to"]});
            results.push(decided(outputs, read.map(|()| json!({}))));
        } else {
            let mut seen = changed(&sent[count(&step["deliver"])], &step["change"]);
            let claimed = step.get("as").map_or(who, sender);
            if let Some(seed) = step.get("signed_with") {
                seen = signed_again(&seen, seed, &claimed, generation);
            }
            let receiver = &mut receivers[count(&step["to"])];
            let before = receiver.serialize().as_bytes().to_vec();
            let result = receive(receiver, &claimed, &seen);
            assert_eq!(
                result.is_err(),
                before == receiver.serialize().as_bytes(),
                "only what is read changes the chain"
            );
            let hashed = sha256(&[&claimed.associated_data(receiver.generation()), &seen]);
            results.push(decided(json!({"seen_sha256": show(hashed), "to": step["to"]}), result));
        }
    }
    Computed {
        intermediate: json!({
            "associated_data": show(who.associated_data(generation)),
            "chain_id": show(chain.id()),
            "message_keys": message_keys,
        }),
        outputs: json!({"steps": results}),
    }
}
