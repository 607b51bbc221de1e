//! Sections 1, 2, 3, 7 and 14: keys, recovery words, account, certificates, lists, prekeys, safety number, relay proofs.

use super::*;
use crate::account::{AccountKeyPair, AccountRecord};
use crate::address::PartyAddress;
use crate::certificate::{CertificateError, DeviceCertificate, VerifiedCertificate};
use crate::conversation::{chat_id, message_id};
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::device::{IdentityKey, IdentityKeyPair, RelayMarks};
use crate::device_list::{DeviceList, DeviceListError, Freshness};
use crate::ed25519::{Ed25519KeyPair, Ed25519PublicKey};
use crate::kem::{KEM_CIPHERTEXT_LEN, KemUse};
use crate::key_error::KeyError;
use crate::labels;
use crate::link_keys::LinkKeys;
use crate::prekeys::{BundleError, KemPrekeyPair, OneTimePrekeyPair, PrekeyBundle, SignedPrekeyPair};
use crate::recovery::{RecoveryKey, RecoveryWordsError};

fn key_reason(error: KeyError) -> &'static str {
    match error {
        KeyError::NotCanonical => "not canonical",
        KeyError::SmallOrder => "small order",
    }
}

pub(super) fn keys(case: &Value) -> Computed {
    let given = &case["inputs"];
    Computed::outputs(match text(&given["what"]) {
        "identity" => {
            let public = IdentityKeyPair::from_seed(&array(&given["ed25519_seed"])).public();
            assert!(IdentityKey::from_bytes(public.as_bytes()).is_ok());
            json!({"ed25519_public": show(public.as_bytes()), "x25519_image": show(public.agreement().as_bytes())})
        }
        "agreement" => {
            let pair = Curve25519KeyPair::from_secret(&array(&given["x25519_secret"]));
            let peer = Curve25519PublicKey::from_bytes(&array(&given["x25519_public"])).unwrap();
            let shared = pair.diffie_hellman(&peer).unwrap();
            json!({"public": show(pair.public().as_bytes()), "shared": show(*shared)})
        }
        "signature" => {
            let pair = Ed25519KeyPair::from_seed(&array(&given["ed25519_seed"]));
            let message = bytes(&given["message"]);
            let signature = changed(&pair.sign(&[&message]), &given["change"]);
            let verified = pair.public().verify(&[&message], &signature.as_slice().try_into().unwrap());
            let outputs = json!({"ed25519_public": show(pair.public().as_bytes()), "signature": show(&signature)});
            decided(outputs, verified.map(|()| json!({})).map_err(|_| "bad signature"))
        }
        "x25519 public key" => {
            let key = Curve25519PublicKey::from_bytes(&array(&given["public"]));
            decided(json!({}), key.map(|_| json!({})).map_err(key_reason))
        }
        _ => {
            let key = Ed25519PublicKey::from_bytes(&array(&given["public"]));
            decided(json!({}), key.map(|_| json!({})).map_err(key_reason))
        }
    })
}

pub(super) fn recovery_words(case: &Value) -> Computed {
    let given = &case["inputs"];
    let seed = bytes(&given["seed"]);
    let key = RecoveryKey::generate_from(&mut Scripted(vec![seed.clone()])).unwrap();
    if given.get("written").is_none() {
        let public = Ed25519KeyPair::from_seed(&array(&given["seed"])).public();
        return Computed::outputs(json!({
            "words": key.words().as_str(),
            "public": show(public.as_bytes()),
            "commitment": show(key.commitment()),
        }));
    }
    let mut words: Vec<String> = key.words().split(' ').map(str::to_owned).collect();
    let mut separator = " ";
    for step in list(&given["written"]) {
        if let Some(pair) = step.get("swap") {
            words.swap(count(&pair[0]), count(&pair[1]));
        } else if let Some(word) = step.get("word") {
            words[count(&step["at"])] = text(word).to_owned();
        } else if let Some(drop) = step.get("drop") {
            words.truncate(words.len() - count(drop));
        } else {
            words = words.iter().map(|word| word.to_uppercase()).collect();
            separator = " \n ";
        }
    }
    let typed = words.join(separator);
    let read = RecoveryKey::from_words(&typed);
    // A key tells its seed only through its words and its commitment.
    let result = match read {
        Ok(read) => {
            assert_eq!(read.commitment(), key.commitment());
            Ok(json!({"seed": show(seed)}))
        }
        Err(RecoveryWordsError::WordCount) => Err("word count"),
        Err(RecoveryWordsError::UnknownWord(_)) => Err("unknown word"),
        Err(RecoveryWordsError::Checksum) => Err("checksum"),
    };
    Computed::outputs(decided(json!({"words": typed}), result))
}

