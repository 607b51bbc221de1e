"""Section 18: the bytes of a change of a group, read strictly."""

import functools

from .identity import account_id, check_list, read_list, read_record
from .primitives import Reader, Refused, sha256

KINDS = ("create", "add", "remove", "promote", "demote", "rename", "describe", "set", "open link", "revoke link", "leave",
         "disband", "list")  # fmt: skip


def text_field(reader, size, least, most):
    length = reader.number(size)
    if not least <= length <= most:
        raise Refused("bad field")
    try:
        return reader.take(length).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("bad field") from None


def one_of(number, allowed):
    if number not in allowed:
        raise Refused("bad field")
    return number


def ascending(values):
    if any(low >= high for low, high in zip(values, values[1:])):
        raise Refused("bad field")
    return values


@functools.cache
def devices_of(given):
    """{number: identity key} of a device list, whoever signed it."""
    return {int.from_bytes(device[0], "big"): device[1] for device in read_list(given)[3]}


@functools.cache
def list_problem(record, given):
    """None, or why not. Kept: the same list is looked at many times."""
    try:
        check_list(record, given)
    except Refused as reason:
        return str(reason)
    return None


def read_device_list(reader):
    given = reader.take(reader.number(2))
    devices_of(given)
    return given


def read_newcomer(reader):
    record = reader.take(65)
    read_record(record)
    return account_id(record), record, read_device_list(reader)


def read_chains(reader):
    chains = []
    for _ in range(one_of(reader.number(1), range(6))):
        device, generation, following, chain = (*(reader.number(4) for _ in range(3)), reader.take(32))
        if device == 0 or generation == 0:
            raise Refused("bad field")
        chains.append((device, generation, following, chain))
    ascending([chain[0] for chain in chains])
    return chains


def read_several(reader, one):
    several = [one(reader) for _ in range(one_of(reader.number(1), range(1, 65)))]
    ascending([entry[0] for entry in several])
    return several


def read_ending(reader):
    return reader.take(32), read_chains(reader)


def read_body(kind, reader):
    if kind == "create":
        return {"random": reader.take(16), "settings": one_of(reader.number(1), range(8)), "newcomer": read_newcomer(reader),
                "name": text_field(reader, 1, 1, 200)}  # fmt: skip
    if kind == "add":
        link = reader.take(16) if one_of(reader.number(1), (0, 1)) else None
        return {"link": link, "newcomers": read_several(reader, read_newcomer)}
    if kind in ("remove", "demote"):
        return {"endings": read_several(reader, read_ending)}
    if kind == "promote":
        return {"accounts": [account for (account,) in read_several(reader, lambda reader: (reader.take(32),))]}
    if kind == "rename":
        return {"name": text_field(reader, 1, 1, 200)}
    if kind == "describe":
        return {"text": text_field(reader, 2, 0, 2048)}
    if kind == "set":
        return {"settings": one_of(reader.number(1), range(8))}
    if kind == "open link":
        link, uses, expires, approval = reader.take(16), reader.number(2), reader.number(8), reader.number(1)
        if uses == 0:
            raise Refused("bad field")
        return {"link": link, "uses": uses, "expires": expires, "approval": one_of(approval, (0, 1)) == 1}
    if kind == "revoke link":
        return {"link": reader.take(16)}
    if kind == "leave":
        successor = reader.take(32) if one_of(reader.number(1), (0, 1)) else None
        return {"successor": successor, "chains": read_chains(reader)}
    if kind == "list":
        return {"list": read_device_list(reader)}
    return {}


class Change:
    """A change as it was read. What a set knows of it besides stands in the set."""

    def __init__(self, given):
        if len(given) > 60000:
            raise Refused("bad field")
        reader = Reader(given)
        reader.version()
        self.group, self.author, self.device, self.clock = reader.take(32), reader.take(32), reader.number(4), reader.number(8)
        self.heads = [reader.take(32) for _ in range(one_of(reader.number(1), range(9)))]
        ascending(self.heads)
        self.kind = KINDS[one_of(reader.number(1), range(1, 14)) - 1]
        self.body = read_body(self.kind, reader)
        first = self.kind == "create"
        if first != (self.heads == []) or first != (self.group == bytes(32)):
            raise Refused("bad field")
        if self.device == 0 and self.kind not in ("leave", "list") or self.device != 0 and self.kind == "list":
            raise Refused("bad field")
        self.signature = reader.take(64)
        reader.finish()
        self.bytes, self.id = given, change_id(given)

    def acts(self):
        """(what, for whom or with what), as many as the change has."""
        if self.kind == "add":
            return [("add", newcomer) for newcomer in self.body["newcomers"]]
        if self.kind in ("remove", "demote"):
            return [(self.kind, ending) for ending in self.body["endings"]]
        if self.kind == "promote":
            return [("promote", account) for account in self.body["accounts"]]
        if self.kind == "leave" and self.body["successor"] is not None:
            return [("promote", self.body["successor"]), ("leave", self.body["chains"])]
        if self.kind == "leave":
            return [("leave", self.body["chains"])]
        return [(self.kind, self.body)]


def change_id(given):
    return sha256(b"Subrosa change id v1", given)


def heads_hash(heads):
    return sha256(b"Subrosa group heads v1", *sorted(heads))
