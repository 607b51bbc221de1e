"""Sections 8 to 10, 13 and 14: frames, links, capabilities."""

import base64
import re

from .primitives import Refused, attempt, change, sha256, u32, u8, unhex

# Section 14


def capabilities(given):
    return {}, {"stored": sha256(unhex(given["secret"])).hex()}


# Section 13


def base64url(given):
    return base64.urlsafe_b64encode(given).decode().rstrip("=")


def checksum(authority, payload):
    return sha256(authority.encode(), payload)[:4]


LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\]|[a-z0-9.-]+\.onion):\d+")
HANDLE = re.compile(r"[a-z0-9][a-z0-9._-]{1,30}[a-z0-9]")
AROUND = "<>\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb \t\r\n"
CONTACT, RELAY = 1, 2


def read_link(text, wanted):
    """Both kinds of link, up to the fields of the kind."""
    scheme, mark, rest = text.strip(AROUND).partition("://")
    scheme = scheme.lower()
    if scheme == "subrosa-relay":
        raise Refused("old")
    if not mark or scheme not in ("https", "http", "subrosa"):
        raise Refused("scheme")
    authority, mark, rest = rest.partition("/")
    if scheme == "subrosa" and rest.startswith("#"):
        raise Refused("old")
    path, _, encoded = rest.partition("#")
    if not mark or path != "i":
        raise Refused("scheme")
    if not encoded:
        raise Refused("cut")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", encoded) or len(encoded) % 4 == 1:
        raise Refused("damaged")
    payload = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    if base64url(payload) != encoded or len(payload) < 3:
        raise Refused("damaged")
    version, kind, flags = payload[:3]
    if version == 1:
        raise Refused("old")
    if version != 2 or kind not in (CONTACT, RELAY) or flags & ~7:
        raise Refused("version")
    if kind != wanted:
        raise Refused("is contact" if kind == CONTACT else "is relay")
    if not re.search(r":\d+$", authority):
        authority += ":80" if flags & 1 else ":443"
    if len(payload) < 7 or checksum(authority, payload[:-4]) != payload[-4:]:
        raise Refused("damaged")
    if scheme != "subrosa" and (scheme == "http") != bool(flags & 1):
        raise Refused("relay")
    fields = payload[3:-4]
    if kind == CONTACT:
        length = fields[52] if len(fields) > 52 else 255
        if not HANDLE.fullmatch(fields[53 : 53 + length].decode("ascii", "replace")) or len(fields) < 53 + length:
            raise Refused("damaged")
        fields = fields[53 + length :]
    if len(fields) != (32 if flags & 2 else 0) + (16 if flags & 4 else 0):
        raise Refused("damaged")
    if not re.fullmatch(r"[a-z0-9.-]+:\d+|\[[0-9a-f:]+\]:\d+", authority):
        raise Refused("relay")
    if flags & 1 and not LOOPBACK.fullmatch(authority):
        raise Refused("plaintext")


def link(given, kind, fields):
    flags = (1 if given["plaintext"] else 0) | (2 if given["pin"] else 0) | (4 if given["registration_token"] else 0)
    payload = bytes([2, kind, flags]) + fields + unhex(given["pin"] or "") + unhex(given["registration_token"] or "")
    payload += checksum(given["authority"], payload)
    scheme, usual = ("http", ":80") if given["plaintext"] else ("https", ":443")
    shown = given["authority"].removesuffix(usual)
    text = f"{scheme}://{shown}/i#{base64url(payload)}"
    middle = {"payload": payload.hex(), "checksum": payload[-4:].hex()}
    if "change" not in given:
        read_link(text, kind)
        return middle, {"link": text}
    # What became of it on its way; a part that is not named stays.
    how = given["change"]
    changed = change(payload, how.get("payload", []))
    if how.get("checksum_again"):
        changed = changed[:-4] + checksum(given["authority"], changed[:-4])
    if how.get("checksum_behind"):
        changed += checksum(given["authority"], changed)
    authority = how.get("authority", shown)
    text = how.get("before", "") + how.get("scheme", f"{scheme}://") + authority + how.get("path", "/i#")
    text += ("" if how.get("cut") else base64url(changed)) + how.get("behind", "")
    wanted = how.get("read_as", kind)
    if wanted not in (CONTACT, RELAY):
        raise ValueError(f"no kind of link: {wanted}")
    return middle, attempt(lambda: read_link(text, wanted), {"link": text})