struct Owner {
    key: AccountKeyPair,
    record: AccountRecord,
}

impl Owner {
    fn new(given: &Value) -> Self {
        let key = AccountKeyPair::from_seed(&array(&given["account_seed"]));
        let record = AccountRecord::new(key.public(), array(&given["recovery_commitment"]));
        Self { key, record }
    }

    fn certificate(&self, given: &Value) -> DeviceCertificate {
        let identity = IdentityKeyPair::from_seed(&array(&given["identity_seed"])).public();
        let (device, version) = (number(&given["device"]), number(&given["list_version"]));
        DeviceCertificate::issue(&self.key, &self.record.id(), device, &identity, version)
    }
}

pub(super) fn account(case: &Value) -> Computed {
    let given = &case["inputs"];
    if let Some(record) = given.get("record") {
        let seen = changed(&bytes(record), &given["change"]);
        let read = AccountRecord::decode(&seen);
        if let Ok(read) = &read {
            assert_eq!(read.encode().as_slice(), seen);
        }
        return Computed::outputs(decided(
            json!({"bytes": show(&seen)}),
            read.map(|_| json!({})).map_err(decode_reason),
        ));
    }
    let owner = Owner::new(given);
    Computed {
        intermediate: json!({"account_key": show(owner.record.account_key().as_bytes())}),
        outputs: json!({"record": show(owner.record.encode()), "account_id": show(owner.record.id())}),
    }
}

pub(super) fn device_certificate(case: &Value) -> Computed {
    let given = &case["inputs"];
    let owner = Owner::new(given);
    let intermediate = json!({"account_id": show(owner.record.id())});
    let Some(certificate) = given.get("certificate") else {
        let certificate = owner.certificate(given);
        return Computed { intermediate, outputs: json!({"certificate": show(certificate.encode())}) };
    };
    let seen = changed(&bytes(certificate), &given["change"]);
    let result = DeviceCertificate::decode(&seen).map_err(decode_reason).and_then(|certificate| {
        certificate.verify(&owner.record).map(|_| json!({})).map_err(|CertificateError::BadSignature| "bad signature")
    });
    Computed { intermediate, outputs: decided(json!({"bytes": show(&seen)}), result) }
}

pub(super) fn device_list(case: &Value) -> Computed {
    let given = &case["inputs"];
    let owner = Owner::new(given);
    let intermediate = json!({"account_id": show(owner.record.id())});
    if given.get("known").is_some() {
        let [known, seen] = ["known", "list"]
            .map(|name| DeviceList::decode(&bytes(&given[name])).unwrap().verify(&owner.record).unwrap());
        let relation = match seen.compare(&known) {
            Freshness::Same => "same",
            Freshness::Newer => "newer",
            Freshness::Older => "older",
            Freshness::Conflict => "conflict",
            Freshness::NumberReused => "number reused",
        };
        let outputs = json!({"known_hash": show(known.hash()), "hash": show(seen.hash()), "relation": relation});
        return Computed { intermediate, outputs };
    }
    let Some(made) = given.get("list") else {
        let devices = list(&given["devices"]).iter().map(|device| owner.certificate(device)).collect();
        let issued_ms = given["issued_ms"].as_u64().unwrap();
        let (version, highest) = (number(&given["version"]), number(&given["highest"]));
        let made = DeviceList::issue(&owner.key, &owner.record, version, issued_ms, highest, devices).unwrap();
        return Computed { intermediate, outputs: json!({"list": show(made.encode()), "hash": show(made.hash())}) };
    };
    let mut seen = changed(&bytes(made), &given["change"]);
    if given["signed_again"] == true {
        let signed = seen.len() - 64;
        let signature = owner.key.sign(&[labels::DEVICE_LIST, &seen[..signed]]);
        seen[signed..].copy_from_slice(&signature);
    }
    let result = DeviceList::decode(&seen).map_err(decode_reason).and_then(|unverified| {
        unverified.verify(&owner.record).map(|_| json!({})).map_err(|error| match error {
            DeviceListError::BadSignature => "bad signature",
            DeviceListError::OtherAccount => "other account",
            DeviceListError::DeviceCount => "device count",
            DeviceListError::Inconsistent => "inconsistent",
        })
    });
    Computed { intermediate, outputs: decided(json!({"bytes": show(&seen)}), result) }
}

