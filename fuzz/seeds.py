#!/usr/bin/env python3
"""Writes the seed corpus: from test-vectors/ every longer hexadecimal value, once for each decoder that is chosen by a first
byte; frames, contents, files and texts are built here. Run in this directory; the result is checked in, so neither fuzzing nor
the property tests that begin from it need Python."""

import base64
import collections
import hashlib
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent


def values(node):
    if isinstance(node, dict):
        for child in node.values():
            yield from values(child)
    elif isinstance(node, list):
        for child in node:
            yield from values(child)
    elif isinstance(node, str):
        try:
            raw = bytes.fromhex(node)
        except ValueError:
            return
        if len(raw) >= 32:
            yield raw


# Bytes of one target's corpus: it lives in the repository.
MOST = 120_000
written = collections.Counter()


def seed(target, raw):
    written[target] += len(raw)
    if written[target] > MOST:
        return
    folder = ROOT / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ("seed-" + hashlib.sha256(raw).hexdigest()[:12])).write_bytes(raw)


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def frames():
    """(decoder of wire_frames, bytes), after docs/protocol.md sections 8 to 10."""
    device = field(1, b"a" * 32) + field(2, 1)
    limits = b"".join(field(n, v) for n, v in ((1, 256), (2, 65536), (3, 1280), (4, 2592000)))
    item = field(1, device) + field(2, field(1, b"k" * 16)) + field(4, 60) + field(5, b"h" * 64) + field(7, 1)
    token = field(1, device) + field(2, field(2, field(1, b"t" * 16) + field(2, b"b" * 16))) + field(5, b"h" * 64)
    submit = field(1, b"\x01" * 512) + field(2, item) + field(2, token)
    auth = field(1, device) + field(2, b"127.0.0.1:8443") + field(4, b"s" * 64)
    prekeys = field(1, b"p" * 100) + field(3, b"o" * 36) + field(4, b"q" * 1636) + field(5, 1)
    list_ = field(1, b"l" * 214)
    ready = field(1, b"e" * 16) + field(2, 5) + field(3, 9) + field(4, limits) + field(5, field(1, 100) + field(2, 20))
    push = field(1, 7) + field(3, b"h" * 64) + field(4, b"\x01" * 512) + field(5, 9)
    results = field(1, field(1, b"")) + field(1, field(2, list_)) + field(1, field(4, field(1, 5)))
    yield 0, field(1, field(1, b"\x01"))
    yield 0, field(2, auth)
    yield 0, field(3, field(1, 12))
    for number, request in ((2, prekeys), (3, list_), (4, field(1, b"d" * 32)), (5, field(1, b"d" * 32)), (7, submit)):
        yield 0, field(4, field(1, 3) + field(number, request))
    yield 1, field(1, field(1, 1) + field(2, b"n" * 32))
    yield 1, field(2, ready)
    yield 1, field(3, push)
    yield 1, field(7, field(1, 3))
    yield 1, field(8, field(1, 3) + field(4, results))
    yield 2, field(1, field(1, b"\x01"))
    yield 2, field(2, field(1, 4) + field(2, submit))
    yield 3, field(1, field(1, 1) + field(2, 9) + field(3, limits))
    yield 3, field(2, field(1, 4) + field(2, results))
    yield 4, submit
    yield 5, field(1, b"\x01" * 65) + field(2, b"alice") + list_[:0] + field(3, b"l" * 214) + field(4, b"a:1") + field(6, b"s" * 64)
    yield 6, field(1, 9)
    yield 7, field(1, b"alice")
    yield 8, field(1, b"a" * 32)
    yield 9, field(1, b"a" * 32)
    yield 10, field(1, b"\x01" * 65) + field(2, b"l" * 214)
    yield 11, field(1, device) + field(2, field(1, b"k" * 16))
    yield 12, field(1, b"p" * 100) + field(2, b"o" * 36) + field(3, b"q" * 1636)


def relay_link(authority, flags, rest):
    """A relay link, after docs/protocol.md."""
    payload = bytes([2, 2, flags]) + rest
    payload += hashlib.sha256(authority.encode() + payload).digest()[:4]
    scheme = b"http://" if flags & 1 else b"https://"
    return scheme + authority.encode() + b"/i#" + base64.urlsafe_b64encode(payload).rstrip(b"=")


