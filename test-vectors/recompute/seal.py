"""Section 6: seal and padding, and the envelope id of section 9."""

from .identity import account_id, certificate_signed, make_certificate, make_record, read_certificate, read_record
from .primitives import (
    Reader, Refused, attempt, change, dh, ed_public, gcm, gcm_open, hkdf, hmac, image_public, image_secret, sha256, u32,
    unhex, verify, x_field, x_public, x_secret,
)

SIZES = (512, 1024, 2304, 4096, 8192, 16384, 32768, 65536)
FRONT = 1 + 32 + 32
# Longer bodies are given by their hash.
SHOWN = 2304


def make_content(given):
    """Sealed content, before padding."""
    seed, commitment = unhex(given["account_seed"]), unhex(given["recovery_commitment"])
    record = make_record(seed, commitment)
    account, identity = account_id(record), ed_public(unhex(given["identity_seed"]))
    certificate = make_certificate(seed, account, given["device"], identity, given["list_version"])
    message = unhex(given["message"]) * given["message_repeated"]
    if given["kind"] == "setup":
        return b"\x01\x01" + account + certificate + record + message
    kind = {"session": b"\x02", "group": b"\x03"}[given["kind"]]
    return b"\x01" + kind + account + certificate + message


def padded(content):
    needed = FRONT + len(content) + 1 + 16
    size = next((size for size in SIZES if size >= needed), None)
    if size is None:
        raise Refused("too long")
    return (content + b"\x80").ljust(size - FRONT - 16, b"\0")


def body_keys(ephemeral, body_key):
    derived = hkdf(ephemeral, body_key, b"Subrosa seal body v1", 76)
    return derived[:32], derived[32:44], derived[44:]


def head_keys(ephemeral, shared, address, identity):
    derived = hkdf(ephemeral, shared, b"Subrosa seal head v1" + address + identity, 44)
    return derived[:32], derived[32:]


def pair_key(seed, peer, sender, receiver):
    """The key of one direction between two devices, for whoever has one of the two seeds; `sender` and `receiver` are
    address and identity key."""
    shared = dh(image_secret(seed), image_public(peer))
    return hkdf(bytes(32), shared, b"Subrosa seal sender v1" + sender + receiver, 32)


def sender_tag(key, wrapped, body):
    return hmac(key, wrapped + sha256(body))[:16]


def envelope_id(address, head, body):
    return sha256(address, head, body)[:16]


def open_envelope(seed, address, head, body, known):
    """Everything before a session is looked for. `known` is the record of the account that the sender claims."""
    if len(head) != 64 or len(body) not in SIZES:
        raise Refused("bad field")
    reader = Reader(body)
    reader.version()
    ephemeral, commitment = reader.take(32), reader.take(32)
    x_field(ephemeral)
    key, nonce = head_keys(ephemeral, dh(image_secret(seed), ephemeral), address, ed_public(seed))
    body_key = gcm_open(key, nonce, b"", head[:48])
    if body_key is None:
        raise Refused("not for this device")
    key, nonce, expected = body_keys(ephemeral, body_key)
    text = gcm_open(key, nonce, body[:FRONT], reader.rest) if commitment == expected else None
    if text is None:
        raise Refused("not for this device")
    text = text.rstrip(b"\0")
    if text[-1:] != b"\x80":
        raise Refused("bad field")
    reader = Reader(text[:-1])
    reader.version()
    kind, account = reader.take(1), reader.take(32)
    if kind not in (b"\x01", b"\x02", b"\x03"):
        raise Refused("bad field")
    certificate = read_certificate(reader)
    if kind == b"\x01":
        record = reader.take(65)
        read_record(record)
        if account_id(record) != account:
            raise Refused("bad field")
    number, identity, _, signature = certificate
    verify(known[1:33], signature, certificate_signed(account_id(known), *certificate[:3]))
    paired = pair_key(seed, identity, account + number + identity, address + ed_public(seed))
    if sender_tag(paired, head[:48], body) != head[48:]:
        raise Refused("not from this sender")
    sender = {"sender_account": account.hex(), "sender_device": int.from_bytes(number, "big"), "pair_key": paired.hex()}
    return {**sender, "message_sha256": sha256(reader.rest).hex()}


def seal(given):
    content = make_content(given["sender"])
    secret, body_key = x_secret(given["ephemeral_secret"]), unhex(given["body_key"])
    ephemeral = x_public(secret)
    key, nonce, commitment = body_keys(ephemeral, body_key)
    front = b"\x01" + ephemeral + change(commitment, given.get("commitment_change", []))
    middle = {"key": key.hex(), "nonce": nonce.hex(), "commitment": commitment.hex(), "content_sha256": sha256(content).hex()}
    middle["heads"], middle["pair_keys"], wrapped_keys, pair_keys = [], [], [], []
    # Whoever seals in another's name has its own identity, not the one of the certificate.
    sender, sealed_by = given["sender"], unhex(given["sender"].get("sealed_by", given["sender"]["identity_seed"]))
    record = make_record(unhex(sender["account_seed"]), unhex(sender["recovery_commitment"]))
    sending = account_id(record) + u32(sender["device"]) + ed_public(sealed_by)
    for target in given["targets"]:
        identity = ed_public(unhex(target["identity_seed"]))
        address = unhex(target["account_id"]) + u32(target["device"])
        keys = head_keys(ephemeral, dh(secret, image_public(identity)), address, identity)
        wrapped_keys.append(gcm(*keys, b"", body_key))
        pair_keys.append(pair_key(sealed_by, identity, sending, address + identity))
        middle["pair_keys"].append(pair_keys[-1].hex())
        middle["heads"].append({"identity_key": identity.hex(), "key": keys[0].hex(), "nonce": keys[1].hex()})

    opening = given["open"]
    target = given["targets"][opening["target"]]
    try:
        text = padded(content)
    except Refused as reason:
        # No body, so nothing for a tag to cover.
        return middle, {"heads": [wrapped.hex() for wrapped in wrapped_keys], "accepted": False, "refused": str(reason)}
    # What only a malicious sealer makes: other content or padding under good tags.
    text = change(text, given.get("content_change", []))
    body = front + gcm(key, nonce, front, text)
    heads = [wrapped + sender_tag(paired, wrapped, body) for wrapped, paired in zip(wrapped_keys, pair_keys)]
    outputs = {"heads": [head.hex() for head in heads], "body_length": len(body), "body_sha256": sha256(body).hex()}
    if len(body) <= SHOWN:
        outputs["body"] = body.hex()

    # Who opens it, as whom, and what happened to it on the way.
    seed = unhex(opening.get("identity_seed", target["identity_seed"]))
    account, device = opening.get("account_id", target["account_id"]), opening.get("device", target["device"])
    address = unhex(account) + u32(device)
    head = heads[opening["target"]]
    head = head[:48] + heads[opening.get("tag_of", opening["target"])][48:]
    head = change(head, opening.get("head_change", []))
    seen = change(body, opening.get("body_change", []))
    opened = {"by": ed_public(seed).hex(), "envelope_id": envelope_id(address, head, seen).hex()}
    outputs["opened"] = attempt(lambda: open_envelope(seed, address, head, seen, record), opened)
    return middle, outputs


def envelope_ids(given):
    address = unhex(given["account_id"]) + u32(given["device"])
    hashed = sha256(address, unhex(given["head"]), unhex(given["body"]))
    return {"sha256": hashed.hex()}, {"envelope_id": hashed[:16].hex()}
