//! Section 6: seal and padding.

use super::*;
use crate::account::{AccountKeyPair, AccountRecord};
use crate::address::PartyAddress;
use crate::certificate::DeviceCertificate;
use crate::device::{IdentityKey, IdentityKeyPair};
use crate::kdf::sha256;
use crate::seal::{OpenError, SealError, SealTarget, SealedContent, SealedEnvelope, open, seal_from};

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
        _ => SealedContent::session(record.id(), certificate, message),
    }
}

pub(super) fn seal(case: &Value) -> Computed {
    let given = &case["inputs"];
    let identities: Vec<IdentityKeyPair> = list(&given["targets"])
        .iter()
        .map(|target| IdentityKeyPair::from_seed(&array(&target["identity_seed"])))
        .collect();
    let keys: Vec<IdentityKey> = identities.iter().map(IdentityKeyPair::public).collect();
    let addresses = list(&given["targets"])
        .iter()
        .map(|target| PartyAddress { account: array(&target["account_id"]), device: number(&target["device"]) });
    let targets: Vec<SealTarget<'_>> =
        keys.iter().zip(addresses).map(|(identity, address)| SealTarget { address, identity }).collect();

    let crafted = ["commitment_change", "content_change"].iter().any(|change| given.get(change).is_some());
    let sealed = if crafted {
        // No code here makes such envelopes: taken from the file, to be opened.
        let heads = list(&case["outputs"]["heads"]).iter().map(array).collect();
        SealedEnvelope { heads, body: bytes(&case["outputs"]["body"]) }
    } else {
        let mut entropy = Scripted::new(&[&given["ephemeral_secret"], &given["body_key"]]);
        match seal_from(&targets, &content(&given["sender"]), &mut entropy) {
            Ok(sealed) => sealed,
            Err(SealError::TooLong) => {
                let outputs = json!({"heads": case["outputs"]["heads"]});
                return Computed::outputs(decided(outputs, Err("too long")));
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
    let mut address = targets[target].address;
    if let Some(account) = opening.get("account_id") {
        address.account = array(account);
    }
    if let Some(device) = opening.get("device") {
        address.device = number(device);
    }
    let other = opening.get("identity_seed").map(|seed| IdentityKeyPair::from_seed(&array(seed)));
    let identity = other.as_ref().unwrap_or(&identities[target]);
    let head = changed(&sealed.heads[target], &opening["head_change"]);
    let body = changed(&sealed.body, &opening["body_change"]);
    let result = open(identity, &address, &head, &body).map_err(|error| match error {
        OpenError::Malformed(error) => decode_reason(error),
        OpenError::NotForThisDevice => "not for this device",
    });
    let result = result.map(|content| {
        let sender = content.sender_hint();
        json!({
            "sender_account": show(sender.account),
            "sender_device": sender.device,
            "message_sha256": show(sha256(&[content.message()])),
        })
    });
    let opened = json!({
        "by": show(identity.public().as_bytes()),
        "envelope_id": show(&sha256(&[&address.to_bytes(), &head, &body])[..16]),
    });
    outputs["opened"] = decided(opened, result);
    Computed::outputs(outputs)
}