LINKS = [
    b"subrosa://127.0.0.1:8443/#",
    b"subrosa://relay.example:443/i#AgEA",
    b"<https://relay.example/i>",
    b"alice.smith-2",
    b"ab" * 32,
    b":".join([b"AB"] * 32),
    relay_link("127.0.0.1:8440", 1, b""),
    relay_link("relay.example.org:443", 0, b""),
    relay_link("192.0.2.7:8440", 2, b"p" * 32),
    relay_link("[2001:db8::7]:8440", 6, b"p" * 32 + b"t" * 16),
    relay_link("abcdefghijklmnop.onion:80", 5, b"t" * 16),
]


def links():
    for name in ("contact-link", "relay-link"):
        for case in json.loads((ROOT.parent / f"test-vectors/v1/{name}.json").read_text())["cases"]:
            yield case["outputs"]["link"].encode()


def contents():
    """Contents of every type, after docs/protocol.md."""
    head = field(1, 1) + field(2, b"m" * 16) + field(3, 7) + field(4, 1_790_000_000_000) + field(5, 1) + field(6, b"h" * 32)
    item = field(1, b"r" * 16) + field(2, 1_790_000_000_001)
    introduction = field(1, b"alice") + field(3, b"p" * 32) + field(4, b"k" * 16)
    yield head
    yield head + field(16, field(1, "Grüße, 世界".encode()) + field(2, b"q" * 16))
    yield head + field(17, field(1, 1) + field(2, item) * 3)
    yield head + field(18, b"") + field(7, introduction + field(2, b"https://relay.example.org/") + field(5, b"t" * 16))
    yield head + field(18, b"") + field(7, introduction + field(2, b"http://127.0.0.1:8440/"))
    yield head + field(19, field(1, b"a" * 32) + field(2, b"m" * 16) + field(3, 8) + field(4, 9) + field(5, b"hi"))
    yield head + field(20, field(1, b"\x01" * 65) + field(2, b"l" * 214) + field(3, b"bob") + field(4, b"https://b.example/"))
    yield head + field(21, field(1, b"r" * 16) * 2)
    yield head + field(22, field(1, b"e" * 16) * 2)
    yield head + field(23, field(1, b"d" * 16) + field(2, 5))
    yield head + field(99, b"a body of a newer program")


def vectors(name):
    return json.loads((ROOT.parent / f"test-vectors/v1/{name}.json").read_text())["cases"]


def groups():
    """(decoder of crypto_decoders, bytes), after docs/protocol.md sections 18 and 19. No decoder verifies a signature."""
    accounts = sorted((case["outputs"]["account_id"], case["outputs"]["record"]) for case in vectors("account") if "account_id" in case["outputs"])
    ids, records = ([bytes.fromhex(value) for value in part] for part in zip(*accounts))
    lists = [bytes.fromhex(case["outputs"]["list"]) for case in vectors("device-list") if "list" in case["outputs"]]

    def many(items, size=1):
        return len(items).to_bytes(size, "big") + b"".join(items)

    def long(raw):
        return len(raw).to_bytes(2, "big") + raw

    def chains(count):
        return many([number.to_bytes(4, "big") + b"\x00\x00\x00\x02" + bytes(3) + b"\x05" + b"c" * 32 for number in range(1, count + 1)])

    name, newcomers = b"\x06hikers", [record + long(device_list) for record, device_list in zip(records, lists)]
    heads, itself, device = many([b"g" * 32, b"h" * 32]), bytes(4), b"\x00\x00\x00\x01"
    for group, signer, past, kind, body in (
        (bytes(32), device, many([]), 1, b"r" * 16 + b"\x06" + newcomers[0] + name),
        (b"i" * 32, device, heads, 2, b"\x00" + many(newcomers[:2])),
        (b"i" * 32, device, heads, 2, b"\x01" + b"l" * 16 + many(newcomers[:1])),
        (b"i" * 32, device, heads, 3, many([ids[0] + chains(0), ids[1] + chains(2)])),
        (b"i" * 32, device, heads, 4, many(ids[:2])),
        (b"i" * 32, device, heads, 5, many([ids[0] + chains(1)])),
        (b"i" * 32, device, heads, 6, name),
        (b"i" * 32, device, heads, 7, long("Grüße, 世界".encode())),
        (b"i" * 32, device, heads, 8, b"\x07"),
        (b"i" * 32, device, heads, 9, b"l" * 16 + b"\x00\x02" + bytes(7) + b"\x09\x01"),
        (b"i" * 32, device, heads, 10, b"l" * 16),
        (b"i" * 32, device, heads, 11, b"\x01" + ids[1] + chains(1)),
        (b"i" * 32, itself, heads, 11, b"\x00" + chains(5)),
        (b"i" * 32, device, heads, 12, b""),
        (b"i" * 32, itself, heads, 13, long(lists[0])),
    ):
        yield 12, b"\x01" + group + ids[0] + signer + bytes(7) + b"\x05" + past + bytes([kind]) + body + b"s" * 64
    for members in ([], [ids[0], ids[1]]):
        summary = name + long(b"on foot") + b"\x06" + ids[0] + bytes(7) + b"\x01\x00"
        summary += many([account + ids[0] + bytes(7) + b"\x02" for account in members], 2) + many(members[:1], 2)
        yield 13, b"\x01" + b"i" * 32 + ids[0] + device + heads + summary + b"s" * 64
    handover = next(values(vectors("sender-key")[0]["outputs"]["steps"][0]))
    yield 9, handover
    yield 10, handover
    skipped = many([number.to_bytes(4, "big") + b"k" * 32 for number in (1, 3)], 2)
    for keys in (many([], 2), skipped):
        yield 11, handover[:5] + handover[41:] + handover[9:41] + b"\x00\x00\x00\x05" + keys