def contact_link(given):
    handle = given["handle"].encode()
    fields = unhex(given["account_id"]) + u32(given["list_version"]) + unhex(given["secret"]) + u8(len(handle)) + handle
    return link(given, CONTACT, fields)


def relay_link(given):
    return link(given, RELAY, b"")


# Sections 8 to 10: protobuf, written out. Fields in the order of their numbers; zero and empty fields are not
# written, except those of a oneof.


def varint(number):
    encoded = b""
    while number > 127:
        encoded, number = encoded + u8(number & 127 | 128), number >> 7
    return encoded + u8(number)


def number(field, value):
    return varint(field << 3) + varint(value) if value else b""


def present(field, value):
    """A message, or a field of a oneof: written also if empty."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def text(field, value):
    return present(field, value) if value else b""


def packed(field, values):
    return text(field, b"".join(varint(value) for value in values))


def many(field, values):
    return b"".join(present(field, value) for value in values)


def device(given):
    return text(1, unhex(given["account_id"])) + number(2, given["device"])


def limits(given):
    return b"".join(number(at + 1, value) for at, value in enumerate(given))


def counts(given):
    return number(1, given[0]) + number(2, given[1])


def error(given):
    return number(1, given["code"]) + number(2, given["retry_after_s"])


def capability(given):
    if "delivery_key" in given:
        return present(1, unhex(given["delivery_key"]))
    if "member_key" in given:
        return present(3, unhex(given["member_key"]))
    return present(2, text(1, unhex(given["token"])) + text(2, unhex(given["binding"])))


def take(given):
    return present(1, device(given)) + (present(2, capability(given["capability"])) if given["capability"] else b"")


def bundle(given):
    if "code" in given:
        return present(2, error(given))
    made = text(1, h(given, "signed_prekey")) + text(2, h(given, "one_time_ec")) + text(3, h(given, "kem"))
    return present(1, made + number(4, int(given["kem_last_resort"])))


def submit(given):
    items = []
    for item in given["items"]:
        made = present(1, device(item))
        if item["capability"] is not None:
            made += present(2, capability(item["capability"]))
        made += number(3, {"durable": 0, "ephemeral": 1}[item["class"]]) + number(4, item["expiry_s"])
        made += text(5, unhex(item["head"])) + number(6, item["body_ref"]) + number(7, item["list_version"])
        items.append(made)
    bodies = [unhex(body["byte"]) * body["count"] for body in given["bodies"]]
    return many(1, bodies) + many(2, items)


def results(given):
    made = []
    for one in given:
        if one == "accepted":
            made.append(present(1, b""))
        elif "device_list" in one:
            made.append(present(2, text(1, unhex(one["device_list"]))))
        elif "code" in one:
            made.append(present(4, error(one)))
        else:
            made.append(present(3, number(1, one["retry_after_s"])))
    return many(1, made)


def h(given, name):
    return unhex(given.get(name) or "")


FRAMES = {
    # MailboxClientFrame
    "mailbox client hello": lambda g: present(1, packed(1, g["versions"])),
    "auth": lambda g: present(
        2, present(1, device(g)) + text(2, g["authority"].encode()) + text(3, h(g, "pin")) + text(4, h(g, "signature"))
        + text(5, h(g, "mark")) + many(6, map(unhex, g["shown"])) + number(7, int(g["take_over"]))
    ),
    "ack": lambda g: present(3, number(1, g["upto"])),
    "put prekeys": lambda g: present(
        4,
        number(1, g["id"])
        + present(
            2,
            text(1, h(g, "signed_prekey"))
            + text(2, h(g, "last_resort_kem"))
            + many(3, [unhex(key) for key in g["one_time_ec"]])
            + many(4, [unhex(key) for key in g["one_time_kem"]])
            + number(5, int(g["replace_one_time"])),
        ),
    ),
    "put device list": lambda g: present(4, number(1, g["id"]) + present(3, text(1, h(g, "device_list")))),
    "set delivery keys": lambda g: present(
        4,
        number(1, g["id"])
        + present(4, text(1, h(g, "current_hash")) + text(2, h(g, "previous_hash")) + number(3, g["previous_valid_s"])),
    ),
    "set member keys": lambda g: present(
        4,
        number(1, g["id"])
        + present(9, text(1, h(g, "current_hash")) + text(2, h(g, "previous_hash")) + number(3, g["previous_valid_s"])),
    ),
    "put contact token": lambda g: present(
        4,
        number(1, g["id"])
        + present(
            5,
            text(1, h(g, "token_hash"))
            + number(2, g["expiry_s"])
            # One is said by nothing.
            + number(3, g["uses"] if g["uses"] > 1 else 0)
            + number(4, g["per_day"]),
        ),
    ),
    "remove contact token": lambda g: present(4, number(1, g["id"]) + present(6, text(1, h(g, "token_hash")))),
    "submit request": lambda g: present(4, number(1, g["id"]) + present(7, submit(g["submit"]))),
    "remove account": lambda g: present(4, number(1, g["id"]) + present(8, b"")),
    "mailbox ping": lambda g: present(5, b""),
    # MailboxServerFrame
    "challenge": lambda g: present(1, number(1, g["version"]) + text(2, h(g, "nonce")) + number(3, int(g["tls_bound"]))),
    "ready": lambda g: present(
        2,
        text(1, h(g, "epoch"))
        + number(2, g["acked"])
        + number(3, g["server_time_ms"])
        + present(4, limits(g["limits"]))
        + present(5, counts(g["prekeys"])),
    ),
    "push": lambda g: present(
        3,
        number(1, g["seq"])
        + number(2, {"durable": 0, "ephemeral": 1}[g["class"]])
        + text(3, h(g, "head"))
        + text(4, h(g, "body"))
        + number(5, g["received_ms"])
        + number(6, g["way"]),
    ),
    "caught up": lambda g: present(4, b""),
    "displaced": lambda g: present(5, b""),
    "mailbox go away": lambda g: present(6, number(1, g["retry_after_ms"])),
    "mailbox error": lambda g: present(7, error(g)),
    "done": lambda g: present(8, number(1, g["id"]) + present(2, b"")),
    "request error": lambda g: present(8, number(1, g["id"]) + present(3, error(g))),
    "request results": lambda g: present(8, number(1, g["id"]) + present(4, results(g["results"]))),
    "mailbox pong": lambda g: present(9, b""),
    "prekeys low": lambda g: present(10, counts(g["prekeys"])),
    # SubmitClientFrame, SubmitServerFrame
    "submit client hello": lambda g: present(1, packed(1, g["versions"])),
    "submit": lambda g: present(2, number(1, g["id"]) + present(2, submit(g["submit"]))),
    "submit ping": lambda g: present(3, b""),
    "welcome": lambda g: present(
        1, number(1, g["version"]) + number(2, g["server_time_ms"]) + present(3, limits(g["limits"]))
    ),
    "reply": lambda g: present(2, number(1, g["id"]) + present(2, results(g["results"]))),
    "reply error": lambda g: present(2, number(1, g["id"]) + present(3, error(g))),
    "submit error": lambda g: present(3, error(g)),
    "submit go away": lambda g: present(4, number(1, g["retry_after_ms"])),
    "submit pong": lambda g: present(5, b""),
    # HTTPS
    "register": lambda g: text(1, h(g, "account_record"))
    + text(2, g["handle"].encode())
    + text(3, h(g, "device_list"))
    + text(4, g["authority"].encode())
    + text(5, h(g, "pin"))
    + text(6, h(g, "proof"))
    + text(7, h(g, "registration_token")),
    "registered": lambda g: number(1, g["server_time_ms"]),
    "resolve": lambda g: text(1, g["handle"].encode()),
    "resolved": lambda g: text(1, h(g, "account_id")),
    "get devices": lambda g: text(1, h(g, "account_id")),
    "devices": lambda g: text(1, h(g, "account_record")) + text(2, h(g, "device_list")),
    "take prekeys": lambda g: many(1, map(take, g["takes"])),
    "prekey bundles": lambda g: many(1, map(bundle, g["results"])),
}


def frames(given):
    made = FRAMES[given["frame"]](given["fields"])
    if "forbidden" not in given:
        return {}, {"bytes": made.hex()}
    # A frame that the page forbids; `forbidden` says why.
    seen = change(made, given["change"])
    return {"unchanged_sha256": sha256(made).hex()}, {"bytes": seen.hex(), "accepted": False}
