"""The inputs of all checked-in cases of section 18."""

from .group_change import Change
from .membership import change_bytes, everybody
from .primitives import len16, sign, u8, u16, u32, u64, unhex
from .source import flip, put

# What a device list of theirs holds: devices 1 and 2; 2 dropped; a device 3 instead; the lists that break a rule of
# section 2 follow (number 1 used again, and the second version signed twice).
LISTS = ((1, (0, 1), 2), (2, (0,), 2), (3, (0, 2), 3), (4, (3,), 4), (2, (1,), 2))
DEVICES = ((1, 1), (2, 1), (3, 3), (1, 4))


class Story:
    """Writes a case: people are there when they are named, changes name all that is newest unless told otherwise."""

    def __init__(self, s):
        self.s, self.people, self.changes, self.tips = s, {}, [], []

    def person(self, name):
        if name not in self.people:
            devices = [{"device": number, "identity_seed": self.s.hex(32), "list_version": version} for number, version in DEVICES]
            lists = [
                {"version": version, "issued_ms": 1780000000000 + version, "highest": highest, "devices": list(held)}
                for version, held, highest in LISTS
            ]
            person = {"account_seed": self.s.hex(32), "recovery_commitment": self.s.hex(32)}
            self.people[name] = {**person, "devices": devices, "lists": lists}
        return name

    def chain(self, device=1, generation=1, following=0):
        return {"device": device, "generation": generation, "next": following, "chain": self.s.hex(32)}

    def put(self, author, kind, after=None, device=0, clock=None, taken=True, **more):
        """The number of the change. One that is not taken is nobody's head."""
        heads = list(self.tips) if after is None else after
        change = {"author": self.person(author), "device": device, "clock": 100 * len(self.changes) if clock is None else clock}
        self.changes.append({**change, "heads": heads, "kind": kind, **more})
        number = len(self.changes) - 1
        if taken:
            self.tips = [tip for tip in self.tips if tip not in heads] + [number]
        return number

    def no(self, author, kind, *after, **more):
        return getattr(self, kind)(author, *after, taken=False, **more)

    def create(self, author, settings=6, **more):
        return self.put(author, "create", [], random=self.s.hex(16), settings=settings, list=0, name="hikers", **more)

    def add(self, author, *who, link=None, which=0, **more):
        return self.put(author, "add", link=link, newcomers=[{"who": self.person(one), "list": which} for one in who], **more)

    def remove(self, author, *who, kind="remove", chains=(), **more):
        return self.put(author, kind, endings=[{"who": self.person(one), "chains": list(chains)} for one in who], **more)

    def demote(self, author, *who, **more):
        return self.remove(author, *who, kind="demote", **more)

    def promote(self, author, *who, **more):
        return self.put(author, "promote", accounts=[self.person(one) for one in who], **more)

    def rename(self, author, name="walkers", **more):
        return self.put(author, "rename", name=name, **more)

    def describe(self, author, text="", **more):
        return self.put(author, "describe", text=text, **more)

    def set(self, author, settings, **more):
        return self.put(author, "set", settings=settings, **more)

    def open(self, author, link, uses=2, expires=10**6, approval=False, **more):
        return self.put(author, "open link", link=link, uses=uses, expires_ms=expires, approval=approval, **more)

    def revoke(self, author, link, **more):
        return self.put(author, "revoke link", link=link, **more)

    def leave(self, author, successor=None, chains=(), **more):
        return self.put(author, "leave", successor=successor and self.person(successor), chains=list(chains), **more)

    def disband(self, author, **more):
        return self.put(author, "disband", **more)

    def list(self, author, which, **more):
        return self.put(author, "list", device=None, list=which, **more)

    def start(self, admins=(), members=(), settings=6):
        """ann and others, known to all. The number of the newest change."""
        last = self.create("ann", settings)
        if admins or members:
            last = self.add("ann", *admins, *members)
        for one in admins:
            last = self.promote("ann", one)
        return last

    def given(self):
        """Without devices and lists that nobody uses: a digit that means nothing could be changed without notice."""
        lists, devices = {name: set() for name in self.people}, {name: set() for name in self.people}
        users = [(change, change["author"]) for change in self.changes if "list" in change]
        users += [(one, one["who"]) for change in self.changes for one in change.get("newcomers", ())]
        for one, name in users:
            lists[name].add(one["list"])
        for name, held in lists.items():
            devices[name] |= {at for which in held for at in self.people[name]["lists"][which]["devices"]}
        for change in self.changes:
            devices[change["author"]] |= {change["device"]} - {None}
        lists, devices = ({name: sorted(used) for name, used in kind.items()} for kind in (lists, devices))
        for one, name in users:
            one["list"] = lists[name].index(one["list"])
        for change in self.changes:
            if change["device"] is not None:
                change["device"] = devices[change["author"]].index(change["device"])
        people = {}
        for name, person in self.people.items():
            kept = [person["lists"][at] for at in lists[name]]
            kept = [{**one, "devices": [devices[name].index(at) for at in one["devices"]]} for one in kept]
            listed = {at for which in lists[name] for at in person["lists"][which]["devices"]}
            signing = [dict(person["devices"][at]) for at in devices[name]]
            for at, device in zip(devices[name], signing):
                if at not in listed:
                    del device["list_version"]
            people[name] = {**person, "devices": signing, "lists": kept}
        return {"people": people, "changes": self.changes}