CREATE, ADD, REMOVE, PROMOTE, DEMOTE, RENAME, DESCRIBE, SET, OPEN, REVOKE, LEAVE, DISBAND, LIST = range(13)


def memberships():
    """Changes of six people, after crates/crypto/tests/behaviour/memberships.rs."""

    def step(who, kind, whom=(), past=(), number=1, more=0, device=1, forged=False):
        # The numbers of people, from 0; of the newest changes, from 0, none for all heads.
        return bytes([
            who + 6 * device + (240 if forged else 0), kind + 13 * more, sum(1 << other for other in whom), sum(1 << back for back in past), number,
        ])

    def everybody(admins):
        return step(0, ADD, range(1, 6), number=0) + b"".join(step(0, PROMOTE, [admin]) for admin in admins)

    yield everybody([1]) + b"".join([
        step(0, RENAME, number=9), step(1, DESCRIBE, number=40), step(0, SET), step(0, OPEN, number=31, more=2), step(0, REMOVE, [5]),
        step(0, OPEN, number=30, more=1), step(4, LEAVE), step(1, ADD, [4], number=3, more=3), step(0, REVOKE, number=2), step(2, LIST, device=0),
        step(2, ADD, [5]), step(0, ADD, [5]), step(1, DEMOTE, [0]), step(0, DEMOTE, [1], number=64, more=1), step(0, LEAVE, [2], number=64, more=1),
        step(2, DISBAND), step(3, RENAME),
    ])
    # Two admins remove each other, and both remove whoever the other adds.
    yield everybody([1]) + step(0, REMOVE, [1]) + step(1, REMOVE, [0], [1]) + step(1, ADD, [0], [0]) + step(0, REMOVE, [2], [2]) + step(0, RENAME)
    # Three in a ring; the last one joins them.
    yield everybody([1, 2]) + step(0, DEMOTE, [1]) + step(1, REMOVE, [2], [1]) + step(2, REMOVE, [0], [2]) + step(0, RENAME) + step(2, RENAME, past=[1])
    # Backdated: by who was removed, by a device that was dropped, by who left.
    yield everybody([1, 2]) + step(0, REMOVE, [1]) + step(1, ADD, [1], [1]) + step(1, PROMOTE, [3], [2]) + step(3, REMOVE, [0], [0]) + step(0, REMOVE, [2])
    yield everybody([1]) + step(1, LIST, number=1, device=0) + step(1, REMOVE, [2], [1], device=2) + step(1, LIST, number=2, device=0) + step(1, RENAME, device=3)
    yield everybody([1, 2]) + step(1, REMOVE, [4]) + step(1, LEAVE, [3], [1], 64, 1, 0) + step(1, REMOVE, [2], [2]) + step(2, REMOVE, [1], [1, 2])
    # By links: used up, too late, taken away beside.
    yield everybody([1]) + step(0, REMOVE, [3]) + step(4, LEAVE) + step(0, OPEN, number=28, more=1) + step(0, ADD, [4], [], 24, 3) + step(1, ADD, [3], [1], 24, 3) + step(1, REVOKE, number=28)
    # Forged, of another group, on heads that are not there any more, and with heads that had seen one another.
    yield everybody([1]) + step(0, RENAME, forged=True) + step(0, RENAME, past=[0]) + step(0, CREATE) + step(0, RENAME, past=[0, 3]) + step(1, RENAME, past=[3, 4])