pub(super) fn kem_use(value: &Value) -> KemUse {
    match text(value) {
        "one-time" => KemUse::OneTime,
        "last-resort" => KemUse::LastResort,
        other => panic!("{other}"),
    }
}

/// A certificate for tests of what comes after it: any account, the given id.
pub(super) fn certified(identity: &IdentityKeyPair, account: [u8; 32], device: u32) -> VerifiedCertificate {
    let key = AccountKeyPair::from_seed(&[1; 32]);
    let certificate = DeviceCertificate::issue(&key, &account, device, &identity.public(), 1);
    VerifiedCertificate::of_verified_list(account, certificate)
}

pub(super) fn prekeys(case: &Value) -> Computed {
    let given = &case["inputs"];
    let identity = IdentityKeyPair::from_seed(&array(&given["identity_seed"]));
    let identity_key = show(identity.public().as_bytes());
    let secret = |name: &str| Scripted(vec![bytes(&given[name])]);
    let prekey = |bytes: &[u8]| Computed {
        intermediate: json!({"identity_key": identity_key}),
        outputs: json!({"prekey": show(bytes)}),
    };
    match text(&given["what"]) {
        "signed prekey" => {
            let made = SignedPrekeyPair::generate_from(number(&given["id"]), &identity, &mut secret("secret"));
            return prekey(&made.unwrap().public_bytes());
        }
        "one-time prekey" => {
            let made = OneTimePrekeyPair::generate_from(number(&given["id"]), &mut secret("secret")).unwrap();
            return prekey(&made.public_bytes());
        }
        "KEM prekey" => {
            let (id, used) = (number(&given["id"]), kem_use(&given["use"]));
            let made = KemPrekeyPair::generate_from(id, &identity, used, &mut secret("kem_seed")).unwrap();
            let zero = made.pair().decapsulate(&[0; KEM_CIPHERTEXT_LEN]);
            let mut computed = prekey(&made.public_bytes());
            computed.intermediate["secret_of_zero_ciphertext"] = show(*zero);
            return computed;
        }
        _ => {}
    }
    let made_for = kem_use(&given["made_for"]);
    let signed = SignedPrekeyPair::generate_from(number(&given["signed_id"]), &identity, &mut secret("signed_secret"));
    let one_time = OneTimePrekeyPair::generate_from(number(&given["one_time_id"]), &mut secret("one_time_secret"));
    let kem = KemPrekeyPair::generate_from(number(&given["kem_id"]), &identity, made_for, &mut secret("kem_seed"));
    let mut signed = changed(&signed.unwrap().public_bytes(), &given["signed"]);
    let one_time = changed(&one_time.unwrap().public_bytes(), &given["one_time"]);
    let mut kem = changed(&kem.unwrap().public_bytes(), &given["kem"]);
    if let Some(signer) = given.get("signed_again_by") {
        let signer = IdentityKeyPair::from_seed(&array(signer));
        let signature = signer.sign(&[labels::SIGNED_PREKEY, &[1], &signed[..36]]);
        signed[36..].copy_from_slice(&signature);
        let signature = signer.sign(&[labels::KEM_PREKEY, &[made_for.to_byte()], &kem[..1572]]);
        kem[1572..].copy_from_slice(&signature);
    }
    let certificate = certified(&identity, [9; 32], 1);
    let bundle = PrekeyBundle::verify(&certificate, &signed, Some(&one_time), &kem, kem_use(&given["served_as"]));
    let result = bundle.map(|_| json!({})).map_err(|error| match error {
        BundleError::Malformed(error) => decode_reason(error),
        BundleError::BadKey => "bad key",
        BundleError::BadPrekeySignature => "bad prekey signature",
        BundleError::BadKemSignature => "bad KEM signature",
    });
    let outputs = json!({"signed": show(signed), "one_time": show(one_time), "kem": show(kem)});
    Computed { intermediate: json!({"identity_key": identity_key}), outputs: decided(outputs, result) }
}

