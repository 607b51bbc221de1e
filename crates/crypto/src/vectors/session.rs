//! Section 4: ML-KEM-1024, X3DH, the hybrid set-up.

use super::identity::{certified, kem_use};
use super::*;
use crate::address::PartyAddress;
use crate::certificate::VerifiedCertificate;
use crate::curve25519::Curve25519KeyPair;
use crate::device::IdentityKeyPair;
use crate::kem::{KEM_CIPHERTEXT_LEN, KemKeyPair};
use crate::pqxdh::{self, Side};
use crate::prekeys::{KemPrekeyPair, OneTimePrekeyPair, PrekeyBundle, ResponderPrekeys, SignedPrekeyPair};
use crate::setup_header::SetupHeader;
use crate::x3dh::{Input, initiator_input, responder_input};

pub(super) fn ml_kem(case: &Value) -> Computed {
    let given = &case["inputs"];
    let pair = KemKeyPair::from_seed(&array(&given["seed"]));
    let made = pair.public().encapsulate(&mut Scripted::new(&[&given["randomness"]])).unwrap();
    assert_eq!(pair.decapsulate(&made.ciphertext), made.secret);
    let wrong: [u8; KEM_CIPHERTEXT_LEN] = changed(&*made.ciphertext, &given["change"]).try_into().unwrap();
    Computed::outputs(json!({
        "encapsulation_key": show(pair.public().as_bytes()),
        "ciphertext": show(*made.ciphertext),
        "secret": show(*made.secret),
        "secret_of_changed_ciphertext": show(*pair.decapsulate(&wrong)),
    }))
}

/// DH1 to DH4 out of F ‖ DH1 ‖ DH2 ‖ DH3 \[‖ DH4\].
fn agreements(input: &Input) -> Value {
    input[32..].chunks(32).map(show).collect()
}

pub(super) fn x3dh(case: &Value) -> Computed {
    let given = &case["inputs"];
    let [a, b] = ["initiator_seed", "responder_seed"].map(|seed| IdentityKeyPair::from_seed(&array(&given[seed])));
    let base = Curve25519KeyPair::from_secret(&array(&given["base_secret"]));
    let prekey = &given["signed_prekey"];
    let signed =
        SignedPrekeyPair::generate_from(number(&prekey["id"]), &b, &mut Scripted::new(&[&prekey["secret"]])).unwrap();
    let one_time =
        given["one_time_secret"].as_str().map(|_| Curve25519KeyPair::from_secret(&array(&given["one_time_secret"])));
    let one_time_key = one_time.as_ref().map(Curve25519KeyPair::public);
    let (key, pair) = (signed.pair().public(), signed.pair());

    let shared = crate::x3dh::initiate(&a, &base, &b.public(), &key, one_time_key.as_ref()).unwrap();
    assert_eq!(shared, crate::x3dh::accept(&b, pair, one_time.as_ref(), &a.public(), &base.public()).unwrap());
    let input = initiator_input(&a, &base, &b.public(), &key, one_time_key.as_ref()).unwrap();
    assert_eq!(input, responder_input(&b, pair, one_time.as_ref(), &a.public(), &base.public()).unwrap());
    Computed {
        intermediate: json!({
            "dh": agreements(&input),
            "base_key": show(base.public().as_bytes()),
            "signed_prekey": show(signed.public_bytes()),
        }),
        outputs: json!({"shared": show(*shared)}),
    }
}

/// Both devices of a set-up, with the responder's prekeys.
pub(super) struct Setup {
    pub(super) initiator: (IdentityKeyPair, VerifiedCertificate),
    pub(super) responder: (IdentityKeyPair, VerifiedCertificate),
    pub(super) signed: SignedPrekeyPair,
    pub(super) one_time: Option<OneTimePrekeyPair>,
    pub(super) kem: KemPrekeyPair,
}

impl Setup {
    pub(super) fn new(given: &Value) -> Self {
        let device = |side: &Value| {
            let identity = IdentityKeyPair::from_seed(&array(&side["identity_seed"]));
            let certificate = certified(&identity, array(&side["account_id"]), number(&side["device"]));
            (identity, certificate)
        };
        let (initiator, responder) = (device(&given["initiator"]), device(&given["responder"]));
        let secret = |prekey: &Value| Scripted(vec![bytes(prekey.get("secret").unwrap_or(&prekey["seed"]))]);
        let (identity, keys) = (&responder.0, &given["responder"]);
        let prekey = &keys["signed_prekey"];
        let signed = SignedPrekeyPair::generate_from(number(&prekey["id"]), identity, &mut secret(prekey)).unwrap();
        let prekey = &keys["one_time_prekey"];
        let one_time = prekey
            .is_object()
            .then(|| OneTimePrekeyPair::generate_from(number(&prekey["id"]), &mut secret(prekey)).unwrap());
        let prekey = &keys["kem_prekey"];
        let (id, used) = (number(&prekey["id"]), kem_use(&prekey["use"]));
        let kem = KemPrekeyPair::generate_from(id, identity, used, &mut secret(prekey)).unwrap();
        Self { initiator, responder, signed, one_time, kem }
    }

    /// As the relay serves it and an initiator checks it.
    pub(super) fn bundle(&self) -> PrekeyBundle {
        let one_time = self.one_time.as_ref().map(OneTimePrekeyPair::public_bytes);
        PrekeyBundle::verify(
            &self.responder.1,
            &self.signed.public_bytes(),
            one_time.as_ref().map(<[u8; 36]>::as_slice),
            &self.kem.public_bytes(),
            self.kem.kem_use(),
        )
        .unwrap()
    }

    pub(super) fn prekeys(&self) -> ResponderPrekeys<'_> {
        ResponderPrekeys { signed: &self.signed, one_time: self.one_time.as_ref(), kem: &self.kem }
    }
}

pub(super) fn pqxdh(case: &Value) -> Computed {
    let given = &case["inputs"];
    if let Some(header) = given.get("setup_header") {
        let seen = changed(&bytes(header), &given["change"]);
        let read = SetupHeader::decode(&seen);
        if let Ok(read) = &read {
            assert_eq!(read.encode(), seen);
        }
        return Computed::outputs(decided(
            json!({"bytes": show(&seen)}),
            read.map(|_| json!({})).map_err(decode_reason),
        ));
    }
    let setup = Setup::new(given);
    let addresses: [PartyAddress; 2] = [setup.initiator.1.address(), setup.responder.1.address()];
    let mut entropy = Scripted::new(&[&given["base_secret"], &given["kem_randomness"]]);
    let (agreed, header) =
        pqxdh::initiate(&setup.initiator.0, &addresses[0], &setup.bundle(), &mut entropy).ok().unwrap();
    let remote = Side { identity: &setup.initiator.0.public(), address: &addresses[0] };
    let accepted = pqxdh::accept(&setup.responder.0, &addresses[1], &remote, &setup.prekeys(), &header).unwrap();
    assert_eq!(agreed.shared, accepted.shared);
    assert_eq!(agreed.associated_data, accepted.associated_data);
    Computed {
        intermediate: json!({
            "kem_secret": show(*setup.kem.pair().decapsulate(&header.kem_ciphertext)),
            "secret_of_zero_ciphertext": show(*setup.kem.pair().decapsulate(&[0; KEM_CIPHERTEXT_LEN])),
        }),
        outputs: json!({
            "shared": show(*agreed.shared),
            "associated_data": show(&agreed.associated_data),
            "setup_header": show(header.encode()),
            "session_id": show(header.session_id()),
        }),
    }
}