def socket_lines():
    def call(method, params, **more):
        return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params} | more).encode()

    identifier, key = "ab" * 16, {"memory_kib": 131072, "passes": 3, "lanes": 1, "salt": "00" * 16, "key": "11" * 32}
    yield call("send", {"to": "bob", "body": "hi", "id": identifier, "reply_to": identifier, "key": "k"})
    yield call("history", {"chat": "bob", "limit": 50, "before": identifier, "since_ms": 5})
    yield call("search", {"query": "a b", "chat": "bob", "limit": 5})
    yield call("chat.set", {"chat": "bob", "muted_until_ms": 9, "pinned": True, "archived": False, "request_id": identifier})
    yield call("invite", {"ttl_s": 600, "registration_token": "t"})
    yield call("events", {"since": 3, "max": 10, "wait_ms": 0})
    yield call("wait", {"id": identifier, "status": "read", "timeout_ms": 5})
    yield call("verify", {"who": "bob", "number": "12345 " * 12})
    yield call("backup", {"path": "/b", "force": False, "key": key})
    yield call("contact.rename", {"who": "bob", "name": "b\u202eob", "request_id": identifier})
    yield call("status.watch", {"relay": "online", "wait_ms": 1})
    yield call("account", {}, id="text") + b"\n"
    yield call("no.such", [1])
    yield call("rpc.ping", {}, id=None)
    yield b'{"jsonrpc":"2.0","method":"read","params":{"what":"bob"}}'
    yield b"[" + call("status", {}) + b"," + call("chats", {"archived": True}) + b',{"x":1}]'
    yield b'{"jsonrpc":"2.0","id":7,"result":{"cursor":5}}'
    yield b'{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"no","data":{"code":"failed","message":"no"}}}'
    yield b'{"jsonrpc":"2.0","method":"event","params":{"v":1,"type":"message","cursor":5}}'


def stored_keys():
    """(format, bytes)."""
    wrapped = {"salt": "00" * 16, "nonce": "11" * 12, "wrapped": "22" * 48}
    cost = {"kdf": "argon2id", "m_kib": 65536, "t": 2, "p": 1}
    yield 0, json.dumps({"v": 1} | cost | wrapped).encode()
    for source in ({"kind": "ask"}, {"kind": "passphrase_file", "path": "/p"}, {"kind": "passphrase_command", "command": "pass x"}):
        yield 0, json.dumps({"v": 2, "source": source} | cost | wrapped).encode()
    for source in ({"kind": "key_file", "path": "/k"}, {"kind": "keyring", "entry": "alice 00"}):
        yield 0, json.dumps({"v": 2, "source": source, "kdf": "hkdf-sha256", "m_kib": 0, "t": 0, "p": 0} | wrapped).encode()
    yield 1, b"subrosa-key-1 " + b"ab" * 32 + b"\n"
    yield 1, b"subrosa-key-1 " + b"CD" * 32
    header = b"".join(number.to_bytes(4, "big") for number in (131072, 3, 1))
    yield 2, b"SUBROSAB\x01" + header + bytes(range(16)) + b"a chunk"
    yield 3, json.dumps({"memory_kib": 131072, "passes": 3, "lanes": 1, "salt": "00" * 16, "key": "11" * 32}).encode()


ADDRESSES = [
    b"https://relay.example.org", b"https://Relay.Example.ORG:8440/path?x#y", b"http://127.0.0.1:8440", b"http://[::1]:9/",
    b"http://abcdefghijklmnop.onion", b"https://192.0.2.7:8440", "https://bücher.example".encode(), b"http://192.0.2.7",
    b"https://user:word@relay.example.org", b"socks5h://127.0.0.1:9050", b"socks5h://us%65r:p%40ss@[::1]:1080",
    b"socks5://127.0.0.1:9050", b"ftp://x", b"https://", b"relay.example.org", "https://a\u202eb.example".encode(),
]

