"""The inputs of all checked-in cases. Random ones come from a fixed seed, so each run makes the same files."""

from .cases_membership import group_change, membership
from .cases_wire import capabilities, contact_link, envelope_id, frames, link_secret, message_ids, relay_link, relay_proofs
from .primitives import P
from .registry import compute
from .source import Source, flip, put


def made(construction, inputs, output):
    return compute(construction, inputs)["outputs"][output]


def little(number):
    return number.to_bytes(32, "little").hex()


def keys(s):
    for at in range(4):
        yield f"identity {at + 1}", {"what": "identity", "ed25519_seed": s.hex(32)}
    for at in range(4):
        peer = made("keys", {"what": "identity", "ed25519_seed": s.hex(32)}, "x25519_image")
        yield f"agreement {at + 1}", {"what": "agreement", "x25519_secret": s.secret(), "x25519_public": peer}
    for name, how in (("good", []), ("R altered", [flip(3)]), ("S altered", [flip(40, "80")]), ("S not below L", [put(32, "ff" * 32)])):
        given = {"what": "signature", "ed25519_seed": s.hex(32), "message": s.hex(40), "change": how}
        yield f"signature: {name}", given
    low = [0, 1, 325606250916557431795983626356110631294008115727848805560023387167927233504]
    low += [39382357235489614581723060781553021112529911719440698176882885853963445705823, P - 1]
    for number in low:
        yield f"x25519: small order {number % 1000}", {"what": "x25519 public key", "public": little(number)}
    for number in (P, P + 1, P + 9, 2**255 - 1, 2**255 + 9, 2**256 - 1):
        yield f"x25519: not canonical {number % 1000}", {"what": "x25519 public key", "public": little(number)}
    for number in (2, 9, P - 2):
        yield f"x25519: canonical {number % 1000}", {"what": "x25519 public key", "public": little(number)}
    # The eight points of small order: identity, order 2, order 4 (twice), order 8 (four).
    eight = P - int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
    for name, number in (
        ("identity", 1), ("order 2", P - 1), ("order 4", 0), ("order 4, negative", 2**255), ("order 8", eight),
        ("order 8, negative", eight + 2**255), ("order 8, other", P - eight), ("order 8, other negative", P - eight + 2**255),
    ):  # fmt: skip
        yield f"ed25519: {name}", {"what": "ed25519 public key", "public": little(number)}
    for name, number in (
        ("y = p", P), ("y = p + 1", P + 1), ("y = 2^255 - 1", 2**255 - 1), ("x = 0 with sign", 1 + 2**255), ("no point", 2),
    ):  # fmt: skip
        yield f"ed25519: not canonical, {name}", {"what": "ed25519 public key", "public": little(number)}
    good = made("keys", {"what": "identity", "ed25519_seed": s.hex(32)}, "ed25519_public")
    yield "ed25519: good", {"what": "ed25519 public key", "public": good}


def recovery_words(s):
    for seed in (s.hex(32), s.hex(32), "00" * 32, "ff" * 32):
        yield f"words of {seed[:4]}", {"seed": seed}
    for name, written in (
        ("as shown", []), ("upper case and other spaces", [{"spaced": True}]), ("two words swapped", [{"swap": [3, 9]}]),
        ("another word of the list", [{"at": 0, "word": "zoo"}, {"at": 1, "word": "zoo"}, {"at": 2, "word": "abandon"}]),
        ("a word that is none", [{"at": 5, "word": "subrosa"}]), ("23 words", [{"drop": 1}]), ("12 words", [{"drop": 12}]),
    ):  # fmt: skip
        yield f"typed: {name}", {"seed": s.hex(32), "written": written}


def account(s):
    base = {"account_seed": s.hex(32), "recovery_commitment": s.hex(32)}
    yield "record", base
    for at in range(3):
        yield f"record {at + 2}", {"account_seed": s.hex(32), "recovery_commitment": s.hex(32)}
    record = made("account", base, "record")
    for name, how in (
        ("as made", []), ("version 0", [put(0, "00")]), ("version 2", [put(0, "02")]), ("cut", [{"cut": 1}]),
        ("empty", [{"cut": 65}]), ("a byte more", [{"append": "00"}]), ("key of small order", [put(1, "01" + "00" * 31)]),
        ("key not canonical", [put(1, "ff" * 32)]), ("other commitment: another account, but well formed", [flip(64)]),
    ):  # fmt: skip
        yield f"read: {name}", {"record": record, "change": how}


