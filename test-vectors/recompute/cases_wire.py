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
        return {**given, "token": s.hex(16), "handle": handle, "pin": s.hex(32) if pin else None,
                "registration_token": s.hex(16) if token else None}  # fmt: skip

    for name, given in (
        ("plain, loopback", link("127.0.0.1:8443", True)), ("localhost", link("localhost:80", True)), ("IPv6 loopback", link("[::1]:9000", True)),
        ("https", link("relay.example.org:443")), ("pin", link("relay.example.org:8443", pin=True)), ("registration token", link("relay.example.org:443", token=True)),
        ("all of it", link("relay.example.org:443", pin=True, token=True, handle="a.long-handle_of-32-letters.here")),
    ):  # fmt: skip
        yield name, given
    same = {"payload": [], "checksum_again": False, "scheme": "subrosa://", "authority": "relay.example.org:443", "behind": ""}
    for name, authority, how in (
        ("another scheme", None, {"scheme": "https://"}), ("another relay", None, {"authority": "relay.example.com:443"}),
        ("cut", None, {"payload": [{"cut": 3}]}), ("token altered", None, {"payload": [flip(40)]}), ("a character more", None, {"behind": "A"}),
        ("not base64url", None, {"behind": "+"}), ("version 2", None, {"payload": [put(0, "02")], "checksum_again": True}),
        ("unknown flag", None, {"payload": [put(1, "08")], "checksum_again": True}), ("pin promised, not there", None, {"payload": [put(1, "02")], "checksum_again": True}),
        ("handle longer than the payload", None, {"payload": [put(54, "ff")], "checksum_again": True}), ("handle in capitals", None, {"payload": [put(55, "41")], "checksum_again": True}),
        ("http to another machine", None, {"payload": [put(1, "01")], "checksum_again": True}),
        ("port not written", "relay.example.org", {}), ("capitals in the authority", "Relay.example.org:443", {}), ("a path", "relay.example.org:443/x", {}),
        ("a user", "me@relay.example.org:443", {}),
    ):  # fmt: skip
        given = link(authority or "relay.example.org:443")
        yield f"refused: {name}", {**given, "change": {**same, **({"authority": authority} if authority else {}), **how}}


def relay_proofs(s):
    for what in ("auth", "registration", "auth bound to its connection"):
        what, *bound = what.split(" ", 1)
        for authority, pin in (("127.0.0.1:8443", False), ("relay.example.org:443", True), ("[::1]:9", False)):
            given = {"what": what, "identity_seed": s.hex(32), "authority": authority, "pin": s.hex(32) if pin else None, "account_id": s.hex(32)}
            if what == "auth":
                given |= {"nonce": s.hex(32), "device": 1 + s.number(9), "exporter": s.hex(32) if bound else None}
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
    yield frame("mailbox client hello", versions=[1])
    yield frame("mailbox client hello", "three versions offered", versions=[1, 2, 300])
    yield frame("auth", pin=None, **auth)
    yield frame("auth", "auth with pin", pin=s.hex(32), **auth)
    yield frame("ack", upto=300)
    yield frame("ack", "ack, largest number", upto=2**64 - 1)
    upload = {"signed_prekey": s.hex(100), "last_resort_kem": s.hex(1636), "one_time_ec": [s.hex(36), s.hex(36)], "one_time_kem": [s.hex(1636)]}
    yield frame("put prekeys", id=1, replace_one_time=True, **upload)
    empty = {"signed_prekey": None, "last_resort_kem": None, "one_time_ec": [s.hex(36)], "one_time_kem": []}
    yield frame("put prekeys", "put prekeys, one key", id=2, replace_one_time=False, **empty)
    yield frame("put device list", id=3, device_list=s.hex(214))
    yield frame("set delivery keys", id=4, current_hash=s.hex(32), previous_hash=s.hex(32), previous_valid_s=86400)
    yield frame("set delivery keys", "set delivery keys, no previous one", id=4, current_hash=s.hex(32), previous_hash=None, previous_valid_s=0)
    yield frame("put contact token", id=5, token_hash=s.hex(32), expiry_s=2592000)
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
    yield frame("take prekeys", account_id=s.hex(32), device=2, capability=delivery)
    yield frame("take prekeys", "take prekeys without capability", account_id=s.hex(32), device=2, capability=None)
    yield frame("prekeys", signed_prekey=s.hex(100), one_time_ec=s.hex(36), kem=s.hex(1636), kem_last_resort=False)
    yield frame("prekeys", "prekeys, last resort", signed_prekey=s.hex(100), one_time_ec=None, kem=s.hex(1636), kem_last_resort=True)

    def forbidden(why, name, change=(), **fields):
        return f"refused: {why}", {"frame": name, "fields": fields, "change": list(change), "forbidden": why}

    yield forbidden("no version offered", "mailbox client hello", versions=[])
    yield forbidden("17 versions offered", "mailbox client hello", versions=list(range(1, 18)))
    yield forbidden("account of 31 bytes", "auth", pin=None, **{**auth, "account_id": s.hex(31)})
    yield forbidden("device number 0", "auth", pin=None, **{**auth, "device": 0})
    yield forbidden("signature of 63 bytes", "auth", pin=None, **{**auth, "signature": s.hex(63)})
    yield forbidden("pin of 31 bytes", "auth", pin=s.hex(31), **auth)
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