SETTINGS = [
    b'account = "alice"\nread_receipts = false\nlock_timeout = "1m"\nproxy = "socks5h://127.0.0.1:9050"\n',
    b'# mine\ncolour = "never" # old eyes\nascii = true\nfuture = 3\n\n[other]\nthing = [1, 2]\n',
    b'ca_file = "/etc/ca.pem"\n[tui]\nprofile = "emacs"\ntheme = "dusk"\nnotify = "osc9"\npreview = "none"\nmouse = true\n',
    b'tui.profile = "plain"\ntui.keys.help = ["f1"]\n', b'tui = { profile = "vim", mouse = false }\n', b"[[tui]]\nx = 1\n",
    b'"read_receipts" = "off"\n[tui.colours]\nown = "#ff0000"\n', b"colour = 3\n", b"[account]\nx = 1\n", b"tui = 5\n", b"",
]

# What others may write: escape sequences, bidirectional controls, line ends, joiners, marks, wide and right-to-left letters.
TEXTS = [
    "\x1b[2J\x1b]0;owned\x07hi", "\x9b31mred\x90q\x9c", "a\u202eb\u2066c\u2069\u200e\u200f\u061cd", "a\r\nb\nc\rd\u2028e\tf\x0bg\x85h",
    "Grüße, 世界 مرحبا שלום", "👩‍👩‍👧‍👦 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 🇩🇪 e\u0301 ✔\ufe0f",
    "\u0600\u200d\ufe0f\u0301", "see https://a.org/x?y=1, (http://b.de) file:///etc javascript:x https:// http",
    "one two three four five six seven eight nine ten " * 3, "word" * 40, "", "\ufffe\ufeff\u2060\u00ad", "한국어 ᄀ가ᅡ กำ क्षि",
]

RELAY_SETTINGS = [
    b'data = "/var/lib/relay"\nlisten = "[::]:443"\ndomain = "relay.example.org"\nacme-contact = "mailto:a@example.org"\n',
    b'listen = "0.0.0.0:8440"\npublic-url = "https://relay.example.org/"\ntls-cert = "/c"\ntls-key = "/k"\n',
    b'behind-proxy = true\nregistration = "open"\nadmin-socket = "/run/a.sock"\nmetrics = "127.0.0.1:9440"\nlog-format = "json"\n',
    b'max-connections = 3\nhandshake-timeout = "3s"\nwrite-timeout = "1500ms"\nmin-free-bytes = "64MiB"\nrate-submit = "600/60"\n',
    b'acme-directory = "https://localhost:14000/dir"\nacme-root = "/r"\ntls-self-signed = true\n', b"lisen = 5\n", b"listen = [[1]]\n",
]

RELAY_ADMIN = [
    {"verb": "token_create", "uses": 1, "expires_s": 600, "note": "for Bob"}, {"verb": "token_list"},
    {"verb": "token_revoke", "token": "3fa94c01"}, {"verb": "account_list"}, {"verb": "account_disable", "account": "mallory"},
    {"verb": "account_enable", "account": "ab" * 32}, {"verb": "account_remove", "account": "mallory"}, {"verb": "status"},
    {"verb": "link"}, {"verb": "drain"}, {"verb": "read_mail"},
]

TUI_KEYS = [
    b"ctrl+k\nalt+enter\nshift+tab\nf1\npgup\n?\nG\nctrl++\nspace\nctrl+shift+x\nalt+<",
    b'[tui]\nprofile = "emacs"\n[tui.keys]\nhelp = ["f2", "ctrl+h"]\nquit = []\nsearch = ["/"]\n',
    b'[tui]\nprofile = "plain"\ntheme = "dusk"\n[tui.keys]\nsend = ["ctrl+enter"]\nnewline = ["enter"]\nopen = ["a", "b"]\n',
    b'[tui.keys]\nnext-chat = ["tab"]\npalette = ["tab"]\n[tui.colours]\nown = "#ff8800"\n', b'[tui.keys]\nfly = ["x"]\n',
]


