"""Section 4: X3DH by Syndace's package, and the hybrid with ML-KEM-1024."""

import x3dh
import x3dh.base_state
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey
from x3dh.crypto_provider import HashFunction

from x3dh.models import BaseStateModel, IdentityKeyPairModel, SignedPreKeyPairModel
from x3dh.types import SecretType

from .identity import EC_TYPE, USES, kem_encapsulate, kem_public, signed_prekey, zero_secret
from .primitives import (
    Reader, Refused, attempt, change, dh, ed_public, finished, hkdf, image_public, image_secret, sha256, u32, unhex,
    x_field, x_public, x_secret,
)

INFO = b"Subrosa X3DH v1 X25519 SHA-256"
HYBRID_INFO = b"Subrosa PQXDH v1 X25519 SHA-256 ML-KEM-1024"


class Chosen:
    """Stands for the module `secrets` inside Syndace's package: its one random value is the base key."""

    def __init__(self, secret):
        self.secret = secret

    def token_bytes(self, count):
        assert count == 32
        return self.secret

    def choice(self, values):
        return values[0]


def syndace(initiator, base, responder, prekey_id, prekey, one_time):
    """The shared secret of Syndace's X3DH, computed by both sides, with its own check of our signature."""

    class State(x3dh.BaseState):
        @staticmethod
        def _encode_public_key(key_format, pub):
            if key_format is x3dh.IdentityKeyFormat.CURVE_25519:
                return b"Subrosa signed prekey v1" + EC_TYPE + u32(prekey_id) + pub
            return b"\x01" + pub

    def state(seed, signed, pre_keys):
        model = BaseStateModel(
            identity_key=IdentityKeyPairModel(secret=seed, secret_type=SecretType.SEED),
            signed_pre_key=SignedPreKeyPairModel(
                priv=signed, sig=signed_prekey(seed, prekey_id, x_public(signed))[36:], timestamp=0
            ),
            old_signed_pre_key=None,
            pre_keys=frozenset(pre_keys),
        )
        return State.from_model(model, x3dh.IdentityKeyFormat.ED_25519, HashFunction.SHA_256, INFO)

    a = state(initiator, bytes(31) + b"\x40", [])
    b = state(responder, prekey, [] if one_time is None else [one_time])
    real = x3dh.base_state.secrets
    x3dh.base_state.secrets = Chosen(base)
    try:
        active, active_ad, header = finished(a.get_shared_secret_active(b.bundle, b"", one_time is not None))
    finally:
        x3dh.base_state.secrets = real
    passive, passive_ad, _ = finished(b.get_shared_secret_passive(header, b"", one_time is not None))
    if (active, active_ad) != (passive, passive_ad) or header.ephemeral_key != x_public(base):
        raise ValueError("the two sides of Syndace's X3DH differ")
    return active


def agreements(initiator, base, responder, prekey, one_time):
    """DH1 to DH4 as the initiator computes them, compared with the responder's."""
    peer = image_public(ed_public(responder))
    results = [dh(image_secret(initiator), x_public(prekey)), dh(base, peer), dh(base, x_public(prekey))]
    mirrored = [dh(prekey, image_public(ed_public(initiator)))]
    mirrored += [dh(image_secret(responder), x_public(base)), dh(prekey, x_public(base))]
    if one_time is not None:
        results.append(dh(base, x_public(one_time)))
        mirrored.append(dh(one_time, x_public(base)))
    if results != mirrored:
        raise ValueError("the two sides differ")
    return results


def plain(given):
    initiator, responder = unhex(given["initiator_seed"]), unhex(given["responder_seed"])
    base, prekey = x_secret(given["base_secret"]), x_secret(given["signed_prekey"]["secret"])
    one_time = None if given["one_time_secret"] is None else x_secret(given["one_time_secret"])
    prekey_id = given["signed_prekey"]["id"]
    results = agreements(initiator, base, responder, prekey, one_time)
    middle = {"dh": [result.hex() for result in results], "base_key": x_public(base).hex()}
    middle["signed_prekey"] = signed_prekey(responder, prekey_id, x_public(prekey)).hex()
    shared = syndace(initiator, base, responder, prekey_id, prekey, one_time)
    return middle, {"shared": shared.hex()}


class Agreed:
    """What both sides know after a set-up."""

    def __init__(self, given):
        a, b = given["initiator"], given["responder"]
        seeds = unhex(a["identity_seed"]), unhex(b["identity_seed"])
        base = x_secret(given["base_secret"])
        self.prekey = x_secret(b["signed_prekey"]["secret"])
        one_time = b["one_time_prekey"]
        one_time_secret = None if one_time is None else x_secret(one_time["secret"])
        kem_seed, use = unhex(b["kem_prekey"]["seed"]), USES[b["kem_prekey"]["use"]]
        public = kem_public(kem_seed)

        self.dh = agreements(seeds[0], base, seeds[1], self.prekey, one_time_secret)
        self.kem_secret, self.ciphertext = kem_encapsulate(public, unhex(given["kem_randomness"]))
        if MLKEM1024PrivateKey.from_seed_bytes(kem_seed).decapsulate(self.ciphertext) != self.kem_secret:
            raise ValueError("the two ML-KEM packages differ")
        self.kem_rejection = zero_secret(kem_seed)
        self.shared = hkdf(bytes(32), b"\xff" * 32 + b"".join(self.dh) + self.kem_secret, HYBRID_INFO, 32)

        names = b""
        for side, seed in ((a, seeds[0]), (b, seeds[1])):
            names += b"\x01" + ed_public(seed) + unhex(side["account_id"]) + u32(side["device"])
        ids = u32(b["signed_prekey"]["id"])
        ids += bytes(5) if one_time is None else b"\x01" + u32(one_time["id"])
        ids += u32(b["kem_prekey"]["id"]) + use
        self.associated_data = b"Subrosa session v1" + names + ids + sha256(public)
        self.header = b"\x01" + x_public(base) + ids + self.ciphertext
        self.session_id = sha256(x_public(base))


def read_setup_header(given):
    reader = Reader(given)
    reader.version()
    base, _, there, number = reader.take(32), reader.take(4), reader.take(1), reader.take(4)
    _, use, _ = reader.take(4), reader.take(1), reader.take(1568)
    reader.finish()
    if there not in (b"\0", b"\x01") or (there == b"\0" and number != bytes(4)) or use not in USES.values():
        raise Refused("bad field")
    x_field(base)


def hybrid(given):
    if "setup_header" in given:
        header = change(unhex(given["setup_header"]), given["change"])
        middle = {"unchanged_sha256": sha256(unhex(given["setup_header"])).hex()}
        return middle, attempt(lambda: read_setup_header(header), {"bytes": header.hex()})
    agreed = Agreed(given)
    middle = {
        "dh": [result.hex() for result in agreed.dh],
        "kem_secret": agreed.kem_secret.hex(),
        "secret_of_zero_ciphertext": agreed.kem_rejection.hex(),
    }
    return middle, {
        "shared": agreed.shared.hex(),
        "associated_data": agreed.associated_data.hex(),
        "setup_header": agreed.header.hex(),
        "session_id": agreed.session_id.hex(),
    }