pub(super) fn safety_number(case: &Value) -> Computed {
    let [a, b] = ["a", "b"].map(|side| Owner::new(&case["inputs"][side]).record);
    let made = crate::safety_number::safety_number((&a.id(), a.account_key()), (&b.id(), b.account_key()));
    Computed::outputs(json!({"digits": made.digits(), "qr": show(made.qr_bytes())}))
}

pub(super) fn relay_proofs(case: &Value) -> Computed {
    let given = &case["inputs"];
    let identity = IdentityKeyPair::from_seed(&array(&given["identity_seed"]));
    let (authority, account) = (text(&given["authority"]), array(&given["account_id"]));
    let pin = given["pin"].is_string().then(|| array(&given["pin"]));
    let signature = if text(&given["what"]) == "auth" {
        let address = PartyAddress { account, device: number(&given["device"]) };
        let exporter = given["exporter"].is_string().then(|| array(&given["exporter"]));
        let shown: Vec<[u8; 16]> = list(&given["shown"]).iter().map(array).collect();
        let marks = RelayMarks { shown: &shown, new: &array(&given["mark"]), take_over: given["take_over"] == true };
        identity.sign_relay_auth(authority, pin.as_ref(), exporter.as_ref(), &array(&given["nonce"]), &address, &marks)
    } else {
        let list_hash = array(&given["device_list_hash"]);
        identity.sign_registration(authority, pin.as_ref(), text(&given["handle"]), &account, &list_hash)
    };
    Computed {
        intermediate: json!({"identity_key": show(identity.public().as_bytes())}),
        outputs: json!({"signature": show(signature)}),
    }
}

/// Section 14: the relay's token, and the proof for an inviter, of which `shown_by` says who shows it.
pub(super) fn link_secret(case: &Value) -> Computed {
    let given = &case["inputs"];
    let keys = LinkKeys::derive(&array(&given["secret"]), &array(&given["inviter"]));
    let proof = keys.prove(&array(&given["joiner"]));
    let seen = changed(&proof, &given["change"]);
    let accepted = keys.verifies(&array(&given["shown_by"]), &seen.as_slice().try_into().unwrap());
    let intermediate =
        json!({"proof_key": show(keys.proof_key()), "expected": show(keys.prove(&array(&given["shown_by"])))});
    let outputs = json!({"token": show(keys.token()), "proof": show(proof), "shown": show(&seen)});
    let result = if accepted { Ok(json!({})) } else { Err("wrong proof") };
    Computed { intermediate, outputs: decided(outputs, result) }
}

/// Section 15: what two accounts (or one, with itself) call their conversation, and what a content of one of them is called.
pub(super) fn message_ids(case: &Value) -> Computed {
    let given = &case["inputs"];
    let conversation = chat_id(&array(&given["one"]), &array(&given["other"]));
    let id = message_id(&conversation, &array(&given[text(&given["author"])]), &array(&given["random"]));
    Computed::outputs(json!({"conversation": show(conversation), "message_id": show(id)}))
}
