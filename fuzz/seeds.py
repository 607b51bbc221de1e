#!/usr/bin/env python3
"""Writes the seed corpus from test-vectors/: every longer hexadecimal value, once for each decoder
that is chosen by a first byte, and a few frames built here. Run in this directory; the result is
checked in, so fuzzing needs no Python."""

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
    item = field(1, device) + field(2, field(1, b"k" * 16)) + field(4, 60) + field(5, b"h" * 48) + field(7, 1)
    token = field(1, device) + field(2, field(2, field(1, b"t" * 16) + field(2, b"b" * 16))) + field(5, b"h" * 48)
    submit = field(1, b"\x01" * 512) + field(2, item) + field(2, token)
    auth = field(1, device) + field(2, b"127.0.0.1:8443") + field(4, b"s" * 64)
    prekeys = field(1, b"p" * 100) + field(3, b"o" * 36) + field(4, b"q" * 1636) + field(5, 1)
    list_ = field(1, b"l" * 214)
    ready = field(1, b"e" * 16) + field(2, 5) + field(3, 9) + field(4, limits) + field(5, field(1, 100) + field(2, 20))
    push = field(1, 7) + field(3, b"h" * 48) + field(4, b"\x01" * 512) + field(5, 9)
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


LINKS = [
    # crates/wire/src/link.rs makes and checks these; a wrong one is a seed as well.
    b"subrosa://127.0.0.1:8443/#",
    b"subrosa://relay.example:443/#AQAA",
    b"alice.smith-2",
]


def links():
    for value in json.dumps(json.loads((ROOT.parent / "test-vectors/v1/contact-link.json").read_text())).split('"'):
        if value.startswith("subrosa://"):
            yield value.encode()


def main():
    for which, frame in frames():
        seed("wire_frames", bytes([which]) + frame)
    for link in LINKS + sorted(set(links()))[:24]:
        seed("contact_link", link)
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
            if raw[:1] == b"\x01" and (len(raw) - 110) % 104 == 0:
                seed("crypto_decoders", b"\x02" + raw)
            if raw[:1] == b"\x01" and 400 < len(raw) < 4096:
                seed("session_state", len(raw).to_bytes(2, "big") + raw)
            if path.stem in ("seal", "double-ratchet") and 41 + 32 <= len(raw) < 2400:
                seed("seal_open", b"\x01\x00\x00\x40" + raw)
            if len(raw) in (512, 1024, 2304):
                seed("seal_open", b"\x00" + bytes([(512, 1024, 2304).index(len(raw))]) + b"\x00\x00" + bytes(48) + raw)


main()
