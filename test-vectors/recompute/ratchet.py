"""Section 5: the key schedule, and whole conversations by Syndace's Double Ratchet."""

from doubleratchet import AEAD, AuthenticationFailedException, DoubleRatchet, EncryptedMessage, Header
from doubleratchet.recommended import diffie_hellman_ratchet_curve25519, kdf_hkdf, kdf_separate_hmacs
from doubleratchet.recommended.crypto_provider import HashFunction

from .primitives import (
    Refused, change, dh, finished, gcm, gcm_open, hkdf, hmac, sha256, u32, unhex, x_check, x_public, x_secret,
)
from .session import Agreed

SKIP_LIMIT = 2000


def key_schedule(given):
    if given["what"] == "root step":
        secret, peer = x_secret(given["ratchet_secret"]), x_check(unhex(given["peer_ratchet_key"]))
        output = hkdf(unhex(given["root"]), dh(secret, peer), b"Subrosa root v1", 64)
        return {"dh": dh(secret, peer).hex()}, {"root": output[:32].hex(), "chain": output[32:].hex()}
    chain, keys = unhex(given["chain"]), []
    for _ in range(given["steps"]):
        keys.append(hmac(chain, b"\x01"))
        chain = hmac(chain, b"\x02")
    middle = {"message_keys": [key.hex() for key in keys], "chain": chain.hex()}
    derived = hkdf(unhex(given["salt"]), keys[-1], b"Subrosa message v1", 44)
    middle.update(key=derived[:32].hex(), nonce=derived[32:].hex())
    sealed = gcm(derived[:32], derived[32:], unhex(given["associated_data"]), unhex(given["plaintext"]))
    return middle, {"ciphertext": sealed.hex()}


# Syndace's Double Ratchet, set to this protocol


class RootKdf(kdf_hkdf.KDF):
    @staticmethod
    def _get_hash_function():
        return HashFunction.SHA_256

    @staticmethod
    def _get_info():
        return b"Subrosa root v1"


class ChainKdf(kdf_separate_hmacs.KDF):
    @staticmethod
    def _get_hash_function():
        return HashFunction.SHA_256


# Syndace takes the next chain key from the first byte and the message key from the second.
CHAIN_CONSTANT = b"\x02\x01"


class Salted(AEAD):
    """salt (16) ‖ AES-256-GCM, key and nonce from message key and salt."""

    salt = b""

    @staticmethod
    async def encrypt(plaintext, key, associated_data):
        derived = hkdf(Salted.salt, key, b"Subrosa message v1", 44)
        return Salted.salt + gcm(derived[:32], derived[32:], associated_data, plaintext)

    @staticmethod
    async def decrypt(ciphertext, key, associated_data):
        derived = hkdf(ciphertext[:16], key, b"Subrosa message v1", 44)
        text = gcm_open(derived[:32], derived[32:], associated_data, ciphertext[16:])
        if text is None:
            raise AuthenticationFailedException()
        return text


class Ratchet(diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet):
    """Takes its secrets from the party whose turn it is. Syndace makes a secret when the peer's key arrives, this
    protocol when it sends: the same secrets in the same order."""

    party = None

    @staticmethod
    def _generate_priv():
        party = Ratchet.party
        # After the last send nothing asks for the secret any more.
        return party.secrets[party.used] if party.used < len(party.secrets) else b"\0" * 31 + b"\x40"


def encode_header(header):
    return b"\x01" + header.ratchet_pub + u32(header.previous_sending_chain_length) + u32(header.sending_chain_length)


class Session(DoubleRatchet):
    @staticmethod
    def _build_associated_data(associated_data, header):
        # The set-up header, if there is one, comes after AD (202 bytes) and header.
        return associated_data[:202] + encode_header(header) + associated_data[202:]


SETTINGS = dict(
    diffie_hellman_ratchet_class=Ratchet,
    root_chain_kdf=RootKdf,
    message_chain_kdf=ChainKdf,
    message_chain_constant=CHAIN_CONSTANT,
    dos_protection_threshold=SKIP_LIMIT,
    max_num_skipped_message_keys=SKIP_LIMIT,
    aead=Salted,
)