def person(s):
    return {"account_seed": s.hex(32), "recovery_commitment": s.hex(32)}


def device_certificate(s):
    one = person(s)
    base = {**one, "device": 1, "identity_seed": s.hex(32), "list_version": 1}
    yield "first device", base
    for device, version in ((2, 3), (2**32 - 1, 2**32 - 1)):
        yield f"device {device}", {**person(s), "device": device, "identity_seed": s.hex(32), "list_version": version}
    certificate = made("device-certificate", base, "certificate")
    for name, how in (
        ("as made", []), ("other number", [put(0, "00000002")]), ("number 0", [put(0, "00000000")]), ("list version 0", [put(36, "00000000")]),
        ("other list version", [flip(39, "02")]), ("other key", [put(4, made("keys", {"what": "identity", "ed25519_seed": s.hex(32)}, "ed25519_public"))]),
        ("key of small order", [put(4, "01" + "00" * 31)]), ("signature altered", [flip(103)]), ("cut", [{"cut": 1}]), ("a byte more", [{"append": "00"}]),
    ):  # fmt: skip
        yield f"read: {name}", {**one, "certificate": certificate, "change": how}
    yield "read: of another account", {**person(s), "certificate": certificate, "change": []}


def device_list(s):
    one = person(s)

    def entry(number, version):
        return {"device": number, "identity_seed": s.hex(32), "list_version": version}

    devices = [entry(1, 1), entry(2, 2), entry(4, 3), entry(5, 3), entry(7, 3)]
    first = {**one, "version": 1, "issued_ms": 1780000000000, "highest": 1, "devices": devices[:1]}
    second = {**one, "version": 2, "issued_ms": 1780000100000, "highest": 2, "devices": devices[:2]}
    full = {**one, "version": 3, "issued_ms": 2**64 - 1, "highest": 2**32 - 1, "devices": devices}
    yield "one device", first
    yield "two devices", second
    yield "five devices", full
    lists = [made("device-list", given, "list") for given in (first, second, full)]
    other = made("device-list", {**second, "issued_ms": 1780000100001}, "list")
    for name, known, seen in (
        ("the same", lists[1], lists[1]), ("newer", lists[0], lists[1]), ("older", lists[2], lists[1]), ("same version, other bytes", lists[1], other),
    ):  # fmt: skip
        yield f"compare: {name}", {**one, "known": known, "list": seen}
    removed = made("device-list", {**first, "version": 3, "highest": 2}, "list")
    third = made("device-list", {**first, "version": 4, "highest": 3, "devices": [devices[0], entry(3, 4)]}, "list")
    again = made("device-list", {**second, "version": 4}, "list")
    in_place = made("device-list", {**second, "version": 3, "devices": [devices[0], entry(2, 3)]}, "list")
    forgotten = made("device-list", {**first, "version": 4}, "list")
    for name, known, seen in (
        ("a device removed", lists[1], removed), ("the next number after a removed device", removed, third), ("a removed device again", removed, again),
        ("another key under a number in use", lists[1], in_place), ("the highest number goes back", removed, forgotten),
    ):  # fmt: skip
        yield f"compare: {name}", {**one, "known": known, "list": seen}
    # Offsets in a list of two: highest at 45, count at 49, certificates at 50 and 154, signature at 258.
    again = bytes.fromhex(lists[1])
    twin, earlier = again[50:154].hex(), (again[154:258] + again[50:154]).hex()
    later = made("device-certificate", {**one, **entry(3, 3)}, "certificate")
    same_key = made("device-certificate", {**one, **devices[0], "device": 2, "list_version": 2}, "certificate")
    stranger = made("device-certificate", {**person(s), **entry(2, 2)}, "certificate")
    for name, how, signed_again in (
        ("as made", [], False), ("version of the layout 2", [put(0, "02")], False), ("list version 0", [flip(36)], True),
        ("list version altered", [put(33, "00000009")], False), ("issued altered", [flip(44)], False), ("no device", [put(49, "00")], False),
        ("six devices claimed", [put(49, "06")], False), ("count too small", [put(49, "01")], False), ("a byte more", [{"append": "00"}], False),
        ("cut", [{"cut": 1}], False), ("list signature altered", [flip(264)], False), ("highest number altered", [flip(46)], False), ("of another account", [flip(1)], True),
        ("certificate signature altered", [flip(144)], True), ("certificate of another account", [put(154, stranger)], True),
        ("certificates not ascending", [put(50, earlier)], True), ("one device twice", [put(154, twin)], True),
        ("one key twice", [put(154, same_key)], True), ("a device newer than its list", [put(154, later)], True),
        ("a device above the highest number", [put(45, "00000001")], True),
    ):  # fmt: skip
        yield f"read: {name}", {**one, "list": lists[1], "change": how, "signed_again": signed_again}


