//! Section 6: seal and padding.

use super::*;
use crate::account::{AccountKeyPair, AccountRecord};
use crate::address::PartyAddress;
use crate::certificate::DeviceCertificate;
use crate::device::IdentityKeyPair;
use crate::kdf::sha256;
use crate::pair_key::{ReceivingPairKey, SendingPairKey};
use crate::seal::{OpenError, SealError, SealedContent, SealedEnvelope, open, seal_from};

/// Longer bodies are given by their hash.
const SHOWN: usize = 2304;

fn content(given: &Value) -> SealedContent {
    let account = AccountKeyPair::from_seed(&array(&given["account_seed"]));
    let record = AccountRecord::new(account.public(), array(&given["recovery_commitment"]));
    let identity = IdentityKeyPair::from_seed(&array(&given["identity_seed"])).public();
    let (device, version) = (number(&given["device"]), number(&given["list_version"]));
    let certificate = DeviceCertificate::issue(&account, &record.id(), device, &identity, version);
    let message = bytes(&given["message"]).repeat(count(&given["message_repeated"]));
    match text(&given["kind"]) {
        "setup" => SealedContent::setup(record, certificate, message),
        "group" => SealedContent::group(record.id(), certificate, message),
        _ => SealedContent::session(record.id(), certificate, message),
    }
}

pub(super) fn seal(case: &Value) -> Computed {
    let given = &case["inputs"];
    let identities: Vec<IdentityKeyPair> = list(&given["targets"])
        .iter()
        .map(|target| IdentityKeyPair::from_seed(&array(&target["identity_seed"])))
        .collect();
    let addresses: Vec<PartyAddress> = list(&given["targets"])
        .iter()
        .map(|target| PartyAddress { account: array(&target["account_id"]), device: number(&target["device"]) })
        .collect();
    // Whoever seals in another's name has its own identity, not the one of the certificate.
    let sender = &given["sender"];
    let sealed_by = IdentityKeyPair::from_seed(&array(sender.get("sealed_by").unwrap_or(&sender["identity_seed"])));
    let record = AccountRecord::new(
        AccountKeyPair::from_seed(&array(&sender["account_seed"])).public(),
        array(&sender["recovery_commitment"]),
    );
    let sender_address = PartyAddress { account: record.id(), device: number(&sender["device"]) };
    let pair_keys: Vec<SendingPairKey> = identities
        .iter()
        .zip(&addresses)
        .map(|(identity, address)| {
            SendingPairKey::between(&sealed_by, &sender_address, address, &identity.public()).unwrap()
        })
        .collect();
    let targets: Vec<&SendingPairKey> = pair_keys.iter().collect();
    let intermediate = json!({"pair_keys": pair_keys.iter().map(|key| show(key.as_bytes())).collect::<Value>()});

    let crafted = ["commitment_change", "content_change"].iter().any(|change| given.get(change).is_some());
    let sealed = if crafted {
        // No code here makes such envelopes: taken from the file, to be opened.
        let heads = list(&case["outputs"]["heads"]).iter().map(array).collect();
        SealedEnvelope { heads, body: bytes(&case["outputs"]["body"]) }
    } else {
        let mut entropy = Scripted::new(&[&given["ephemeral_secret"], &given["body_key"]]);
        match seal_from(&targets, &content(sender), &mut entropy) {
            Ok(sealed) => sealed,
            Err(SealError::TooLong) => {
                let outputs = json!({"heads": case["outputs"]["heads"]});
                return Computed { intermediate, outputs: decided(outputs, Err("too long")) };
            }
            Err(error) => panic!("{error}"),
        }
    };
    let mut outputs = json!({
        "heads": sealed.heads.iter().map(show).collect::<Value>(),
        "body_length": sealed.body.len(),
        "body_sha256": show(sha256(&[&sealed.body])),
    });
    if sealed.body.len() <= SHOWN {
        outputs["body"] = show(&sealed.body);
    }

    let opening = &given["open"];
    let target = count(&opening["target"]);
    let mut address = addresses[target];
    if let Some(account) = opening.get("account_id") {
        address.account = array(account);
    }
    if let Some(device) = opening.get("device") {
        address.device = number(device);
    }
    let other = opening.get("identity_seed").map(|seed| IdentityKeyPair::from_seed(&array(seed)));
    let identity = other.as_ref().unwrap_or(&identities[target]);
    let mut head = sealed.heads[target];
    if let Some(other) = opening.get("tag_of") {
        head[48..].copy_from_slice(&sealed.heads[count(other)][48..]);
    }
    let head = changed(&head, &opening["head_change"]);
    let body = changed(&sealed.body, &opening["body_change"]);
    let result = opened(identity, &address, &head, &body, &record);
    let seen = json!({
        "by": show(identity.public().as_bytes()),
        "envelope_id": show(&sha256(&[&address.to_bytes(), &head, &body])[..16]),
    });
    outputs["opened"] = decided(seen, result);
    Computed { intermediate, outputs }
}

/// All that a receiver does before it looks for a session. It knows the account record of who claims to write.
fn opened(
    identity: &IdentityKeyPair,
    address: &PartyAddress,
    head: &[u8],
    body: &[u8],
    record: &AccountRecord,
) -> Result<Value, &'static str> {
    let opened = open(identity, address, head, body).map_err(|error| match error {
        OpenError::Malformed(error) => decode_reason(error),
        OpenError::NotForThisDevice => "not for this device",
    })?;
    let certificate = opened.claimed_certificate().verify(record).map_err(|_| "bad signature")?;
    let key = ReceivingPairKey::new(identity, address, &certificate).map_err(|_| "bad key")?;
    let content = opened.verify(&key).map_err(|_| "not from this sender")?;
    let sender = content.sender();
    Ok(json!({
        "sender_account": show(sender.account),
        "sender_device": sender.device,
        "pair_key": show(key.as_bytes()),
        "message_sha256": show(sha256(&[content.message()])),
    }))
}
