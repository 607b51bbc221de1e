"""The inputs of all checked-in cases of sections 8 to 10, 13 and 14."""

from .source import flip, put


def envelope_id(s):
    for device, length in ((1, 512), (5, 512), (2**32 - 1, 1024)):
        yield f"device {device}", {"account_id": s.hex(32), "device": device, "head": s.hex(64), "body": s.hex(length)}


def capabilities(s):
    for what in ("delivery key", "contact token", "binding", "registration token"):
        yield what, {"what": what, "secret": s.hex(16)}


def contact_link(s):
    def link(authority, plaintext=False, pin=False, token=False, handle="alice"):
        given = {"authority": authority, "plaintext": plaintext, "account_id": s.hex(32), "list_version": 1 + s.number(9)}
        return {**given, "secret": s.hex(16), "handle": handle, "pin": s.hex(32) if pin else None,
                "registration_token": s.hex(16) if token else None}  # fmt: skip

    for name, given in (
        ("plain, loopback", link("127.0.0.1:8443", True)), ("localhost, usual port", link("localhost:80", True)), ("IPv6 loopback", link("[::1]:9000", True)),
        ("onion service", link("abcdefghijklmnop.onion:80", True)), ("https, usual port", link("relay.example.org:443")),
        ("IPv6, usual port", link("[2001:db8::7]:443")), ("pin", link("relay.example.org:8443", pin=True)),
        ("registration token", link("relay.example.org:443", token=True)),
        ("all of it", link("relay.example.org:443", pin=True, token=True, handle="a.long-handle_of-32-letters.here")),
    ):  # fmt: skip
        yield name, given
    for name, how in (
        ("as subrosa://", {"scheme": "subrosa://"}), ("port written", {"authority": "relay.example.org:443"}),
        ("as subrosa://, port written", {"scheme": "subrosa://", "authority": "relay.example.org:443"}), ("scheme in capitals", {"scheme": "HTTPS://"}),
        ("in angle brackets", {"before": "<", "behind": ">"}), ("in quotes, with line ends", {"before": "\n\u201c", "behind": "\u201d\r\n"}),
    ):  # fmt: skip
        yield f"taken: {name}", {**link("relay.example.org:443"), "change": how}
    # Offsets: version 0, kind 1, flags 2, account 3, list version 35, secret 39, handle length 55, handle 56.
    for name, authority, how in (
        ("another address", None, {"path": "/x#"}), ("another scheme", None, {"scheme": "ftp://"}), ("another relay", None, {"authority": "relay.example.com"}),
        ("another port", None, {"authority": "relay.example.org:80"}), ("cut at #", None, {"path": "/i", "cut": True}), ("nothing behind #", None, {"cut": True}),
        ("cut", None, {"payload": [{"cut": 3}]}), ("secret altered", None, {"payload": [flip(41)]}), ("a character more", None, {"behind": "A"}),
        ("not base64url", None, {"behind": "+"}), ("version 1", None, {"payload": [put(0, "01")], "checksum_again": True}),
        ("version 3", None, {"payload": [put(0, "03")], "checksum_again": True}), ("kind 3", None, {"payload": [put(1, "03")], "checksum_again": True}),
        ("as a relay link", None, {"read_as": 2}), ("address of version 1", None, {"scheme": "subrosa://", "path": "/#"}),
        ("unknown flag", None, {"payload": [put(2, "08")], "checksum_again": True}), ("pin promised, not there", None, {"payload": [put(2, "02")], "checksum_again": True}),
        ("handle longer than the payload", None, {"payload": [put(55, "ff")], "checksum_again": True}), ("handle in capitals", None, {"payload": [put(56, "41")], "checksum_again": True}),
        ("http to another machine", None, {"scheme": "http://", "authority": "relay.example.org:443", "payload": [put(2, "01")], "checksum_again": True}),
        ("http, but made with https", None, {"scheme": "http://", "authority": "relay.example.org:443"}),
        ("https, but made with http", None, {"payload": [put(2, "01")], "authority": "relay.example.org:443", "checksum_again": True}),
        ("capitals in the authority", "Relay.example.org:443", {}), ("a user", "me@relay.example.org:443", {}),
    ):  # fmt: skip
        given = link(authority or "relay.example.org:443")
        yield f"refused: {name}", {**given, "change": how}