def prekeys(s):
    for at in range(2):
        yield f"signed prekey {at + 1}", {"what": "signed prekey", "identity_seed": s.hex(32), "id": 7 + at, "secret": s.secret()}
    yield "one-time prekey", {"what": "one-time prekey", "identity_seed": s.hex(32), "id": 2**32 - 1, "secret": s.secret()}
    for use in ("one-time", "last-resort"):
        yield f"KEM prekey, {use}", {"what": "KEM prekey", "identity_seed": s.hex(32), "id": 11, "use": use, "kem_seed": s.hex(64)}
    small, wide = "00" * 32, "ff" * 32
    for name, parts in (
        ("as made", {}), ("last-resort key as such", {"made_for": "last-resort", "served_as": "last-resort"}),
        ("last-resort key served as one-time", {"made_for": "last-resort"}), ("one-time key served as last-resort", {"served_as": "last-resort"}),
        ("signature of the signed prekey altered", {"signed": [flip(99)]}), ("id of the signed prekey altered", {"signed": [flip(3)]}),
        ("signed by somebody else", {"signed_again_by": s.hex(32)}), ("KEM signature altered", {"kem": [flip(1635)]}), ("KEM id altered", {"kem": [flip(3)]}),
        ("KEM key altered", {"kem": [flip(1000)]}), ("signed prekey of small order", {"signed": [put(4, small)], "own": True}),
        ("signed prekey not canonical", {"signed": [put(4, wide)], "own": True}), ("one-time key of small order", {"one_time": [put(4, small)]}),
        ("KEM key with a coefficient that is not below q", {"kem": [put(4, "ffffff")], "own": True}), ("signed prekey cut", {"signed": [{"cut": 1}]}),
        ("one-time prekey with a byte more", {"one_time": [{"append": "00"}]}), ("KEM prekey cut", {"kem": [{"cut": 1}]}),
        ("another one-time key: not signed, so accepted here and refused by the responder", {"one_time": [put(4, "09" + "00" * 31)]}),
    ):  # fmt: skip
        given = {"what": "bundle", "identity_seed": s.hex(32), "signed_id": 21, "signed_secret": s.secret(), "one_time_id": 22}
        given |= {"one_time_secret": s.secret(), "kem_id": 23, "kem_seed": s.hex(64), "made_for": "one-time", "served_as": "one-time"}
        given |= {"signed": [], "one_time": [], "kem": []}
        given |= {name: value for name, value in parts.items() if name != "own"}
        if "own" in parts:
            given["signed_again_by"] = given["identity_seed"]
        yield f"bundle: {name}", given


def ml_kem(s):
    for at in range(4):
        yield f"key {at + 1}", {"seed": s.hex(64), "randomness": s.hex(32), "change": [flip(400 * at, "%02x" % (1 << at))]}


def x3dh(s):
    for at in range(6):
        given = {"initiator_seed": s.hex(32), "responder_seed": s.hex(32), "base_secret": s.secret()}
        given["signed_prekey"] = {"id": 100 + at, "secret": s.secret()}
        given["one_time_secret"] = s.secret() if at % 2 else None
        yield f"{'with' if at % 2 else 'without'} one-time prekey {at // 2 + 1}", given


