"""Section 1: notation, strict keys and signatures, and the changes that make a negative case."""

import functools
import hashlib
import struct

import xeddsa
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P

# X25519 ignores five bits of a secret. In checked-in files all secrets are written with those bits as X25519
# sets them, and anything else is refused, so that no digit of a file is without meaning.
clamped_secrets_only = True


class Refused(Exception):
    """The input is refused; the text says why, in the words of the vectors."""


def unhex(text):
    return bytes.fromhex(text)


def u8(number):
    return struct.pack(">B", number)


def u16(number):
    return struct.pack(">H", number)


def u32(number):
    return struct.pack(">I", number)


def u64(number):
    return struct.pack(">Q", number)


def len16(text):
    return u16(len(text)) + text


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hmac(key, text):
    mac = HMAC(key, hashes.SHA256())
    mac.update(text)
    return mac.finalize()


def hkdf(salt, ikm, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(ikm)


def gcm(key, nonce, aad, text):
    return AESGCM(key).encrypt(nonce, text, aad)


def gcm_open(key, nonce, aad, sealed):
    """The text, or None if the tag does not verify."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        return None


def finished(coroutine):
    """The result of one of Syndace's coroutines. They never wait for anything, so no event loop is needed."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a coroutine waits")


# X25519


def clamp(secret):
    return bytes([secret[0] & 248]) + secret[1:31] + bytes([secret[31] & 127 | 64])


def x_secret(text):
    secret = unhex(text)
    if clamped_secrets_only and clamp(secret) != secret:
        raise ValueError("an X25519 secret of a checked-in vector is not in clamped form")
    return secret


def x_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def dh(secret, public):
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        # OpenSSL refuses a result of zero: RFC 7748, section 6.1.
        raise Refused("small order") from None


def x_check(public):
    """Canonical and not of small order. Every secret is a multiple of 8, so a key of small order gives zero."""
    if int.from_bytes(public, "little") >= P:
        raise Refused("not canonical")
    dh(clamp(bytes(32)), public)
    return public


# Ed25519


def ed_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed, *parts):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(b"".join(parts))


def _on_curve(encoded):
    """Whether the 32 bytes are the canonical encoding of a point of edwards25519 (RFC 8032, section 5.1.3)."""
    number = int.from_bytes(encoded, "little")
    y, sign_bit = number & (2**255 - 1), number >> 255
    if y >= P:
        return False
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if xx == 0:
        return sign_bit == 0
    return pow(xx, (P - 1) // 2, P) == 1


@functools.cache
def ed_check(key):
    if not _on_curve(key):
        raise Refused("not canonical")
    x_check(_image(key))
    return key


def _image(key):
    """u = (1 + y) / (1 - y); 0 for the point at infinity."""
    y = int.from_bytes(key, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")


def image_public(key):
    """The X25519 image of a checked key, by libxeddsa."""
    image = xeddsa.ed25519_pub_to_curve25519_pub(key)
    if image != _image(key):
        raise ValueError("libxeddsa and the formula of section 1 differ")
    return image


def image_secret(seed):
    return hashlib.sha512(seed).digest()[:32]


def verify(key, signature, *parts):
    """Strict: canonical S (checked by OpenSSL), neither R nor A of small order."""
    ed_check(key)
    try:
        ed_check(signature[:32])
        Ed25519PublicKey.from_public_bytes(key).verify(signature, b"".join(parts))
    except (Refused, InvalidSignature):
        raise Refused("bad signature") from None


# Negative cases


def change(given, how):
    """Applies a list of changes: each is one of flip (offset, mask), set (offset, bytes), cut (bytes off the end),
    append (bytes)."""
    changed = bytearray(given)
    for step in how:
        if "flip" in step:
            changed[step["offset"]] ^= unhex(step["flip"])[0]
        elif "set" in step:
            value = unhex(step["set"])
            changed[step["offset"] : step["offset"] + len(value)] = value
        elif "cut" in step:
            del changed[len(changed) - step["cut"] :]
        else:
            changed += unhex(step["append"])
    return bytes(changed)


class Reader:
    """Section 1: strict decoding."""

    def __init__(self, given):
        self.rest = given

    def take(self, count):
        if len(self.rest) < count:
            raise Refused("too short")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def version(self):
        if self.take(1) != b"\x01":
            raise Refused("unknown version")

    def finish(self):
        if self.rest:
            raise Refused("trailing bytes")


def ed_field(key):
    try:
        return ed_check(key)
    except Refused:
        raise Refused("bad key") from None


def x_field(key):
    try:
        return x_check(key)
    except Refused:
        raise Refused("bad key") from None


def attempt(check, outputs):
    """The outputs, and whether `check` accepted."""
    try:
        outputs.update(check() or {})
        outputs["accepted"] = True
    except Refused as reason:
        outputs["accepted"] = False
        outputs["refused"] = str(reason)
    return outputs