def text_seeds():
    """(target, bytes) of everything that is a text or a file."""
    for address in ADDRESSES:
        yield "addresses", address
    for settings in SETTINGS:
        yield "settings", settings
    for settings in RELAY_SETTINGS:
        yield "relay_settings", settings
    for request in RELAY_ADMIN:
        yield "relay_admin", json.dumps(request).encode()
    for keys in TUI_KEYS:
        yield "tui_keys", keys
    texts = [text.encode() for text in TEXTS]
    for number, text in enumerate(texts):
        yield "cleaning", text
        yield "tui_text", bytes([number * 5 + 1]) + text
        yield "search_words", text[: len(text) // 2] + b"\n" + text
    for query in (b"two words", b'"x" NEAR(y z, 3)*', "東京 gru".encode()):
        yield "search_words", query + "\ntwo words, 東京タワー, Grüße".encode()
    # Typing, moving, deleting, a step back, at several widths.
    yield "tui_editor", bytes([7, 20, 21, 22, 23, 0, 0, 24, 6, 7, 13, 13, 25, 26, 11, 12, 8, 9, 10, 13])
    yield "tui_editor", bytes([1] + list(range(16, 42)) * 2 + [2] * 9 + [8, 13] * 5 + [3, 10, 14, 15, 11, 6])
    yield "tui_editor", bytes([23] + [28, 29, 0, 6, 30, 31, 0, 7, 13] * 8)
    for look, (width, height) in enumerate([(119, 39), (79, 23), (49, 19), (20, 8), (2, 2)]):
        yield "tui_screen", bytes([look, width, height, 40]) + bytes(range(look, 160, 4))[:40] + b"\0".join(texts[look:] + texts[:look])


def main():
    for which, frame in frames():
        seed("wire_frames", bytes([which]) + frame)
    for which, raw in groups():
        seed("crypto_decoders", bytes([which]) + raw)
    for changes in memberships():
        seed("membership", changes)
    for link in LINKS + sorted(set(links()))[:24]:
        seed("links", link)
    for content in contents():
        seed("contents", content)
    for line in socket_lines():
        seed("socket_lines", line)
    for which, file in stored_keys():
        seed("stored_keys", bytes([which]) + file)
    for target, raw in text_seeds():
        seed(target, raw)
    # One honest device, then three, then with points of small order and other numbers.
    for shape in (bytes(36) + b"\x01" + bytes(40), bytes(36) + b"\x03" + bytes(60), bytes(36) + b"\x02" + bytes(range(0, 250, 3)) * 2):
        seed("device_lists", shape)
    # send, deliver, answer, deliver; out of order; damage; snapshot and back.
    for schedule in (b"\x00\x05\x01\x04" * 8, b"\x00\x00\x00\x27\x15\x05" * 6, b"\x00\x8d\x00\x05\x05\x0f\x05\x8c\x01\x0e\x04" * 4):
        seed("schedule", schedule)
    for path in sorted((ROOT.parent / "test-vectors" / "v1").glob("*.json")):
        # A few of each size: a corpus wants variety, not volume.
        sizes_seen = collections.Counter()
        for raw in values(json.loads(path.read_text())):
            sizes_seen[len(raw)] += 1
            if len(raw) > 4096 or sizes_seen[len(raw)] > 1:
                continue
            if path.stem == "frames":
                for which in range(5):
                    seed("wire_frames", bytes([which]) + raw)
            for which, sizes in enumerate([{65}, {104}, None, {101, 133}, {37}, {133, 134}]):
                if sizes and len(raw) in sizes:
                    seed("crypto_decoders", bytes([which]) + raw)
            if len(raw) == 32:
                seed("crypto_decoders", b"\x08" + raw)
            if len(raw) > 1615:
                seed("crypto_decoders", b"\x06" + raw)
            if raw[:1] == b"\x01" and (len(raw) - 114) % 104 == 0:
                seed("crypto_decoders", b"\x02" + raw)
            if raw[:1] == b"\x01" and 400 < len(raw) < 4096:
                seed("session_state", len(raw).to_bytes(2, "big") + raw)
            if path.stem in ("seal", "double-ratchet") and 41 + 32 <= len(raw) < 2400:
                seed("seal_open", b"\x01\x00\x00\x40" + raw)
            if len(raw) in (512, 1024, 2304):
                seed("seal_open", b"\x00" + bytes([(512, 1024, 2304).index(len(raw))]) + b"\x00\x00" + bytes(64) + raw)


main()