def setup(s, one_time, use):
    responder = {"account_id": s.hex(32), "device": 1 + s.number(5), "identity_seed": s.hex(32)}
    responder["signed_prekey"] = {"id": s.number(2**32), "secret": s.secret()}
    responder["one_time_prekey"] = {"id": s.number(2**32), "secret": s.secret()} if one_time else None
    responder["kem_prekey"] = {"id": s.number(2**32), "use": use, "seed": s.hex(64)}
    initiator = {"account_id": s.hex(32), "device": 1 + s.number(5), "identity_seed": s.hex(32)}
    return {"initiator": initiator, "responder": responder, "base_secret": s.secret(), "kem_randomness": s.hex(32)}


def pqxdh(s):
    for one_time in (True, False):
        for use in ("one-time", "last-resort"):
            base = setup(s, one_time, use)
            yield f"{'with' if one_time else 'without'} one-time EC prekey, {use} KEM prekey", base
    header = made("pqxdh", base, "setup_header")
    # Offsets: base key 1, signed id 33, one-time 37, KEM id 42, use 46, CT 47.
    for name, how in (
        ("as made", []), ("version 2", [put(0, "02")]), ("base key of small order", [put(1, "01" + "00" * 31)]),
        ("base key not canonical", [put(1, "ff" * 32)]), ("presence byte 2", [put(37, "02")]), ("absent, but with an id", [put(37, "0000000001")]),
        ("use of an EC key", [put(46, "01")]), ("unknown use", [put(46, "04")]), ("cut", [{"cut": 1}]),
    ):  # fmt: skip
        yield f"header: {name}", {"setup_header": header, "change": how}


def key_schedule(s):
    for at in range(4):
        peer = made("keys", {"what": "identity", "ed25519_seed": s.hex(32)}, "x25519_image")
        yield f"root step {at + 1}", {"what": "root step", "root": s.hex(32), "ratchet_secret": s.secret(), "peer_ratchet_key": peer}
    for at, (steps, length) in enumerate(((1, 0), (1, 1), (2, 16), (3, 33), (10, 200))):
        given = {"what": "message", "chain": s.hex(32), "steps": steps, "salt": s.hex(16)}
        yield f"message {at + 1}", {**given, "associated_data": s.hex(40), "plaintext": s.hex(length)}


class Script:
    """Writes the steps of a conversation."""

    def __init__(self, s, one_time=True, use="one-time"):
        self.s, self.setup, self.steps, self.sent = s, setup(s, one_time, use), [], 0
        self.secrets, self.fresh = {"a": [], "b": []}, {"a": True, "b": True}

    def turn(self, who):
        if self.fresh[who]:
            self.secrets[who].append(self.s.secret())
            self.fresh[who] = False

    def send(self, who, length=None):
        self.turn(who)
        text = self.s.hex(self.s.number(60) if length is None else length)
        self.steps.append({"send": who, "text": text, "salt": self.s.hex(16)})
        self.sent += 1
        return self.sent - 1

    def lose(self, who, count):
        self.turn(who)
        self.steps.append({"lose": who, "count": count})

    def deliver(self, message, change=None, turns=None):
        """`turns` names the receiver if the message is the first one it reads under a new ratchet key."""
        self.steps.append({"deliver": message} | ({"change": change} if change else {}))
        if turns:
            self.fresh[turns] = True

    def given(self):
        return {"setup": self.setup, "ratchet_secrets": self.secrets, "steps": self.steps}