def one_change(s):
    """One of each kind, and some at the edges: (name, what is put)."""
    five = lambda c: [c.chain(device, 2**32 - 1 if device == 5 else device, device) for device in (1, 2, 3, 4, 5)]  # noqa: E731
    yield "create", lambda c: c.create("ann", 7)
    yield "add one", lambda c: c.add("ann", "bob")
    yield "add three by a link", lambda c: c.add("ann", "bob", "cid", "dan", link=s.hex(16), which=2)
    yield "remove two", lambda c: c.remove("ann", "bob", "cid")
    yield "remove, five chains", lambda c: c.remove("ann", "bob", chains=five(c))
    yield "promote three", lambda c: c.promote("ann", "bob", "cid", "dan")
    yield "demote", lambda c: c.demote("ann", "bob", chains=[c.chain(7, 3, 2**32 - 1)])
    yield "rename, 200 bytes", lambda c: c.rename("ann", "\u00e4" * 100)
    yield "describe with nothing", lambda c: c.describe("ann")
    yield "describe, 2,048 bytes", lambda c: c.describe("ann", "x" * 2048)
    yield "set nothing", lambda c: c.set("ann", 0)
    yield "open link", lambda c: c.open("ann", s.hex(16), 1, 2**64 - 1)
    yield "open link with approval", lambda c: c.open("ann", s.hex(16), 65535, 0, True, clock=2**64 - 1)
    yield "revoke link", lambda c: c.revoke("ann", s.hex(16), device=1)
    yield "leave", lambda c: c.leave("ann")
    yield "leave by the account key, with a successor", lambda c: c.leave("ann", "bob", [c.chain()], device=None)
    yield "disband", lambda c: c.disband("ann")
    yield "list", lambda c: c.list("ann", 2)


def group_change(s):
    for at, (name, put_it) in enumerate(one_change(s)):
        c = Story(s)
        put_it(c)
        case = c.given()
        (change,) = case.pop("changes")
        del change["heads"]
        heads = [] if name == "create" else [s.hex(32) for _ in range(8 if at == 1 else 1 + at % 3)]
        yield name, {**case, "group": s.hex(32) if heads else "00" * 32, "heads": heads, "change": change}
    yield from refused_bytes(s)