def relay_link(s):
    def link(authority, plaintext=False, pin=False, token=False):
        given = {"authority": authority, "plaintext": plaintext, "pin": s.hex(32) if pin else None}
        return {**given, "registration_token": s.hex(16) if token else None}

    for name, given in (
        ("plain, loopback", link("127.0.0.1:8443", True)), ("https, usual port", link("relay.example.org:443")), ("pin", link("192.0.2.7:8440", pin=True)),
        ("all of it", link("[2001:db8::7]:8440", pin=True, token=True)), ("onion service, token", link("abcdefghijklmnop.onion:80", True, token=True)),
    ):  # fmt: skip
        yield name, given
    yield "taken: as subrosa://", {**link("relay.example.org:443", pin=True), "change": {"scheme": "subrosa://"}}
    for name, how in (
        ("as a contact link", {"read_as": 1}), ("address of version 1", {"scheme": "subrosa-relay://", "path": "/#"}), ("cut at #", {"path": "/i", "cut": True}),
        ("pin altered", {"payload": [flip(20)]}), ("a byte more", {"payload": [{"cut": 4}, {"append": "00"}], "checksum_behind": True}),
        ("http to another machine", {"scheme": "http://", "authority": "relay.example.org:443", "payload": [put(2, "03")], "checksum_again": True}),
    ):  # fmt: skip
        yield f"refused: {name}", {**link("relay.example.org:443", pin=True), "change": how}


def link_secret(s):
    def case(change=(), **more):
        given = {"secret": s.hex(16), "inviter": s.hex(32), "joiner": s.hex(32)}
        return {**given, "shown_by": given["joiner"], "change": list(change), **more}

    for at in range(3):
        yield f"link {at + 1}", case()
    yield "refused: proof of another joiner", case(shown_by=s.hex(32))
    yield "refused: proof altered", case([flip(31)])


def message_ids(s):
    low, high = sorted((s.hex(32), s.hex(32)))
    for name, one, other, author in (
        ("smaller id first", low, high, "one"), ("larger id first", high, low, "other"), ("by the other one", low, high, "other"),
        ("note to self", low, low, "one"), ("equal in all but the last byte", low, low[:-2] + ("00" if low[-2:] != "00" else "01"), "one"),
        ("ids as unsigned bytes", "ff" * 32, "7f" * 32, "other"),
    ):  # fmt: skip
        yield name, {"one": one, "other": other, "author": author, "random": s.hex(16)}


def relay_proofs(s):
    for what in ("auth", "registration", "auth bound to its connection"):
        what, *bound = what.split(" ", 1)
        for authority, pin in (("127.0.0.1:8443", False), ("relay.example.org:443", True), ("[::1]:9", False)):
            given = {"what": what, "identity_seed": s.hex(32), "authority": authority, "pin": s.hex(32) if pin else None, "account_id": s.hex(32)}
            if what == "auth":
                given |= {"nonce": s.hex(32), "device": 1 + s.number(9), "exporter": s.hex(32) if bound else None}
                # None before the first login, one after each that was seen to succeed, more where some were not.
                shown = {"127.0.0.1:8443": 0, "relay.example.org:443": 1, "[::1]:9": 8}[authority]
                given |= {"shown": [s.hex(16) for _ in range(shown)], "mark": s.hex(16), "take_over": bool(bound) and not pin}
            else:
                given |= {"handle": "alice.b", "device_list_hash": s.hex(32)}
            yield " ".join([what, *bound, "to", authority]), given