def double_ratchet(s):
    c = Script(s)
    for _ in range(3):
        first = c.send("a")
        c.deliver(first, turns="b" if first == 0 else None)
    for _ in range(4):
        answer = c.send("b")
        c.deliver(answer, turns="a")
        more = c.send("a")
        c.deliver(more, turns="b")
    yield "turn by turn", c.given()

    c = Script(s, one_time=False, use="last-resort")
    sent = [c.send("a") for _ in range(6)]
    c.deliver(sent[4], turns="b")
    for at in (0, 2, 4, 1, 1, 5, 3, 5):
        c.deliver(sent[at])
    answers = [c.send("b") for _ in range(4)]
    c.deliver(answers[2], turns="a")
    later = [c.send("a") for _ in range(3)]
    c.deliver(later[2], turns="b")
    c.deliver(answers[0])
    again = [c.send("b") for _ in range(2)]
    c.deliver(again[1], turns="a")
    for message in (answers[3], answers[1], later[0], again[0], again[0], later[1], later[1], answers[3]):
        c.deliver(message)
    yield "reordered and repeated, first message last", c.given()

    c = Script(s)
    c.lose("a", 3)
    first = c.send("a")
    c.deliver(first, turns="b")
    c.lose("b", 7)
    answer = c.send("b")
    c.lose("b", 2)
    c.deliver(answer, turns="a")
    second = c.send("a")
    c.deliver(second, turns="b")
    last = c.send("b")
    c.deliver(last, turns="a")
    yield "lost messages in every chain", c.given()

    # Set-up header 1615 bytes, then version 0, ratchet key 1, pn 33, n 37, salt 41, ciphertext 57.
    c = Script(s)
    first = c.send("a", 10)
    for change in ([flip(1615 + 41)], [flip(1615 + 57)], [flip(1615 + 66)], [flip(1615 + 82)], [put(1615, "02")], [{"cut": 11}]):
        c.deliver(first, change=change)
    c.deliver(first, turns="b")
    for change in ([flip(5)], [flip(36)], [flip(46)], [flip(500)], [flip(1615 + 57)]):
        again = c.send("a", 5)
        c.deliver(again, change=change)
        c.deliver(again)
    answer = c.send("b", 20)
    for change in ([flip(32)], [flip(40)], [flip(41)], [flip(56)], [flip(57)], [flip(76)], [flip(92)], [put(0, "02")], [{"cut": 21}], [{"append": "00"}]):
        c.deliver(answer, change=change)
    c.deliver(answer, turns="a")
    yield "altered messages, then the real ones", c.given()

    c = Script(s)
    first = c.send("a")
    c.deliver(first, turns="b")
    c.lose("a", 2000)
    far = c.send("a")
    c.deliver(far)
    c.lose("a", 2001)
    farther = c.send("a")
    c.deliver(farther)
    yield "a jump of 2,000 and one of 2,001", c.given()

    c = Script(s)
    first = c.send("a")
    c.deliver(first, turns="b")
    early = [c.send("a"), c.send("a")]
    c.lose("a", 1500)
    c.deliver(c.send("a"))
    c.deliver(early[1])
    c.lose("a", 1000)
    c.deliver(c.send("a"))
    c.deliver(early[0])
    yield "more than 2,000 skipped keys: the oldest go first", c.given()

    c = Script(s)
    first = c.send("a")
    c.deliver(first, turns="b")
    held = [c.send("a")]
    for _ in range(5):
        answer = c.send("b")
        c.deliver(answer, turns="a")
        held.append(c.send("a"))
        last = c.send("a")
        c.deliver(last, turns="b")
    # b read six chains and remembers five: the message of the first one is like one under an unexpected new key.
    for message in held:
        c.deliver(message)
    answer = c.send("b")
    c.deliver(answer, turns="a")
    yield "five chains are remembered", c.given()

    for at in range(6):
        yield f"random schedule {at + 1}", random_schedule(s, 60, at % 2 == 0, "last-resort" if at % 3 == 0 else "one-time")


def random_schedule(s, length, one_time, use):
    """Messages of both sides with loss, reordering and repeats, as a network would do it."""
    c = Script(s, one_time, use)
    waiting, chains = {"a": [], "b": []}, {"a": 0, "b": 0}
    # Number of the newest chain of the other side that each side has read: decides who makes a new ratchet key.
    # A chain too old to be remembered is another case, above.
    read, begun = {"a": 0, "b": 0}, False
    old = []
    for _ in range(length):
        who = "ab"[s.number(2)]
        other = "b" if who == "a" else "a"
        if s.number(100) < 45 and (who == "a" or begun):
            if c.fresh[who]:
                chains[who] += 1
            message = c.send(who)
            if s.number(100) < 85:
                waiting[other].append((message, chains[who]))
        elif waiting[who]:
            at = s.number(len(waiting[who])) if s.number(2) else 0
            message, chain = waiting[who].pop(at)
            new = chain > read[who]
            if chain < read[who] - 4:
                continue
            c.deliver(message, turns=who if new else None)
            read[who] = max(read[who], chain)
            begun = begun or who == "b"
            old.append(message)
        elif old and s.number(2):
            c.deliver(old[-4:][s.number(min(4, len(old)))])
    return c.given()