class Party:
    def __init__(self, agreed, initiator, secrets):
        self.agreed, self.initiator = agreed, initiator
        self.secrets, self.used = [x_secret(secret) for secret in secrets], 0
        self.session, self.answered = None, not initiator
        # What the rules of section 5 need to name a refusal: the last five chains of the peer (the current one last),
        # the next number of the current one, and whether the peer's newest key was not answered yet.
        self.chains, self.next, self.unanswered = [], 0, False

    def own_secret(self):
        return None if self.session is None else self.session.model.diffie_hellman_ratchet.own_ratchet_priv

    def send(self, text, salt):
        Ratchet.party, Salted.salt = self, salt
        aad = self.agreed.associated_data + (b"" if self.answered else self.agreed.header)
        if self.session is None:
            self.session, sent = finished(
                Session.encrypt_initial_message(
                    **SETTINGS,
                    shared_secret=self.agreed.shared,
                    recipient_ratchet_pub=x_public(self.agreed.prekey),
                    message=text,
                    associated_data=aad,
                )
            )
            self.used += 1
        else:
            sent = finished(self.session.encrypt_message(text, aad))
        if self.used > len(self.secrets):
            raise ValueError("the vector gives too few ratchet secrets")
        self.unanswered = False
        kind = "session" if self.answered else "setup"
        return kind, encode_header(sent.header) + sent.ciphertext

    def receive(self, setup, message):
        """The text, or raises. `setup` is the set-up header that came with it, or nothing."""
        Ratchet.party = self
        header = Header(message[1:33], int.from_bytes(message[33:37], "big"), int.from_bytes(message[37:41], "big"))
        parsed, aad = EncryptedMessage(header, message[41:]), self.agreed.associated_data + setup
        before = self.own_secret()
        if self.session is None:
            self.session, text = finished(
                Session.decrypt_initial_message(
                    **SETTINGS,
                    shared_secret=self.agreed.shared,
                    own_ratchet_priv=self.agreed.prekey,
                    message=parsed,
                    associated_data=aad,
                )
            )
        else:
            text = finished(self.session.decrypt_message(parsed, aad))
        if before is None or self.own_secret() != before:
            self.used += 1
        self.answered = True
        return text


def refusal(party, setup, message):
    """The rules of sections 4 and 5 that come before the tag, or None. The rest is Syndace's decision."""
    if len(message) < 41 + 16 + 16:
        return "too short"
    if setup and party.session is not None and sha256(setup[1:33]) != party.agreed.session_id:
        return "other session"
    if message[:1] != b"\x01":
        return "unknown version"
    key, pn, n = message[1:33], int.from_bytes(message[33:37], "big"), int.from_bytes(message[37:41], "big")
    if key in party.chains:
        if key == party.chains[-1] and n >= party.next:
            return "jump too far" if n - party.next > SKIP_LIMIT else None
        stored = {(one.ratchet_pub, one.index) for one in party.session.model.skipped_message_keys}
        return None if (key, n) in stored else "key gone"
    if party.unanswered or pn < party.next or (not party.chains and pn != 0):
        return "bad header"
    if pn - party.next + n > SKIP_LIMIT:
        return "jump too far"
    try:
        x_check(key)
    except Refused:
        return "bad header"
    return None


def outcome(party, setup, message):
    """What the receiver makes of a message."""
    reason = refusal(party, setup, message)
    if reason is None:
        try:
            text = party.receive(setup, message)
        except AuthenticationFailedException:
            reason = "forged"
    if reason is not None:
        return {"accepted": False, "refused": reason}
    key, n = message[1:33], int.from_bytes(message[37:41], "big")
    if key not in party.chains:
        party.chains, party.next, party.unanswered = [*party.chains, key][-5:], 0, True
    if key == party.chains[-1]:
        party.next = max(party.next, n + 1)
    return {"accepted": True, "text": text.hex()}


def conversation(given):
    agreed = Agreed(given["setup"])
    parties = {"a": Party(agreed, True, given["ratchet_secrets"]["a"])}
    parties["b"] = Party(agreed, False, given["ratchet_secrets"]["b"])
    sent, results = [], []
    for step in given["steps"]:
        if "send" in step:
            kind, message = parties[step["send"]].send(unhex(step["text"]), unhex(step["salt"]))
            sent.append((step["send"], kind, message))
            results.append({"kind": kind, "message": message.hex()})
        elif "lose" in step:
            # Messages that nobody will ever see: their texts and salts do not matter.
            for _ in range(step["count"]):
                parties[step["lose"]].send(b"", bytes(16))
            results.append({"lost": step["count"]})
        else:
            sender, kind, message = sent[step["deliver"]]
            setup = agreed.header if kind == "setup" else b""
            whole = change(setup + message, step.get("change", []))
            setup, message = whole[: len(setup)], whole[len(setup) :]
            result = outcome(parties["b" if sender == "a" else "a"], setup, message)
            results.append({"delivered_sha256": sha256(whole).hex(), **result})
    unused = [name for name, party in parties.items() if party.used < len(party.secrets)]
    if unused:
        raise ValueError("a ratchet secret of the vector is not used")
    middle = {"shared": agreed.shared.hex(), "secret_of_zero_ciphertext": agreed.kem_rejection.hex()}
    return middle, {"setup_header": agreed.header.hex(), "steps": results}