def frames(s):
    def frame(name, title=None, **fields):
        return title or name, {"frame": name, "fields": fields}

    def item(capability, kind="durable", **more):
        given = {"account_id": s.hex(32), "device": 3, "capability": capability, "class": kind, "expiry_s": 86400}
        return {**given, "head": s.hex(64), "body_ref": 0, "list_version": 2, **more}

    limits = [256, 65536, 1280, 2592000]
    body, big = {"byte": "5a", "count": 512}, {"byte": "a5", "count": 1024}
    delivery = {"delivery_key": s.hex(16)}
    token = {"token": s.hex(16), "binding": s.hex(16)}
    both = [item(delivery), item(token, "ephemeral", body_ref=1, expiry_s=0)]
    auth = {"account_id": s.hex(32), "device": 1, "authority": "127.0.0.1:8443", "signature": s.hex(64)}
    auth |= {"mark": s.hex(16), "shown": [s.hex(16), s.hex(16)], "take_over": False}
    yield frame("mailbox client hello", versions=[1])
    yield frame("mailbox client hello", "three versions offered", versions=[1, 2, 300])
    yield frame("auth", pin=None, **auth)
    yield frame("auth", "auth with pin", pin=s.hex(32), **auth)
    yield frame("auth", "auth that takes over", pin=None, **{**auth, "shown": [], "take_over": True})
    yield frame("ack", upto=300)
    yield frame("ack", "ack, largest number", upto=2**64 - 1)
    upload = {"signed_prekey": s.hex(100), "last_resort_kem": s.hex(1636), "one_time_ec": [s.hex(36), s.hex(36)], "one_time_kem": [s.hex(1636)]}
    yield frame("put prekeys", id=1, replace_one_time=True, **upload)
    empty = {"signed_prekey": None, "last_resort_kem": None, "one_time_ec": [s.hex(36)], "one_time_kem": []}
    yield frame("put prekeys", "put prekeys, one key", id=2, replace_one_time=False, **empty)
    yield frame("put device list", id=3, device_list=s.hex(214))
    yield frame("set delivery keys", id=4, current_hash=s.hex(32), previous_hash=s.hex(32), previous_valid_s=86400)
    yield frame("set delivery keys", "set delivery keys, no previous one", id=4, current_hash=s.hex(32), previous_hash=None, previous_valid_s=0)
    yield frame("put contact token", id=5, token_hash=s.hex(32), expiry_s=2592000, uses=1, per_day=0)
    yield frame("remove contact token", id=6, token_hash=s.hex(32))
    yield frame("submit request", id=7, submit={"bodies": [body], "items": [item(None)]})
    yield frame("remove account", id=13)
    yield frame("mailbox ping")
    yield frame("challenge", version=1, nonce=s.hex(32), tls_bound=True)
    yield frame("challenge", "challenge, not bound to TLS", version=1, nonce="5a" * 32, tls_bound=False)
    yield frame("ready", epoch=s.hex(16), acked=17, server_time_ms=1780000000000, limits=limits, prekeys=[100, 20])
    def push(kind, **more):
        return {"class": kind, "head": s.hex(64), "body": s.hex(512), "received_ms": 1780000000001, **more}

    yield frame("push", seq=18, way=3, **push("durable"))
    yield frame("push", "push, ephemeral", seq=0, way=3, **push("ephemeral"))
    for name in ("caught up", "displaced", "mailbox pong", "submit ping", "submit pong"):
        yield frame(name)
    yield frame("mailbox go away", retry_after_ms=2500)
    yield frame("mailbox error", code=3, retry_after_s=0)
    yield frame("done", id=8)
    yield frame("request error", id=9, code=14, retry_after_s=3600)
    outcomes = ["accepted", {"device_list": s.hex(214)}, {"retry_after_s": 60}, {"code": 5, "retry_after_s": 0}]
    yield frame("request results", id=10, results=outcomes)
    yield frame("prekeys low", prekeys=[19, 4])
    yield frame("submit client hello", versions=[1])
    yield frame("submit", id=11, submit={"bodies": [body, big], "items": both})
    yield frame("welcome", version=1, server_time_ms=1780000000000, limits=limits)
    yield frame("reply", id=11, results=outcomes)
    yield frame("reply error", id=12, code=17, retry_after_s=5)
    yield frame("submit error", code=2, retry_after_s=0)
    yield frame("submit go away", retry_after_ms=1)
    register = {"account_record": s.hex(65), "handle": "alice", "device_list": s.hex(214), "authority": "127.0.0.1:8443", "proof": s.hex(64)}
    yield frame("register", pin=None, registration_token=None, **register)
    yield frame("register", "register with pin and token", pin=s.hex(32), registration_token=s.hex(16), **register)
    yield frame("registered", server_time_ms=1780000000000)
    yield frame("resolve", handle="alice")
    yield frame("resolved", account_id=s.hex(32))
    yield frame("get devices", account_id=s.hex(32))
    yield frame("devices", account_record=s.hex(65), device_list=s.hex(214))
    one = {"account_id": s.hex(32), "device": 2, "capability": delivery}
    other = {"account_id": s.hex(32), "device": 2, "capability": None}
    yield frame("take prekeys", takes=[one])
    yield frame("take prekeys", "take prekeys without capability", takes=[other])
    given = {"signed_prekey": s.hex(100), "one_time_ec": s.hex(36), "kem": s.hex(1636), "kem_last_resort": False}
    yield frame("prekey bundles", results=[given])
    standing = {"signed_prekey": s.hex(100), "one_time_ec": None, "kem": s.hex(1636), "kem_last_resort": True}
    yield frame("prekey bundles", "prekey bundles, last resort", results=[standing])
    member = {"member_key": s.hex(16)}
    yield frame("take prekeys", "take prekeys of several devices", takes=[one, {**other, "capability": member}, {**one, "capability": token}])
    yield frame("prekey bundles", "prekey bundles, one refused", results=[given, {"code": 5, "retry_after_s": 0}, standing])
    yield frame("set member keys", id=14, current_hash=s.hex(32), previous_hash=s.hex(32), previous_valid_s=172800)
    yield frame("put contact token", "put contact token, several uses", id=15, token_hash=s.hex(32), expiry_s=604800, uses=256, per_day=20)
    yield frame("submit", "submit with a member key", id=16, submit={"bodies": [body], "items": [item(member)]})
    yield frame("push", "push, member key", seq=19, way=4, **push("durable"))

    def forbidden(why, name, change=(), **fields):
        return f"refused: {why}", {"frame": name, "fields": fields, "change": list(change), "forbidden": why}

    yield forbidden("no version offered", "mailbox client hello", versions=[])
    yield forbidden("17 versions offered", "mailbox client hello", versions=list(range(1, 18)))
    yield forbidden("account of 31 bytes", "auth", pin=None, **{**auth, "account_id": s.hex(31)})
    yield forbidden("device number 0", "auth", pin=None, **{**auth, "device": 0})
    yield forbidden("signature of 63 bytes", "auth", pin=None, **{**auth, "signature": s.hex(63)})
    yield forbidden("pin of 31 bytes", "auth", pin=s.hex(31), **auth)
    yield forbidden("mark of 15 bytes", "auth", pin=None, **{**auth, "mark": s.hex(15)})
    yield forbidden("no mark", "auth", pin=None, **{**auth, "mark": None})
    yield forbidden("shown mark of 17 bytes", "auth", pin=None, **{**auth, "shown": [s.hex(17)]})
    yield forbidden("nine shown marks", "auth", pin=None, **{**auth, "shown": [s.hex(16) for _ in range(9)]})
    yield forbidden("no authority", "auth", pin=None, **{**auth, "authority": ""})
    yield forbidden("authority of 261 bytes", "auth", pin=None, **{**auth, "authority": "a" * 261})
    yield forbidden("nonce of 33 bytes", "challenge", version=1, nonce=s.hex(33), tls_bound=True)
    yield forbidden("one-time prekey of 37 bytes", "put prekeys", id=1, replace_one_time=False, **{**empty, "one_time_ec": [s.hex(37)]})
    yield forbidden("no body", "submit", id=1, submit={"bodies": [], "items": [item(delivery)]})
    yield forbidden("no item", "submit", id=1, submit={"bodies": [body], "items": []})
    yield forbidden("body of no size", "submit", id=1, submit={"bodies": [{"byte": "5a", "count": 513}], "items": [item(delivery)]})
    yield forbidden("reference to no body", "submit", id=1, submit={"bodies": [body], "items": [item(delivery, body_ref=1)]})
    yield forbidden("head of 63 bytes", "submit", id=1, submit={"bodies": [body], "items": [item(delivery, head=s.hex(63))]})
    yield forbidden("delivery key of 15 bytes", "submit", id=1, submit={"bodies": [body], "items": [item({"delivery_key": s.hex(15)})]})
    yield forbidden("binding of 17 bytes", "submit", id=1, submit={"bodies": [body], "items": [item({"token": s.hex(16), "binding": s.hex(17)})]})
    yield forbidden("no protobuf", "ack", [put(0, "1f")], upto=300)
    yield forbidden("cut", "challenge", [{"cut": 1}], version=1, nonce=s.hex(32), tls_bound=False)
    yield forbidden("no frame", "submit ping", [{"cut": 2}])
    yield forbidden("handle in capitals", "resolve", handle="Alice")
    yield frame("push", "push, with a contact token", seq=19, way=2, **push("durable"))
    yield frame("push", "push, by the request lane", seq=20, way=1, **push("durable"))
    yield frame("push", "push, a way of a newer relay", seq=21, way=300, **push("durable"))
    yield frame("push", "push, no way", seq=22, way=0, **push("durable"))
