"""Section 19: chains of a group, what is handed over of them, and messages in them."""

import hmac as constant_time

from .primitives import (
    Reader, Refused, attempt, change, ed_field, ed_public, gcm, gcm_open, hkdf, hmac, sha256, sign, u32, unhex, verify,
)

JUMP_LIMIT, SKIP_LIMIT = 2000, 256
LAST = 2**32 - 1


def associated_data(who, generation):
    names = unhex(who["group"]) + unhex(who["account_id"]) + u32(who["device"]) + ed_public(unhex(who["identity_seed"]))
    return b"Subrosa group sender v1" + names + u32(generation)


def signed_parts(data, before):
    return b"Subrosa group message signature v1", data, before


def message_key(chain):
    return hmac(chain, b"\x01")


def next_chain(chain, steps=1):
    for _ in range(steps):
        chain = hmac(chain, b"\x02")
    return chain


def cipher(key, salt):
    derived = hkdf(salt, key, b"Subrosa group message v1", 44)
    return derived[:32], derived[32:]


class Sender:
    """A sending chain."""

    def __init__(self, given):
        self.chain, self.seed, self.generation = unhex(given["chain_key"]), unhex(given["seed"]), given["generation"]
        self.next = given["number"]

    def handover(self):
        return b"\x01" + u32(self.generation) + u32(self.next) + self.chain + ed_public(self.seed)

    def send(self, who, text, salt):
        data = associated_data(who, self.generation)
        header = b"\x01" + ed_public(self.seed) + u32(self.next)
        key = message_key(self.chain)
        before = header + salt + gcm(*cipher(key, salt), data + header, text)
        self.lose(1)
        return key, before + sign(self.seed, *signed_parts(data, before))

    def lose(self, count):
        self.chain, self.next = next_chain(self.chain, count), self.next + count


def read_handover(given):
    """Generation, number, chain key, chain id."""
    reader = Reader(given)
    reader.version()
    generation = reader.number(4)
    if generation == 0:
        raise Refused("bad field")
    number, chain, chain_id = reader.number(4), reader.take(32), reader.take(32)
    reader.finish()
    ed_field(chain_id)
    return generation, number, chain, chain_id


class Receiver:
    """A chain that was handed over."""

    def __init__(self, handover):
        self.generation, self.next, self.chain, self.id = read_handover(handover)
        self.skipped = {}

    def again(self, handover):
        generation, number, chain, chain_id = read_handover(handover)
        if chain_id != self.id:
            raise Refused("other chain")
        if generation != self.generation:
            raise Refused("other generation")
        if abs(number - self.next) > JUMP_LIMIT:
            raise Refused("too far")
        front = max(number, self.next)
        ours, theirs = next_chain(self.chain, front - self.next), next_chain(chain, front - number)
        if not constant_time.compare_digest(ours, theirs):
            raise Refused("other key")

    def receive(self, who, message):
        if len(message) < 37 + 16 + 16 + 64:
            raise Refused("too short")
        before, signature = message[:-64], message[-64:]
        reader = Reader(before)
        reader.version()
        chain_id, number = reader.take(32), reader.number(4)
        if number == LAST:
            raise Refused("bad field")
        if chain_id != self.id:
            raise Refused("other chain")
        data = associated_data(who, self.generation)
        verify(self.id, signature, *signed_parts(data, before))
        header, salt, sealed = before[:37], before[37:53], before[53:]
        if number < self.next:
            if number not in self.skipped:
                raise Refused("key gone")
            text = gcm_open(*cipher(self.skipped[number], salt), data + header, sealed)
            if text is None:
                raise Refused("forged")
            del self.skipped[number]
        else:
            if number - self.next > JUMP_LIMIT:
                raise Refused("jump too far")
            chain, skipped = self.chain, dict(self.skipped)
            for at in range(self.next, number):
                skipped[at], chain = message_key(chain), next_chain(chain)
            text = gcm_open(*cipher(message_key(chain), salt), data + header, sealed)
            if text is None:
                raise Refused("forged")
            self.chain, self.next = next_chain(chain), number + 1
            # The oldest go first. Numbers only rise, so the order of coming is that of the numbers.
            self.skipped = dict(list(skipped.items())[-SKIP_LIMIT:])
        return {"text": text.hex()}


def conversation(given):
    sender, who = Sender(given["chain"]), given["sender"]
    middle = {"associated_data": associated_data(who, sender.generation).hex(), "chain_id": ed_public(sender.seed).hex()}
    middle["message_keys"] = []
    sent, handovers, receivers, results = [], [], [], []
    for step in given["steps"]:
        if "send" in step:
            key, message = sender.send(who, unhex(step["send"]), unhex(step["salt"]))
            sent.append(message)
            middle["message_keys"].append(key.hex())
            results.append({"message": message.hex()})
        elif "lose" in step:
            # Messages that nobody will ever see: their texts and salts do not matter.
            sender.lose(step["lose"])
            results.append({"lost": step["lose"]})
        elif "hand_over" in step:
            handovers.append(sender.handover())
            seen = change(handovers[-1], step["hand_over"])
            results.append(attempt(lambda: receivers.append(Receiver(seen)), {"handover": seen.hex()}))
        elif "again" in step:
            seen = change(handovers[step["again"]], step["change"])
            result = {"handover": seen.hex(), "to": step["to"]}
            results.append(attempt(lambda: receivers[step["to"]].again(seen), result))
        else:
            seen = change(sent[step["deliver"]], step.get("change", []))
            claimed = step.get("as", who)
            if "signed_with" in step:
                # By somebody who reads the chain, or by its owner who is malicious.
                data = associated_data(claimed, sender.generation)
                seen = seen[:-64] + sign(unhex(step["signed_with"]), *signed_parts(data, seen[:-64]))
            receiver = receivers[step["to"]]
            hashed = sha256(associated_data(claimed, receiver.generation), seen)
            result = {"seen_sha256": hashed.hex(), "to": step["to"]}
            results.append(attempt(lambda: receiver.receive(claimed, seen), result))
    return middle, {"steps": results}
