"""Where the inputs of checked-in cases come from: bytes of a fixed seed, and changes."""

import hashlib

from .primitives import clamp

SEED = "Subrosa test vectors 1"


class Source:
    """Bytes that are a function of the seed, the construction and the order in which they are asked for."""

    def __init__(self, construction):
        self.construction, self.count = construction, 0

    def bytes(self, length):
        self.count += 1
        return hashlib.shake_256(f"{SEED}/{self.construction}/{self.count}".encode()).digest(length)

    def hex(self, length):
        return self.bytes(length).hex()

    def secret(self):
        return clamp(self.bytes(32)).hex()

    def number(self, below):
        return int.from_bytes(self.bytes(8), "big") % below


def flip(offset, mask="01"):
    return {"offset": offset, "flip": mask}


def put(offset, value):
    return {"offset": offset, "set": value}