def refused_bytes(s):
    c = Story(s)
    for put_it in (c.create, c.list):
        put_it("ann", 2)
    c.add("ann", "bob", "cid")
    case = c.given()
    people, _ = everybody(case)
    group, head, link, chain = (unhex(s.hex(32)) for _ in range(4))
    link, low, high = link[:16], *sorted(unhex(s.hex(32)) for _ in range(2))
    author, signature, ann = unhex(s.hex(32)), unhex(s.hex(64)), people["ann"]
    newcomers = [people[name].newcomer(0) for name in sorted(("bob", "cid"), key=lambda name: people[name].id)]
    create = bytes(16) + b"\x06" + ann.newcomer(0) + b"\x06hikers"
    device_list = ann.lists[1]

    def ends(*chains):
        return u8(len(chains)) + b"".join(u32(device) + u32(generation) + u32(9) + chain for device, generation in chains)

    def made(kind, body, version=1, group=group, device=1, heads=(head,), count=None):
        out = u8(version) + group + author + u32(device) + u64(7) + u8(len(heads) if count is None else count)
        return (out + b"".join(heads) + u8(kind) + body + signature).hex()

    many = [u16(at) + low[2:] for at in range(65)]
    nothing = made(12, b"")
    small = b"\x01" + bytes(31)
    for name, text in (
        ("as made", nothing), ("version 0", made(12, b"", 0)), ("version 2", made(12, b"", 2)), ("empty", ""), ("cut", nothing[:-2]),
        ("a byte more", nothing + "00"), ("kind 0", made(0, b"")), ("kind 14", made(14, b"")),
        ("no heads", made(12, b"", heads=())), ("heads descend", made(12, b"", heads=(high, low))), ("a head twice", made(12, b"", heads=(low, low))),
        ("eight heads", made(12, b"", heads=many[:8])), ("nine heads", made(12, b"", heads=many[:9])), ("more heads counted than there are", made(12, b"", count=4)),
        ("group id zero", made(12, b"", group=bytes(32))), ("device number 0", made(12, b"", device=0)),
        ("create", made(1, create, group=bytes(32), heads=())), ("create with a group id", made(1, create, heads=())),
        ("create with a head", made(1, create, group=bytes(32))), ("create by the account key", made(1, create, group=bytes(32), heads=(), device=0)),
        ("create, settings bit 3", made(1, bytes(16) + b"\x08" + create[17:], group=bytes(32), heads=())),
        ("create, no name", made(1, create[:-7] + b"\0", group=bytes(32), heads=())),
        ("create, account key of small order", made(1, create[:18] + small + create[50:], group=bytes(32), heads=())),
        ("create, record version 2", made(1, create[:17] + b"\x02" + create[18:], group=bytes(32), heads=())),
        ("add", made(2, b"\0" + u8(2) + b"".join(newcomers))), ("add, newcomers descend", made(2, b"\0" + u8(2) + b"".join(newcomers[::-1]))),
        ("add, somebody twice", made(2, b"\0" + u8(2) + newcomers[0] * 2)), ("add nobody", made(2, b"\0\0")),
        ("add, flag 2", made(2, b"\x02" + link + u8(1) + newcomers[0])), ("add, flag 0 and a link", made(2, b"\0" + link + u8(1) + newcomers[0])),
        ("add, device list cut", made(2, b"\0\x01" + newcomers[0][:65] + len16(newcomers[0][67:-1]))),
        ("add, device list with a byte more", made(2, b"\0\x01" + newcomers[0][:65] + len16(newcomers[0][67:] + b"\0"))),
        ("add, device list version 2", made(2, b"\0\x01" + newcomers[0][:67] + b"\x02" + newcomers[0][68:])),
        ("add, device list that its account did not sign: seen later", made(2, b"\0\x01" + newcomers[0][:-1] + u8(newcomers[0][-1] ^ 1))),
        ("remove", made(3, u8(2) + low + ends() + high + ends((1, 1)))), ("remove, descending", made(3, u8(2) + high + ends() + low + ends())),
        ("remove, doubled", made(3, u8(2) + low + ends((1, 1)) + low + ends((1, 2)))), ("remove nobody", made(3, b"\0")),
        ("remove 64", made(3, u8(64) + b"".join(one + b"\0" for one in many[:64]))), ("remove 65", made(3, u8(65) + b"".join(one + b"\0" for one in many))),
        ("five chains", made(3, u8(1) + low + ends((1, 1), (2, 9), (3, 1), (4, 1), (2**32 - 1, 1)))),
        ("six chains", made(3, u8(1) + low + ends(*((device, 1) for device in range(1, 7))))), ("chains descend", made(3, u8(1) + low + ends((2, 1), (1, 1)))),
        ("a chain twice", made(3, u8(1) + low + ends((2, 1), (2, 2)))), ("generation 0", made(3, u8(1) + low + ends((2, 0)))),
        ("device 0 in a chain", made(3, u8(1) + low + ends((0, 1)))),
        ("promote, descending", made(4, u8(2) + high + low)), ("promote, doubled", made(4, u8(2) + low + low)), ("promote nobody", made(4, b"\0")),
        ("promote 65", made(4, u8(65) + b"".join(many))), ("demote nobody", made(5, b"\0")), ("demote, device number 0", made(5, u8(1) + low + ends(), device=0)),
        ("rename to nothing", made(6, b"\0")), ("rename, 201 bytes", made(6, u8(201) + b"x" * 201)), ("rename, not UTF-8", made(6, b"\x02\xc3\x28")),
        ("rename, a surrogate", made(6, b"\x03\xed\xa0\x80")), ("rename, an overlong zero", made(6, b"\x02\xc0\x80")), ("rename, zero", made(6, b"\x01\0")),
        ("describe, 2,049 bytes", made(7, len16(b"x" * 2049))), ("describe, not UTF-8", made(7, len16(b"\xff"))),
        ("settings bit 3", made(8, b"\x08")), ("settings bit 7", made(8, b"\x80")),
        ("open link, uses 0", made(9, link + u16(0) + u64(1) + b"\0")), ("open link, approval 2", made(9, link + u16(1) + u64(1) + b"\x02")),
        ("revoke link, id cut", made(10, link[:15])), ("leave, flag 2", made(11, b"\x02" + low + ends())), ("leave, six chains", made(11, b"\0" + ends(*((device, 1) for device in range(1, 7))))),
        ("leave, device 0 in a chain", made(11, b"\0" + ends((0, 1)))), ("leave by the account key", made(11, b"\0" + ends(), device=0)),
        ("list", made(13, len16(device_list), device=0)), ("list signed by a device", made(13, len16(device_list))),
        ("list of no devices", made(13, len16(device_list[:49] + b"\0" + device_list[-64:]), device=0)),
        ("list, version 0", made(13, len16(device_list[:33] + bytes(4) + device_list[37:]), device=0)),
        ("list, certificate for device 0", made(13, len16(device_list[:50] + bytes(4) + device_list[54:]), device=0)),
    ):  # fmt: skip
        yield f"read: {name}", {"bytes": text, "zeros": 0}
    yield "read: 60,000 bytes", {"bytes": nothing, "zeros": 60000 - len(nothing) // 2}
    yield "read: 60,001 bytes", {"bytes": nothing, "zeros": 60001 - len(nothing) // 2}


def membership(s):
    for name, tell in STORIES.items():
        c = Story(s)
        tell(c, s)
        yield name.replace("_", " "), c.given()


def every_kind_counts(c, s):
    first, second = s.hex(16), s.hex(16)
    c.start(["bob", "cid"], ["dan"])
    c.rename("bob", "walkers")
    c.describe("cid", "over the hills, d\u2019accord")
    c.open("bob", first, uses=2)
    c.open("ann", second, uses=1, approval=True)
    c.add("bob", "eve", link=first)
    c.add("cid", "fay", link=second)
    c.set("ann", 1)
    c.add("dan", "gus")
    c.list("dan", 1)
    c.demote("bob", "cid", chains=[c.chain(1, 2, 3), c.chain(2, 1, 1)])
    c.remove("bob", "cid", "gus", chains=[c.chain(1, 2, 4)])
    c.revoke("ann", first)
    c.leave("ann", "dan", [c.chain(1, 1, 5)])
    c.disband("bob")


def a_member_asks_for_what_only_admins_do(c, s):
    link = s.hex(16)
    c.start(["bob"], ["dan", "eve"])
    c.open("ann", link)
    c.no("dan", "add", "fay")
    c.no("dan", "add", "fay", link=link)
    c.no("dan", "remove", "eve")
    c.no("dan", "remove", "dan")
    c.no("dan", "promote", "eve")
    c.no("dan", "promote", "dan")
    c.no("dan", "demote", "bob")
    c.no("dan", "rename")
    c.no("dan", "describe")
    c.no("dan", "set", 0)
    c.no("dan", "open", s.hex(16))
    c.no("dan", "revoke", link)
    c.no("dan", "disband")
    c.no("dan", "leave", "eve")
    c.leave("dan")
    c.no("dan", "rename")


def settings_let_members_do_it(c, s):
    link = s.hex(16)
    c.start([], ["dan", "eve"], settings=1)
    c.rename("dan")
    c.describe("dan", "ours")
    c.open("dan", link)
    c.add("eve", "fay")
    c.no("eve", "add", "gus", link=link)
    c.no("eve", "revoke", link)
    c.add("dan", "gus", link=link)
    c.revoke("dan", link)
    c.no("dan", "revoke", link)
    c.no("dan", "open", link)
    c.set("ann", 3)
    c.no("dan", "rename")
    c.add("dan", "cid")
    c.set("ann", 4)
    c.rename("dan", "ours")
    c.no("dan", "open", s.hex(16))


def the_line(c, s):
    c.start(["bob", "cid"], ["dan"])
    c.no("bob", "remove", "ann")
    c.no("bob", "demote", "ann")
    c.no("bob", "remove", "bob")
    c.no("bob", "demote", "bob")
    c.no("cid", "demote", "bob")
    c.no("bob", "disband")
    c.no("bob", "promote", "cid")
    c.no("bob", "promote", "fay")
    c.no("bob", "demote", "dan")
    c.no("bob", "demote", "fay")
    c.no("bob", "remove", "fay")
    c.no("bob", "add", "dan")
    c.no("bob", "leave", "cid")
    c.no("bob", "promote", "dan", "cid")
    c.demote("ann", "bob")
    c.no("bob", "rename")
    c.demote("cid", "ann", taken=False)
    c.promote("cid", "bob")
    c.no("bob", "remove", "cid")
    c.leave("ann")
    c.disband("cid")
    c.no("cid", "rename")
    c.no("bob", "leave")


def removed_and_back(c, s):
    link = s.hex(16)
    c.start(["bob"], ["dan"], settings=0)
    c.open("bob", link)
    c.remove("bob", "dan", chains=[c.chain(1, 3, 4)])
    c.no("ann", "add", "dan", link=link)
    c.no("bob", "add", "dan", link=link)
    c.add("ann", "eve")
    c.no("eve", "add", "dan")
    c.remove("ann", "dan", chains=[c.chain(1, 3, 5), c.chain(2, 1, 1)])
    c.remove("ann", "dan", chains=[c.chain(1, 2, 9), c.chain(2, 1, 7)])
    c.add("ann", "dan", which=1)
    c.remove("bob", "dan", chains=[c.chain(1, 1, 1)])
    c.leave("eve", None, [c.chain(1, 9, 9)])
    c.add("bob", "eve", link=link)
    c.leave("eve", None, [c.chain(1, 9, 9)])
    c.remove("ann", "eve", chains=[c.chain(1, 2, 2)])
    c.no("bob", "add", "eve", link=link)


def invite_links(c, s):
    once, late, approved, own = (s.hex(16) for _ in range(4))
    c.start(["bob"], ["dan"])
    c.open("bob", once, uses=1)
    c.no("ann", "add", "eve", link=once)
    c.no("bob", "add", "eve", "fay", link=once)
    c.add("bob", "eve", link=once)
    c.no("bob", "add", "fay", link=once)
    c.no("bob", "open", once)
    c.open("bob", late, expires=5000)
    c.no("bob", "add", "fay", link=late, clock=5001)
    c.add("bob", "fay", link=late, clock=5000)
    c.set("ann", 0)
    c.open("dan", approved, approval=True)
    c.no("dan", "add", "gus", link=approved)
    c.add("ann", "gus", link=approved)
    c.open("dan", own)
    c.no("bob", "add", "cid", link=s.hex(16))
    c.remove("ann", "dan")
    c.no("ann", "add", "cid", link=own)
    c.revoke("bob", own)


def a_link_too_many(c, s):
    last = c.start(["bob"])
    for _ in range(15):
        last = c.open("ann", s.hex(16))
    c.open("ann", s.hex(16), after=[last])
    c.open("bob", s.hex(16), after=[last])
    c.no("bob", "open", s.hex(16))


def the_last_admin(c, s):
    c.start([], ["dan", "eve"])
    c.no("ann", "leave")
    c.no("ann", "leave", "fay")
    c.no("ann", "leave", "ann")
    c.leave("ann", "eve")
    c.remove("eve", "dan")
    c.leave("eve")
    c.no("eve", "rename")


def device_lists(c, s):
    c.start(["bob"], ["dan"])
    c.list("dan", 1)
    c.no("dan", "list", 1)
    c.no("dan", "list", 0)
    c.no("dan", "list", 4)
    c.no("dan", "leave", device=1)
    c.list("dan", 2)
    c.no("dan", "list", 3)
    c.no("bob", "rename", device=2)
    c.list("bob", 1)
    c.no("bob", "rename", device=1)
    c.rename("bob")
    c.leave("dan", device=2)
    c.no("dan", "list", 3)
    # Not with an older list than the group had known: the very one, or a newer one.
    c.no("ann", "add", "dan", which=0)
    c.add("ann", "dan", which=2)


def not_taken(c, s):
    last = c.start(["bob"], ["dan"])
    bad = c.no("bob", "rename", change=[flip(40)])
    c.no("bob", "rename", "w1", change=[flip(85)])
    long = c.no("bob", "rename", "w2", change=[flip(34 + 32 + 4 + 8 + 1 + 32 + 12 + 40)])
    c.rename("bob", "w3", after=[last, bad], taken=False)
    c.rename("bob", "w4", after=[long], taken=False)
    c.no("fay", "rename")
    c.no("fay", "leave", device=None)
    c.no("fay", "list", 0)
    good = c.rename("bob", "w5")
    c.rename("ann", "w6", after=[last, good], taken=False)
    other = c.create("bob", taken=False)
    c.rename("bob", "w7", after=[other], group=other, taken=False)
    c.rename("bob", "w8", group=other, taken=False)
    c.create("ann", taken=False)
    c.person("gus")
    c.people["gus"]["lists"][1]["change"] = [flip(95)]
    c.people["gus"]["lists"][2]["change"] = [flip(260)]
    c.people["dan"]["lists"][1]["change"] = [flip(161)]
    c.no("ann", "add", "gus", which=1)
    c.no("ann", "add", "cid", "gus", which=2)
    c.no("dan", "list", 1)
    c.describe("ann", "still here")


def signed_by_another_key(c, s):
    c.start(["bob"], ["dan"])
    # Device 1 of another list: what it signs is signed by nobody in the group.
    c.no("bob", "rename", device=3)
    c.no("bob", "rename", device=2)
    c.rename("bob", device=1)


def removal_beside_settings(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.remove("ann", "cid", after=[at])
    c.set("cid", 0, after=[at])
    c.set("bob", 3, after=[at])
    c.rename("dan", taken=False)


def the_same_person_added_twice(c, s):
    at = c.start(["bob"], ["dan"], settings=0)
    c.add("ann", "eve", after=[at])
    c.add("bob", "eve", "fay", after=[at], which=2)
    c.add("dan", "eve", after=[at])
    c.promote("ann", "eve")


def better_placed_has_the_last_word(c, s):
    at = c.start(["bob", "cid"], ["dan"], settings=0)
    c.rename("ann", "anns", after=[at])
    c.rename("bob", "bobs", after=[at])
    c.rename("dan", "dans", after=[at])
    later = c.rename("cid", "cids", after=[at])
    c.describe("cid", "later", after=[later])
    c.set("bob", 2, after=[at])
    c.set("ann", 6, after=[at])
    c.promote("ann", "dan", after=[at])
    c.promote("bob", "dan", after=[at])


def link_beside_removal(c, s):
    link = s.hex(16)
    c.start(["bob"], ["dan"], settings=0)
    at = c.open("dan", link)
    c.remove("ann", "eve", "dan", after=[at], taken=False)
    c.remove("bob", "dan", after=[at])
    c.add("dan", "eve", link=link, after=[at])
    c.no("dan", "add", "fay")


def links_beside(c, s):
    once, revoked, twice = (s.hex(16) for _ in range(3))
    c.start(["bob", "cid"], [])
    c.open("bob", once, uses=1)
    at = c.open("bob", revoked)
    c.add("bob", "dan", link=once, after=[at])
    c.add("bob", "eve", link=once, after=[at])
    c.add("bob", "fay", link=revoked, after=[at])
    c.revoke("cid", revoked, after=[at])
    c.revoke("ann", revoked, after=[at])
    c.open("bob", twice, uses=3, after=[at])
    c.open("ann", twice, uses=5, after=[at])


def approval_beside_a_demotion(c, s):
    link = s.hex(16)
    c.start(["bob", "cid"], [])
    at = c.open("bob", link, approval=True, uses=1)
    c.add("cid", "dan", link=link, after=[at])
    c.demote("ann", "cid", after=[at])
    c.add("bob", "eve", link=link, after=[at])


def two_admins_remove_each_other(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.remove("cid", "dan", after=[at])
    two = c.tips[0]
    c.remove("bob", "cid", after=[at])
    c.no("bob", "remove", "ann")
    c.demote("cid", "ann", after=[two], taken=False)
    c.add("cid", "fay", after=[two])


def two_admins_who_stand_alike(c, s):
    # Each promoted in a branch of its own; each was a plain member for the other.
    at = c.start(["bob"], ["cid", "dan", "eve"])
    cid = c.promote("ann", "cid", after=[at])
    dan = c.promote("bob", "dan", after=[at])
    c.remove("cid", "dan", after=[cid])
    c.remove("dan", "cid", after=[dan])
    c.rename("eve", taken=False)


def two_lines_that_grew_apart(c, s):
    at = c.start(["bob"], ["cid", "dan", "eve"])
    one = c.promote("cid", "dan", after=[c.promote("ann", "cid", after=[at])])
    other = c.promote("bob", "eve", after=[at])
    c.remove("dan", "eve", after=[one])
    c.remove("eve", "dan", after=[other])
    c.remove("eve", "cid", after=[other])


def what_does_not_count_voids_nothing(c, s):
    # dan stands better than cid, who removes him as a plain member: what dan had voided by then counts.
    at = c.start(["bob"], ["cid", "dan", "eve", "fay"], settings=0)
    dan = c.promote("ann", "dan", after=[at])
    cid = c.promote("bob", "cid", after=[at])
    c.remove("dan", "eve", after=[dan])
    c.rename("eve", after=[at])
    c.remove("cid", "dan", after=[cid])
    c.remove("eve", "fay", after=[c.promote("cid", "eve", after=[cid])])


def demoted_and_promoted_again(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.demote("ann", "bob", chains=[c.chain(1, 1, 9)])
    back = c.promote("ann", "bob")
    c.no("bob", "remove", "cid")
    c.remove("cid", "bob", after=[back])
    c.remove("bob", "dan", after=[back])
    c.remove("bob", "cid", after=[at])


def promoted_again_beside_the_demotion(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.demote("ann", "bob", after=[at])
    c.promote("cid", "dan", after=[at])
    taken = c.demote("bob", "cid", after=[at])
    c.promote("bob", "cid", after=[taken])
    c.leave("bob", after=[at])


def a_state_goes_back(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    one = c.remove("cid", "dan", after=[at])
    two = c.rename("bob", after=[one])
    c.add("ann", "fay", after=[two])
    # Comes late: what all have built on is void.
    c.remove("bob", "cid", after=[at])


def a_removed_admin_backdates(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    out = c.remove("bob", "cid", after=[at])
    c.rename("ann", after=[out])
    c.remove("cid", "bob", after=[at], taken=False)
    c.set("cid", 0, after=[at])
    c.add("cid", "fay", after=[at])
    c.remove("cid", "dan", after=[at])
    c.promote("cid", "dan", after=[at])
    c.no("cid", "add", "cid", after=[out])


def a_removed_admin_backdates_behind_a_leave(c, s):
    # bob, who removed cid, has left: in a branch that cid makes for himself he knows of that and is behind nobody.
    at = c.start(["bob", "cid"], ["dan"])
    c.remove("bob", "cid", after=[at])
    gone = c.leave("ann", after=[at])
    c.no("cid", "remove", "bob", after=[gone])
    c.remove("cid", "ann", "dan", after=[gone])
    c.promote("cid", "dan", after=[gone])


def an_accomplice_builds_on_it(c, s):
    at = c.start(["bob", "cid"], ["dan", "eve"])
    c.remove("bob", "cid", after=[at])
    given = c.promote("cid", "dan", after=[at])
    c.remove("dan", "eve", after=[given])
    c.add("dan", "fay", after=[given])
    c.rename("dan", after=[given])
    c.promote("dan", "cid", after=[given], taken=False)
    c.add("ann", "cid")


def beside_what_all_joined(c, s):
    at = c.start(["bob"], ["dan", "eve", "fay", "gus"])
    dan = c.promote("ann", "dan", after=[at])
    eve = c.promote("bob", "eve", after=[at])
    fay = c.promote("bob", "fay", after=[eve])
    c.remove("fay", "dan", after=[fay])
    c.remove("eve", "fay", after=[fay])
    c.rename("ann")
    c.remove("dan", "gus")
    # Two that have nothing to do with all this, and stand beside what all joined.
    c.list("gus", 1, after=[at])
    c.rename("bob", "climbers", after=[at])


def added_again_by_who_knew(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    out = c.remove("bob", "dan", after=[at])
    c.add("cid", "fay", after=[at])
    c.remove("cid", "dan", after=[at])
    # Of one removal. Then of both.
    c.add("ann", "dan", after=[out])
    c.add("bob", "dan")


def who_left_removes_the_one_who_confirms(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    gone = c.leave("bob", None, [c.chain(1, 2, 2)], after=[at])
    c.remove("cid", "bob", after=[gone], chains=[c.chain(1, 1, 7)])
    c.remove("bob", "cid", after=[at])
    c.rename("bob", after=[at])


def a_backdated_leave_undoes_nothing(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.remove("bob", "dan", after=[at])
    c.demote("bob", "cid", after=[at])
    c.leave("bob", after=[at])
    c.leave("cid", after=[at])


def a_removed_admin_confirms_anothers_leave(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.remove("ann", "cid", after=[at])
    gone = c.leave("dan", None, [c.chain(1, 1, 5)], after=[at])
    c.remove("cid", "dan", after=[gone], chains=[c.chain(1, 1, 1)])
    c.add("bob", "dan", after=[gone])


def the_last_two_admins_leave_at_once(c, s):
    at = c.start(["bob"], ["dan", "eve"])
    c.leave("ann", after=[at])
    c.leave("bob", after=[at])
    c.rename("dan")


def a_leave_beside_its_removal(c, s):
    at = c.start(["bob"], ["dan", "eve"])
    c.leave("dan", after=[at])
    c.leave("bob", "eve", after=[at])
    c.remove("ann", "dan", "bob", after=[at])


def leave_with_a_successor_who_is_removed(c, s):
    at = c.start(["bob"], ["dan", "eve"])
    c.leave("bob", "dan", after=[at])
    c.remove("ann", "dan", after=[at])
    two = c.leave("ann", "eve", after=[at])
    c.rename("eve", after=[two])


def leave_with_a_successor_beside_a_demotion(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.leave("cid", "dan", after=[at])
    c.demote("bob", "cid", after=[at])
    c.leave("bob", "dan", after=[at])


def a_stolen_device(c, s):
    at = c.start(["bob"], ["dan", "eve"], settings=0)
    c.add("dan", "fay", after=[at], device=1)
    c.rename("dan", after=[at], device=0)
    c.leave("dan", after=[at], device=1)
    c.describe("dan", "mine", after=[at], device=1)
    c.list("dan", 1, after=[at])
    c.describe("dan", "ours", device=0)


def a_stolen_device_of_an_admin(c, s):
    # The thief removes who stands behind, and who would have removed him; the account drops the device.
    at = c.start(["bob", "cid"], ["dan"])
    c.remove("bob", "cid", after=[at], device=1)
    c.promote("bob", "dan", after=[at], device=1)
    c.list("bob", 1, after=[at])
    c.remove("cid", "dan", after=[at])
    c.leave("bob", after=[at], device=None)


def a_backdated_list_of_a_removed_admin(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.remove("cid", "dan", after=[at], device=1)
    c.remove("bob", "cid", after=[at])
    c.list("cid", 1, after=[at])


def two_lists_beside(c, s):
    at = c.start(["bob"], ["dan"], settings=0)
    c.list("dan", 1, after=[at])
    c.list("dan", 2, after=[at])
    c.rename("dan", device=1, after=[at])
    c.rename("dan", device=0, after=[at])


def promoted_while_the_list_drops_a_device(c, s):
    at = c.start(["bob"], ["dan", "eve"])
    led = c.promote("ann", "dan", after=[at])
    c.remove("dan", "eve", after=[led], device=1)
    c.list("dan", 1, after=[at])
    c.remove("bob", "fay", after=[led], taken=False)
    c.add("bob", "fay", after=[led])


def disband_beside_others(c, s):
    at = c.start(["bob"], ["dan"])
    c.rename("bob", after=[at])
    c.add("ann", "fay", after=[at])
    c.leave("dan", after=[at])
    c.disband("ann", after=[at])
    c.no("bob", "rename")


def disband_by_who_is_removed(c, s):
    at = c.start(["bob"], ["dan"])
    led = c.leave("ann", after=[at])
    c.disband("bob", after=[led])
    c.remove("ann", "bob", after=[at])


def one_act_of_several_is_void(c, s):
    at = c.start(["bob"], ["dan", "eve"])
    c.promote("bob", "dan", "eve", after=[at])
    c.remove("ann", "dan", after=[at])
    c.add("bob", "fay", "gus", after=[at])
    c.add("ann", "gus", after=[at])


def removed_by_two(c, s):
    at = c.start(["bob", "cid"], ["dan"])
    c.remove("bob", "dan", after=[at], chains=[c.chain(1, 2, 2), c.chain(2, 1, 9)])
    c.remove("cid", "dan", after=[at], chains=[c.chain(1, 2, 1), c.chain(3, 1, 1)])
    c.remove("ann", "dan", after=[at], chains=[c.chain(1, 1, 99)])


def nobody_leads(c, s):
    at = c.start(["bob"], ["dan", "eve"])
    gone = c.leave("ann", after=[at])
    c.remove("ann", "bob", after=[at])
    c.leave("eve", after=[gone])


def joined_and_then_demoted(c, s):
    # cid's removal of dan is void before ann joins both ends: dan's is void, too, whether or not all is joined there.
    at = c.start(["bob", "cid", "dan"], ["eve"])
    taken = c.remove("bob", "cid", after=[at])
    void = c.remove("cid", "dan", after=[at])
    joined = c.rename("ann", after=[taken, void])
    demoted = c.demote("ann", "dan", after=[joined])
    beside = c.add("dan", "fay", after=[joined])
    c.leave("fay", after=[demoted, beside], taken=False)
    c.promote("ann", "eve", after=[demoted, beside])


def not_joined_and_then_demoted(c, s):
    joined_and_then_demoted(c, s)
    c.describe("bob", "late", after=[4 + 1])


def joined_twice(c, s):
    # What an admin did beside a demotion is void, before and behind what all join.
    at = c.start(["bob", "cid", "dan"], ["eve"])
    for first, second in (("cid", "dan"), ("bob", "cid")):
        one = c.demote(first, second, after=[at])
        two = c.promote(second, "eve", after=[at])
        three = c.rename("ann", after=[at])
        at = c.describe("ann", first, after=[one, two, three])
    c.remove("ann", "bob", after=[at])
    c.promote("bob", "eve", after=[at])


STORIES = {
    tell.__name__: tell
    for tell in (
        every_kind_counts, a_member_asks_for_what_only_admins_do, settings_let_members_do_it, the_line, removed_and_back, invite_links,
        a_link_too_many, the_last_admin, device_lists, not_taken, signed_by_another_key, removal_beside_settings, the_same_person_added_twice,
        better_placed_has_the_last_word, link_beside_removal, links_beside, approval_beside_a_demotion, two_admins_remove_each_other,
        two_admins_who_stand_alike, two_lines_that_grew_apart, what_does_not_count_voids_nothing, demoted_and_promoted_again, promoted_again_beside_the_demotion, a_state_goes_back, a_removed_admin_backdates,
        a_removed_admin_backdates_behind_a_leave, an_accomplice_builds_on_it, added_again_by_who_knew, beside_what_all_joined, who_left_removes_the_one_who_confirms,
        a_backdated_leave_undoes_nothing, a_removed_admin_confirms_anothers_leave, the_last_two_admins_leave_at_once, a_leave_beside_its_removal,
        leave_with_a_successor_who_is_removed, leave_with_a_successor_beside_a_demotion, a_stolen_device, a_stolen_device_of_an_admin,
        a_backdated_list_of_a_removed_admin, two_lists_beside, promoted_while_the_list_drops_a_device, disband_beside_others,
        disband_by_who_is_removed, one_act_of_several_is_void, removed_by_two, nobody_leads, joined_and_then_demoted, not_joined_and_then_demoted,
        joined_twice,
    )
}  # fmt: skip
