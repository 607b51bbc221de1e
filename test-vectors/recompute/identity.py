"""Sections 2, 3 and 7: recovery key, account, certificates, device lists, prekeys, safety number."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey
from kyber_py.ml_kem import ML_KEM_1024
from mnemonic import Mnemonic

from .primitives import (
    P, Reader, Refused, attempt, change, dh, ed_check, ed_field, ed_public, hkdf, hmac, image_public, len16, sha256, sign,
    u8, u32, u64, unhex, verify, x_check, x_field, x_public, x_secret,
)

WORDS = Mnemonic("english")


# Section 1: keys


def keys(given):
    kind = given["what"]
    if kind == "identity":
        seed = unhex(given["ed25519_seed"])
        public = ed_public(seed)
        ed_check(public)
        return {}, {"ed25519_public": public.hex(), "x25519_image": image_public(public).hex()}
    if kind == "agreement":
        secret, peer = x_secret(given["x25519_secret"]), x_check(unhex(given["x25519_public"]))
        return {}, {"public": x_public(secret).hex(), "shared": dh(secret, peer).hex()}
    if kind == "signature":
        seed, message = unhex(given["ed25519_seed"]), unhex(given["message"])
        public = ed_public(seed)
        signature = change(sign(seed, message), given["change"])
        outputs = {"ed25519_public": public.hex(), "signature": signature.hex()}
        return {}, attempt(lambda: verify(public, signature, message), outputs)
    key = unhex(given["public"])
    number = int.from_bytes(key, "little")
    if kind == "x25519 public key":
        return {"value_modulo_p": "%064x" % (number % P)}, attempt(lambda: x_check(key) and None, {})
    y = number & (2**255 - 1)
    return {"y_modulo_p": "%064x" % (y % P), "sign": number >> 255}, attempt(lambda: ed_check(key) and None, {})


# Section 2


def recovery(given):
    seed = unhex(given["seed"])
    words = WORDS.to_mnemonic(seed).split()
    if "written" not in given:
        public = ed_public(seed)
        outputs = {"public": public.hex(), "commitment": sha256(public).hex()}
        return {}, {"words": " ".join(words), **outputs}
    # Somebody types them: `written` says what is done with the words.
    for step in given["written"]:
        if "swap" in step:
            first, second = step["swap"]
            words[first], words[second] = words[second], words[first]
        elif "word" in step:
            words[step["at"]] = step["word"]
        elif "drop" in step:
            del words[len(words) - step["drop"] :]
        else:
            words = " \n ".join(words).upper().split(" ")
    text = " ".join(words)

    def check():
        read = text.lower().split()
        if len(read) != 24:
            raise Refused("word count")
        if any(word not in WORDS.wordlist for word in read):
            raise Refused("unknown word")
        if not WORDS.check(" ".join(read)):
            raise Refused("checksum")
        return {"seed": bytes(WORDS.to_entropy(" ".join(read))).hex()}

    return {"public": ed_public(seed).hex()}, attempt(check, {"words": text})


def account_id(record):
    return sha256(b"Subrosa account id v1", record[1:33], record[33:65])


def make_record(account_seed, commitment):
    return b"\x01" + ed_public(account_seed) + commitment


def read_record(given):
    reader = Reader(given)
    reader.version()
    key, _ = reader.take(32), reader.take(32)
    reader.finish()
    ed_field(key)


def account(given):
    if "record" in given:
        record = change(unhex(given["record"]), given["change"])
        middle = {"unchanged_sha256": sha256(unhex(given["record"])).hex()}
        return middle, attempt(lambda: read_record(record), {"bytes": record.hex()})
    record = make_record(unhex(given["account_seed"]), unhex(given["recovery_commitment"]))
    return {"account_key": record[1:33].hex()}, {"record": record.hex(), "account_id": account_id(record).hex()}


def certificate_signed(account, number, identity, version):
    return b"Subrosa device certificate v1" + account + number + identity + version


def make_certificate(account_seed, account, device, identity, version):
    number, version = u32(device), u32(version)
    signature = sign(account_seed, certificate_signed(account, number, identity, version))
    return number + identity + version + signature


def read_certificate(reader):
    number, identity, version, signature = (reader.take(count) for count in (4, 32, 4, 64))
    if number == bytes(4) or version == bytes(4):
        raise Refused("bad field")
    ed_field(identity)
    return number, identity, version, signature


def certificates(given):
    record = make_record(unhex(given["account_seed"]), unhex(given["recovery_commitment"]))
    account = account_id(record)
    if "certificate" in given:
        # The record belongs to whoever the receiver believes to be the sender.
        cert = change(unhex(given["certificate"]), given["change"])

        def check():
            reader = Reader(cert)
            parts = read_certificate(reader)
            reader.finish()
            verify(record[1:33], parts[3], certificate_signed(account, *parts[:3]))

        middle = {"account_id": account.hex(), "unchanged_sha256": sha256(unhex(given["certificate"])).hex()}
        return middle, attempt(check, {"bytes": cert.hex()})
    identity = ed_public(unhex(given["identity_seed"]))
    cert = make_certificate(
        unhex(given["account_seed"]), account, given["device"], identity, given["list_version"]
    )
    signed = certificate_signed(account, cert[:4], identity, cert[36:40])
    return {"account_id": account.hex(), "signed": signed.hex()}, {"certificate": cert.hex()}


def read_list(given):
    """What a device list says, without who signed it: (account, version, highest, certificates, signature)."""
    reader = Reader(given)
    reader.version()
    account, version, _, highest, count = (reader.take(32), *(reader.number(size) for size in (4, 8, 4, 1)))
    if version == 0 or not 1 <= count <= 5:
        raise Refused("bad field")
    devices = [read_certificate(reader) for _ in range(count)]
    signature = reader.take(64)
    reader.finish()
    return account, version, highest, devices, signature


def check_list(record, given):
    account, version, highest, devices, signature = read_list(given)
    if account != account_id(record):
        raise Refused("other account")
    numbers = [device[0] for device in devices]
    distinct = len(set(device[1] for device in devices)) == len(devices)
    newest = max(int.from_bytes(device[2], "big") for device in devices)
    above = int.from_bytes(numbers[-1], "big") > highest
    if numbers != sorted(set(numbers)) or not distinct or newest > version or above:
        raise Refused("inconsistent")
    verify(record[1:33], signature, b"Subrosa device list v1", given[:-64])
    for device in devices:
        verify(record[1:33], device[3], certificate_signed(account, *device[:3]))


def make_list(seed, account, version, issued_ms, highest, devices):
    """Of devices (number, seed of the identity, list version)."""
    made = b"\x01" + account + u32(version) + u64(issued_ms) + u32(highest) + u8(len(devices))
    for number, identity_seed, list_version in devices:
        made += make_certificate(seed, account, number, ed_public(identity_seed), list_version)
    return made + sign(seed, b"Subrosa device list v1", made)


def list_relation(known, seen):
    """How a list stands to the known one."""
    (_, known_version, known_highest, *_), (_, version, highest, *_) = read_list(known), read_list(seen)
    # Number and identity key of each device.
    held, listed = ([device[:2] for device in read_list(one)[3]] for one in (known, seen))
    reused = [one for one in listed if one not in held and int.from_bytes(one[0], "big") <= known_highest]
    if version == known_version:
        return "same" if known == seen else "conflict"
    if version < known_version:
        return "older"
    return "number reused" if reused or highest < known_highest else "newer"


def device_lists(given):
    seed = unhex(given["account_seed"])
    record = make_record(seed, unhex(given["recovery_commitment"]))
    account = account_id(record)
    if "known" in given:
        known, seen = unhex(given["known"]), unhex(given["list"])
        check_list(record, known)
        check_list(record, seen)
        return {"account_id": account.hex()}, {"known_hash": sha256(known).hex(), "hash": sha256(seen).hex(), "relation": list_relation(known, seen)}
    if "list" in given:
        seen = change(unhex(given["list"]), given["change"])
        if given["signed_again"]:
            # Its own account makes a list that contradicts itself.
            seen = seen[:-64] + sign(seed, b"Subrosa device list v1", seen[:-64])
        middle = {"account_id": account.hex(), "unchanged_sha256": sha256(unhex(given["list"])).hex()}
        return middle, attempt(lambda: check_list(record, seen), {"bytes": seen.hex()})
    devices = [(one["device"], unhex(one["identity_seed"]), one["list_version"]) for one in given["devices"]]
    made = make_list(seed, account, given["version"], given["issued_ms"], given["highest"], devices)
    check_list(record, made)
    return {"account_id": account.hex()}, {"list": made.hex(), "hash": sha256(made).hex()}


# Section 3


def kem_public(seed):
    return MLKEM1024PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def zero_secret(seed):
    """Only implicit rejection uses the second half of a seed: this shows that it is the same."""
    return MLKEM1024PrivateKey.from_seed_bytes(seed).decapsulate(bytes(1568))


def kem_encapsulate(public, randomness):
    """ML-KEM.Encaps_internal of FIPS 203. (secret, ciphertext)"""
    return ML_KEM_1024._encaps_internal(public, randomness)


def kem_check(public):
    """FIPS 203, section 7.2: every 12-bit coefficient is below q."""
    for at in range(0, 1536, 3):
        low, middle, high = public[at : at + 3]
        if low | (middle & 15) << 8 >= 3329 or middle >> 4 | high << 4 >= 3329:
            raise Refused("bad key")


def kem(given):
    """Key and encapsulation by one implementation, decapsulation by another, also of a wrong ciphertext."""
    seed, randomness = unhex(given["seed"]), unhex(given["randomness"])
    public = kem_public(seed)
    secret, ciphertext = kem_encapsulate(public, randomness)
    key = MLKEM1024PrivateKey.from_seed_bytes(seed)
    if key.decapsulate(ciphertext) != secret or ML_KEM_1024.key_derive(seed)[0] != public:
        raise ValueError("the two ML-KEM packages differ")
    wrong = change(ciphertext, given["change"])
    # Implicit rejection: J(z ‖ c).
    rejected = hashlib.shake_256(seed[32:] + wrong).digest(32)
    if key.decapsulate(wrong) != rejected:
        raise ValueError("implicit rejection")
    outputs = {"encapsulation_key": public.hex(), "ciphertext": ciphertext.hex(), "secret": secret.hex()}
    return {}, {**outputs, "secret_of_changed_ciphertext": rejected.hex()}


EC_TYPE, USES = b"\x01", {"one-time": b"\x02", "last-resort": b"\x03"}


def signed_prekey(seed, number, public):
    return u32(number) + public + sign(seed, b"Subrosa signed prekey v1", EC_TYPE, u32(number), public)


def kem_prekey(seed, use, number, public):
    return u32(number) + public + sign(seed, b"Subrosa KEM prekey v1", USES[use], u32(number), public)


def prekeys(given):
    seed, what = unhex(given["identity_seed"]), given["what"]
    middle = {"identity_key": ed_public(seed).hex()}
    if what == "bundle":
        # The parts are made as below, changed, if told so signed again, and read by an initiator.
        ec = signed_prekey(seed, given["signed_id"], x_public(x_secret(given["signed_secret"])))
        one_time = u32(given["one_time_id"]) + x_public(x_secret(given["one_time_secret"]))
        key = kem_prekey(seed, given["made_for"], given["kem_id"], kem_public(unhex(given["kem_seed"])))
        middle["unchanged_sha256"] = sha256(ec, one_time, key).hex()
        ec, one_time, key = change(ec, given["signed"]), change(one_time, given["one_time"]), change(key, given["kem"])
        signer = unhex(given["signed_again_by"]) if "signed_again_by" in given else None
        if signer:
            ec = ec[:36] + sign(signer, b"Subrosa signed prekey v1", EC_TYPE, ec[:36])
            key = key[:1572] + sign(signer, b"Subrosa KEM prekey v1", USES[given["made_for"]], key[:1572])

        def check():
            for part, size in ((ec, 100), (one_time, 36), (key, 1636)):
                reader = Reader(part)
                reader.take(size)
                reader.finish()
            try:
                verify(ed_public(seed), ec[36:], b"Subrosa signed prekey v1", EC_TYPE, ec[:36])
            except Refused:
                raise Refused("bad prekey signature") from None
            x_field(ec[4:36])
            x_field(one_time[4:36])
            try:
                verify(ed_public(seed), key[1572:], b"Subrosa KEM prekey v1", USES[given["served_as"]], key[:1572])
            except Refused:
                raise Refused("bad KEM signature") from None
            kem_check(key[4:1572])

        middle["secret_of_zero_ciphertext"] = zero_secret(unhex(given["kem_seed"])).hex()
        return middle, attempt(check, {"signed": ec.hex(), "one_time": one_time.hex(), "kem": key.hex()})
    if what == "KEM prekey":
        public, zero = kem_public(unhex(given["kem_seed"])), zero_secret(unhex(given["kem_seed"]))
        made = kem_prekey(seed, given["use"], given["id"], public)
        return {**middle, "secret_of_zero_ciphertext": zero.hex()}, {"prekey": made.hex()}
    public = x_public(x_secret(given["secret"]))
    if what == "one-time prekey":
        return middle, {"prekey": (u32(given["id"]) + public).hex()}
    return middle, {"prekey": signed_prekey(seed, given["id"], public).hex()}


# Section 7


def fingerprint(record):
    key = record[1:33]
    value = hashlib.sha512(b"\0\0" + key + account_id(record) + key).digest()
    for _ in range(5199):
        value = hashlib.sha512(value + key).digest()
    return value


def digits(value):
    return "".join("%05d" % (int.from_bytes(value[at : at + 5], "big") % 100000) for at in range(0, 30, 5))


def safety_number(given):
    records = [
        make_record(unhex(given[side]["account_seed"]), unhex(given[side]["recovery_commitment"])) for side in ("a", "b")
    ]
    last = [fingerprint(record) for record in records]
    middle = {"last_hash_a": last[0].hex(), "last_hash_b": last[1].hex()}
    low, high = sorted(last, key=lambda value: (digits(value), value))
    return middle, {"digits": digits(low) + digits(high), "qr": (b"\x01" + low[:32] + high[:32]).hex()}


# Sections 2 and 14: what a relay verifies


def optional(value):
    return b"\0" if value is None else b"\x01" + unhex(value)


def relay_proofs(given):
    seed = unhex(given["identity_seed"])
    relay = len16(given["authority"].encode()) + optional(given["pin"])
    if given["what"] == "auth":
        signed = b"Subrosa relay auth v1" + relay + optional(given["exporter"]) + unhex(given["nonce"])
        signed += unhex(given["account_id"]) + u32(given["device"]) + bytes([given["take_over"], len(given["shown"])])
        signed += b"".join(map(unhex, given["shown"])) + unhex(given["mark"])
    else:
        signed = b"Subrosa registration v1" + relay + len16(given["handle"].encode())
        signed += unhex(given["account_id"]) + unhex(given["device_list_hash"])
    middle = {"identity_key": ed_public(seed).hex(), "signed": signed.hex()}
    return middle, {"signature": sign(seed, signed).hex()}


# Section 14: what a contact link's secret makes


def link_secret(given):
    secret, inviter = unhex(given["secret"]), unhex(given["inviter"])
    token = hkdf(bytes(32), secret, b"Subrosa link token v1" + inviter, 16)
    proof_key = hkdf(bytes(32), secret, b"Subrosa link proof v1" + inviter, 32)
    proof = hmac(proof_key, unhex(given["joiner"]) + inviter)

    # The inviter computes it for the account that shows it.
    expected, shown = hmac(proof_key, unhex(given["shown_by"]) + inviter), change(proof, given["change"])

    def check():
        if shown != expected:
            raise Refused("wrong proof")

    middle = {"proof_key": proof_key.hex(), "expected": expected.hex()}
    return middle, attempt(check, {"token": token.hex(), "proof": proof.hex(), "shown": shown.hex()})


# Section 15


def message_ids(given):
    smaller, larger = sorted((unhex(given["one"]), unhex(given["other"])))
    conversation = sha256(b"Subrosa chat id v1" + smaller + larger)
    message = sha256(b"Subrosa message id v1" + conversation + unhex(given[given["author"]]) + unhex(given["random"]))
    return {}, {"conversation": conversation.hex(), "message_id": message[:16].hex()}