def seal(s):
    def sender(kind, message, repeated=1):
        given = {**person(s), "identity_seed": s.hex(32), "device": 1, "list_version": 1, "kind": kind}
        return {**given, "message": message, "message_repeated": repeated}

    def target():
        return {"account_id": s.hex(32), "device": 1 + s.number(5), "identity_seed": s.hex(32)}

    def case(sender, targets=1, opening=None, **more):
        given = {"sender": sender, "targets": [target() for _ in range(targets)], "ephemeral_secret": s.secret()}
        return {**given, "body_key": s.hex(32), "open": {"target": 0} | (opening or {}), **more}

    yield "session message", case(sender("session", s.hex(100)))
    yield "set-up message", case(sender("setup", s.hex(1700)))
    yield "five devices, the last one opens", case(sender("session", s.hex(73)), 5, {"target": 4})
    # A session message leaves size - 220 bytes: at the edge, and one more.
    for size in (512, 1024, 2304):
        yield f"fills {size} bytes", case(sender("session", "5a", size - 220))
        yield f"one byte more than {size} take", case(sender("session", "5a", size - 219))
    yield "fills the largest size", case(sender("session", "5a", 65536 - 220))
    yield "too long by one", case(sender("session", "5a", 65536 - 219))
    for name, opening in (
        ("head altered", {"head_change": [flip(5)]}), ("head cut", {"head_change": [{"cut": 1}]}), ("body altered", {"body_change": [flip(300)]}),
        ("commitment altered", {"body_change": [flip(40)]}), ("E of small order", {"body_change": [put(1, "01" + "00" * 31)]}),
        ("E not canonical", {"body_change": [put(1, "ff" * 32)]}), ("another E", {"body_change": [put(1, "09" + "00" * 31)]}),
        ("version 2", {"body_change": [put(0, "02")]}), ("body of no size", {"body_change": [{"cut": 1}]}),
        ("by another device", {"identity_seed": s.hex(32)}), ("as another account", {"account_id": s.hex(32)}), ("as another device number", {"device": 9}),
        ("tag altered", {"head_change": [flip(48)]}), ("last bit of the tag altered", {"head_change": [flip(63)]}), ("no tag", {"head_change": [{"cut": 16}]}),
    ):  # fmt: skip
        yield f"open: {name}", case(sender("session", s.hex(20)), opening=opening)
    yield "open: tag of another device", case(sender("session", s.hex(20)), 2, {"tag_of": 1})
    for kind in ("session", "setup"):
        yield f"in somebody else's name, {kind} message", case({**sender(kind, s.hex(20)), "sealed_by": s.hex(32)})
    # Offsets in the content: version 0, kind 1, account 2, certificate 34 (key at 38), record 138.
    for name, kind, change in (
        ("commitment to another key", "session", None), ("content version 2", "session", [put(0, "02")]), ("kind 4", "session", [put(1, "04")]),
        ("account id not that of the record", "setup", [flip(2)]), ("certificate key of small order", "session", [put(38, "01" + "00" * 31)]),
        ("device number 0", "session", [put(34, "00000000")]), ("record version 2", "setup", [put(138, "02")]), ("no padding mark", "session", [put(158, "00")]),
        ("zeros followed by a wrong mark", "session", [put(430, "01")]),
        ("certificate not signed by the account", "session", [flip(74)]),
    ):  # fmt: skip
        more = {"commitment_change": [flip(0)]} if change is None else {"content_change": change}
        yield f"made by a malicious sealer: {name}", case(sender(kind, s.hex(20)), **more)
    yield "group message", case(sender("group", s.hex(133)), 2)
    yield "in somebody else's name, group message", case({**sender("group", s.hex(20)), "sealed_by": s.hex(32)})


