"""Which construction is recomputed by what."""

from . import identity, membership, ratchet, seal, sender_key, session, wire

INDEPENDENT = "independent implementation"
AGAIN = "re-implemented from protocol.md"

# file name -> (title, section of docs/protocol.md, function, kind, by what)
CONSTRUCTIONS = {
    "keys": ("Keys, agreements, signatures", "1", identity.keys, INDEPENDENT, "cryptography, XEdDSA"),
    "recovery-words": ("Recovery key and its words", "2", identity.recovery, INDEPENDENT, "mnemonic, cryptography"),
    "account": ("Account record and id", "2", identity.account, AGAIN, "cryptography"),
    "device-certificate": ("Device certificate", "2", identity.certificates, AGAIN, "cryptography"),
    "device-list": ("Device list", "2", identity.device_lists, AGAIN, "cryptography"),
    "prekeys": ("Prekeys and bundles", "3", identity.prekeys, AGAIN, "cryptography"),
    "ml-kem-1024": ("ML-KEM-1024", "4", identity.kem, INDEPENDENT, "kyber-py, cryptography"),
    "x3dh": ("X3DH", "4", session.plain, INDEPENDENT, "X3DH, XEdDSA"),
    "pqxdh": ("X3DH with ML-KEM-1024, AD, set-up header", "4", session.hybrid, AGAIN, "cryptography, kyber-py"),
    "key-schedule": ("Root step, chain step, salt, message key", "5", ratchet.key_schedule, AGAIN, "cryptography"),
    "double-ratchet": ("Conversations: set-up and Double Ratchet", "4, 5", ratchet.conversation, INDEPENDENT, "DoubleRatchet"),
    "seal": ("Seal and padding", "6", seal.seal, AGAIN, "cryptography"),
    "sender-key": ("Chains, handovers and messages of groups", "19", sender_key.conversation, AGAIN, "cryptography"),
    "safety-number": ("Safety number", "7", identity.safety_number, AGAIN, "cryptography"),
    "frames": ("Frames and HTTPS messages", "8, 9, 10", wire.frames, AGAIN, "nothing"),
    "envelope-id": ("Envelope id", "9", seal.envelope_ids, AGAIN, "hashlib"),
    "contact-link": ("Contact link", "13", wire.contact_link, AGAIN, "hashlib"),
    "capabilities": ("Capabilities", "14", wire.capabilities, AGAIN, "hashlib"),
    "relay-link": ("Relay link", "13", wire.relay_link, AGAIN, "hashlib"),
    "link-secret": ("Token and proof of a contact link", "14", identity.link_secret, AGAIN, "cryptography"),
    "message-id": ("Conversation and message ids", "15", identity.message_ids, AGAIN, "hashlib"),
    "relay-proofs": ("Relay authentication, registration", "2, 14", identity.relay_proofs, AGAIN, "cryptography"),
    "group-change": ("Changes of a group", "18", membership.changes, AGAIN, "cryptography"),
    "membership": ("Who is in a group: sets of changes", "18", membership.membership, AGAIN, "cryptography"),
}


def compute(construction, inputs):
    """What a case must hold besides its name and inputs."""
    middle, outputs = CONSTRUCTIONS[construction][2](inputs)
    return {"intermediate": middle, "outputs": outputs}
