#!/usr/bin/env python3
"""Recomputes Subrosa's test vectors without any of Subrosa's code.

Needs Python 3.9 or later and the package `cryptography` with ML-KEM (tried with 50.0.2). That package
has no encapsulation with chosen randomness, so the KEM ciphertext is taken from the vector and decapsulated;
every other byte is computed from the inputs as docs/protocol.md says.

    python3 test-vectors/verify.py        exit code 0 if every byte is equal
"""

import hashlib
import hmac
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

P = 2**255 - 19


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, text):
    return hmac.new(key, text, "sha256").digest()


def hkdf(salt, ikm, info, length):
    prk, block, output = mac(salt, ikm), b"", b""
    for counter in range(1, 256):
        if len(output) >= length:
            break
        block = mac(prk, block + info + bytes([counter]))
        output += block
    return output[:length]


def u32(number):
    return struct.pack(">I", number)


def x_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def dh(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def ed_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed, text):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(text)


def image_secret(seed):
    return hashlib.sha512(seed).digest()[:32]


def image_public(key):
    y = int.from_bytes(key, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")


class Person:
    def __init__(self, given):
        self.account_seed = bytes.fromhex(given["account_seed"])
        self.account_key = ed_public(self.account_seed)
        self.id = sha256(b"Subrosa account id v1", self.account_key, bytes.fromhex(given["recovery_commitment"]))
        self.seed = bytes.fromhex(given["identity_seed"])
        self.identity = ed_public(self.seed)
        self.device = u32(given["device"])
        self.address = self.id + self.device

    def certificate(self):
        claim = self.device + self.identity + u32(1)
        return claim + sign(self.account_seed, b"Subrosa device certificate v1" + self.id + claim)

    def named(self):
        return b"\x01" + self.identity + self.address


def root_step(root, shared):
    output = hkdf(root, shared, b"Subrosa root v1", 64)
    return output[:32], output[32:]


def digits(person):
    value = hashlib.sha512(b"\0\0" + person.account_key + person.id + person.account_key).digest()
    for _ in range(5199):
        value = hashlib.sha512(value + person.account_key).digest()
    groups = (int.from_bytes(value[i : i + 5], "big") % 100000 for i in range(0, 30, 5))
    return "".join("%05d" % group for group in groups)


def conversation(vector):
    given, expected = vector["inputs"], vector["outputs"]
    alice, bob = Person(given["alice"]), Person(given["bob"])
    keys = given["bob"]
    signed, one_time = bytes.fromhex(keys["signed_prekey_secret"]), bytes.fromhex(keys["one_time_prekey_secret"])
    base = bytes.fromhex(given["base_secret"])
    ratchets = [bytes.fromhex(secret) for secret in given["ratchet_secrets"]]
    salts = [bytes.fromhex(salt) for salt in given["salts"]]
    texts = [text.encode() for text in given["texts"]]

    # Section 4. The ciphertext ends the set-up header of the first message.
    kem = MLKEM1024PrivateKey.from_seed_bytes(bytes.fromhex(keys["kem_seed"]))
    ciphertext = bytes.fromhex(expected["messages"][0])[47 : 47 + 1568]
    names = u32(keys["signed_prekey_id"]) + b"\x01" + u32(keys["one_time_prekey_id"])
    names += u32(keys["kem_prekey_id"]) + b"\x02"
    secret = b"\xff" * 32
    secret += dh(image_secret(alice.seed), x_public(signed))
    secret += dh(base, image_public(bob.identity))
    secret += dh(base, x_public(signed))
    secret += dh(base, x_public(one_time))
    secret += kem.decapsulate(ciphertext)
    root = hkdf(bytes(32), secret, b"Subrosa PQXDH v1 X25519 SHA-256 ML-KEM-1024", 32)
    bound = b"Subrosa session v1" + alice.named() + bob.named() + names
    bound += sha256(kem.public_key().public_bytes_raw())
    setup = b"\x01" + x_public(base) + names + ciphertext

    # Section 5: two messages of alice, one of bob, one of alice.
    def message(chain, index, ratchet, previous, number, front=b""):
        header = b"\x01" + x_public(ratchet) + u32(previous) + u32(number)
        key = hkdf(salts[index], mac(chain, b"\x01"), b"Subrosa message v1", 44)
        sealed = AESGCM(key[:32]).encrypt(key[32:], texts[index], bound + header + front)
        return front + header + salts[index] + sealed

    root, chain = root_step(root, dh(ratchets[0], x_public(signed)))
    messages = [message(chain, 0, ratchets[0], 0, 0, setup)]
    messages.append(message(mac(chain, b"\x02"), 1, ratchets[0], 0, 1, setup))
    root, chain = root_step(root, dh(ratchets[1], x_public(ratchets[0])))
    messages.append(message(chain, 2, ratchets[1], 0, 0))
    root, chain = root_step(root, dh(ratchets[2], x_public(ratchets[1])))
    messages.append(message(chain, 3, ratchets[2], 2, 0))

    # Section 6: the last message, sealed for bob.
    seal, body_key = bytes.fromhex(given["seal_secret"]), bytes.fromhex(given["body_key"])
    ephemeral = x_public(seal)
    derived = hkdf(ephemeral, body_key, b"Subrosa seal body v1", 76)
    front = b"\x01" + ephemeral + derived[44:]
    content = b"\x01\x02" + alice.id + alice.certificate() + messages[3] + b"\x80"
    content = content.ljust(512 - len(front) - 16, b"\0")
    body = front + AESGCM(derived[:32]).encrypt(derived[32:44], content, front)
    info = b"Subrosa seal head v1" + bob.address + bob.identity
    key = hkdf(ephemeral, dh(seal, image_public(bob.identity)), info, 44)
    head = AESGCM(key[:32]).encrypt(key[32:], body_key, b"")

    return {
        "messages": [text.hex() for text in messages],
        "head": head.hex(),
        "body": body.hex(),
        "safety_number": "".join(sorted([digits(alice), digits(bob)])),
    }


def main():
    path = pathlib.Path(__file__).parent / "conversation-v1.json"
    vector = json.loads(path.read_text())
    computed = conversation(vector)
    differing = [name for name, value in vector["outputs"].items() if computed[name] != value]
    if differing:
        print(f"{path.name}: not equal: {', '.join(differing)}", file=sys.stderr)
        return 1
    print(f"{path.name}: {len(computed)} outputs equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