class Chain:
    """Writes the steps of a sending chain and of those who read it."""

    def __init__(self, s, number=0):
        self.s, self.sent, self.receivers, self.handovers, self.steps = s, 0, 0, 0, []
        self.chain = {"generation": 1 + s.number(9), "number": number, "chain_key": s.hex(32), "seed": s.hex(32)}
        self.sender = {"group": s.hex(32), "account_id": s.hex(32), "device": 1 + s.number(5), "identity_seed": s.hex(32)}

    def send(self, length=None):
        text = self.s.hex(self.s.number(60) if length is None else length)
        self.steps.append({"send": text, "salt": self.s.hex(16)})
        self.sent += 1
        return self.sent - 1

    def lose(self, count):
        self.steps.append({"lose": count})

    def hand_over(self, change=(), refused=False):
        """The receiver's number; none if the handover is refused."""
        self.steps.append({"hand_over": list(change)})
        self.handovers += 1
        self.receivers += not refused
        return None if refused else self.receivers - 1

    def again(self, handover, to, change=()):
        self.steps.append({"again": handover, "to": to, "change": list(change)})

    def deliver(self, message, to=0, **more):
        self.steps.append({"deliver": message, "to": to, **more})

    def given(self):
        return {"chain": self.chain, "sender": self.sender, "steps": self.steps}


def sender_key(s):
    c = Chain(s)
    c.hand_over()
    for length in (40, 0, 1, 200):
        c.deliver(c.send(length))
    yield "the first messages, an empty one among them", c.given()

    c = Chain(s)
    c.hand_over()
    early = [c.send() for _ in range(3)]
    newcomer = c.hand_over()
    late = [c.send() for _ in range(2)]
    for message in early + late:
        c.deliver(message)
        c.deliver(message, newcomer)
    yield "a handover in the middle opens nothing of before", c.given()

    c = Chain(s)
    c.hand_over()
    sent = [c.send() for _ in range(7)]
    for at in (4, 1, 1, 0, 6, 4, 3, 5, 2, 3):
        c.deliver(sent[at])
    yield "skipped, late and repeated", c.given()

    # Version 0, chain id 1, number 33, salt 37, ciphertext 53, tag and signature at the end.
    c = Chain(s)
    c.hand_over()
    first = c.send(20)
    for change in (
        [put(0, "00")], [put(0, "02")], [flip(1)], [flip(32)], [flip(36)], [put(33, "ffffffff")], [flip(37)], [flip(52)], [flip(53)],
        [flip(72)], [flip(73)], [flip(88)], [flip(89)], [flip(120)], [flip(121)], [flip(152, "80")], [put(121, "ff" * 32)],
        [{"cut": 1}], [{"cut": 20}], [{"cut": 21}], [{"cut": 153}], [{"append": "00"}],
    ):  # fmt: skip
        c.deliver(first, change=change)
    c.deliver(first)
    yield "altered messages, then the real one", c.given()

    c = Chain(s)
    c.hand_over()
    first = c.send(20)
    for name in ("group", "account_id", "identity_seed"):
        c.deliver(first, **{"as": {**c.sender, name: s.hex(32)}})
    c.deliver(first, **{"as": {**c.sender, "device": 9}})
    c.deliver(first)
    yield "moved to another group, member or device, then the real one", c.given()

    # Whoever reads the chain has all of it but the key that signs.
    c = Chain(s)
    c.hand_over()
    first = c.send(20)
    c.deliver(first, signed_with=s.hex(32))
    for change in ([flip(37)], [flip(53)], [flip(88)]):
        c.deliver(first, change=change, signed_with=c.chain["seed"])
    c.deliver(first, change=[put(33, "000007d1")], signed_with=c.chain["seed"])
    c.deliver(first, change=[put(33, "00000005")], signed_with=c.chain["seed"])
    c.deliver(first)
    yield "signed by another member; altered and signed by the owner", c.given()

    c = Chain(s)
    c.hand_over()
    c.lose(2000)
    c.deliver(c.send())
    c.lose(2001)
    c.deliver(c.send())
    yield "a jump of 2,000 and one of 2,001", c.given()

    c = Chain(s)
    c.hand_over()
    early = [c.send() for _ in range(3)]
    c.lose(254)
    c.deliver(c.send())
    for message in early:
        c.deliver(message)
    more = [c.send(), c.send()]
    c.lose(300)
    held = c.send()
    c.deliver(c.send())
    for message in (*more, held):
        c.deliver(message)
    yield "more than 256 skipped keys: the oldest go first", c.given()

    c = Chain(s, 2**32 - 3)
    c.hand_over()
    c.deliver(c.send())
    c.deliver(c.send())
    end = c.hand_over()
    c.deliver(0, end)
    yield "the last numbers of a chain", c.given()

    # Version 0, generation 1, number 5, chain key 9, chain id 41.
    c = Chain(s)
    for change in (
        [put(0, "00")], [put(0, "02")], [put(4, "00")], [put(41, "ff" * 32)], [put(41, "01" + "00" * 31)],
        [{"cut": 1}], [{"cut": 73}], [{"append": "00"}],
    ):  # fmt: skip
        c.hand_over(change, refused=True)
    first = c.send(20)
    receivers = [c.hand_over(), c.hand_over([flip(4)]), c.hand_over([flip(9)]), c.hand_over([put(5, "00000002")])]
    receivers.append(c.hand_over([put(41, made("keys", {"what": "identity", "ed25519_seed": s.hex(32)}, "ed25519_public"))]))
    second = c.send(20)
    for to in receivers:
        c.deliver(first, to)
        c.deliver(second, to)
    yield "altered handovers", c.given()

    c = Chain(s)
    c.hand_over()
    c.deliver(c.send())
    held = c.send()
    c.deliver(c.send())
    c.hand_over()
    c.send()
    ahead = c.hand_over()
    for handover in (0, 1, ahead):
        c.again(handover, 0)
    other = made("keys", {"what": "identity", "ed25519_seed": s.hex(32)}, "ed25519_public")
    for change in ([flip(4)], [flip(9)], [put(5, "00000001")], [put(5, "00000800")], [put(41, other)], [put(0, "02")]):
        c.again(1, 0, change)
    # Nothing of it moved what is known.
    c.deliver(held)
    c.deliver(3)
    c.deliver(0)
    yield "the same chain handed over again", c.given()

    for at in range(4):
        c = Chain(s)
        c.hand_over()
        waiting = []
        for _ in range(40):
            kind = s.number(10)
            if kind < 4:
                waiting.append(c.send())
            elif kind == 4:
                c.lose(1 + s.number(9))
            elif kind == 5 and c.receivers < 4:
                c.hand_over()
            elif waiting:
                message = waiting.pop(s.number(len(waiting)) if s.number(2) else 0)
                for to in range(c.receivers):
                    c.deliver(message, to)
                    if not s.number(4):
                        c.deliver(message, to)
        yield f"random schedule {at + 1}", c.given()


def safety_number(s):
    pairs = [(person(s), person(s)) for _ in range(3)]
    for at, (a, b) in enumerate(pairs):
        yield f"pair {at + 1}", {"a": a, "b": b}
    yield "pair 1, the other way round", {"a": pairs[0][1], "b": pairs[0][0]}
    yield "the same account twice", {"a": pairs[0][0], "b": pairs[0][0]}


CASES = {
    "keys": keys, "recovery-words": recovery_words, "account": account, "device-certificate": device_certificate,
    "device-list": device_list, "prekeys": prekeys, "ml-kem-1024": ml_kem, "x3dh": x3dh, "pqxdh": pqxdh, "key-schedule": key_schedule,
    "double-ratchet": double_ratchet, "seal": seal, "sender-key": sender_key, "safety-number": safety_number, "frames": frames, "envelope-id": envelope_id,
    "contact-link": contact_link, "relay-link": relay_link, "link-secret": link_secret, "capabilities": capabilities,
    "message-id": message_ids, "relay-proofs": relay_proofs,
    "group-change": group_change, "membership": membership,
}  # fmt: skip


def cases(construction):
    return list(CASES[construction](Source(construction)))
