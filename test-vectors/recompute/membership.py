"""Section 18: changes of a group, and the one state that a set of them makes. Plain: every question is answered from the
first change on, each time."""

import functools

from .group_change import KINDS, Change, devices_of, heads_hash, list_problem
from .identity import account_id, list_relation, make_list, make_record, read_list
from .primitives import Refused, attempt, change as altered, sha256, sign, u8, u16, u32, u64, len16, unhex, verify

LAST = (2**32, 0)  # how somebody stands who is no admin
AT_THE_END = 2**32  # "after all acts" of a change


# The state


class State:
    def __init__(self):
        self.members = {}  # account: {record, list, added_by, link}, in the order in which they came
        self.admins = {}  # account: what made them so, (change, number of the act)
        self.name, self.description, self.settings = "", "", 0
        self.links = {}  # id: {maker, uses, expires, approval}
        self.used_links = set()
        self.former = {}  # account: ("removed" or "left", {device: chain})
        self.last_lists = {}  # of who was a member: the last list that the group knew
        self.offices = {}  # account: {device: chain}
        self.disbanded = False

    def devices(self, account):
        return devices_of(self.members[account]["list"])

    def standing(self, account, order):
        """How an account stands, by the order of standing of the changes."""
        if account not in self.admins:
            return LAST
        change, number = self.admins[account]
        return order[change], number

    def line(self, order):
        return sorted(self.admins, key=lambda account: self.standing(account, order))


def higher(one, other):
    """For each device the higher of both."""
    together = dict(one)
    for device, chain in other.items():
        together[device] = max(chain, together.get(device, chain))
    return together


def by_device(chains):
    return {device: (generation, following, chain) for device, generation, following, chain in chains}


@functools.cache
def verified_once(key, signature, signed):
    try:
        verify(key, signature, b"Subrosa group change v1", signed)
    except Refused:
        return False
    return True


newer = functools.cache(lambda seen, known: list_relation(known, seen) == "newer")


def need(true, otherwise):
    if not true:
        raise Refused(otherwise)


def judge(state, change, act, order):
    """Refuses an act that does not count in the state."""
    what, whom = act
    author = change.author
    if what == "create":
        return
    need(not state.disbanded, "disbanded")
    need(author in state.members, "author no member")
    need(change.device in (0, *state.devices(author)), "unknown device")
    admin, settings = author in state.admins, state.settings

    def behind(account):
        return account != author and state.standing(account, order) > state.standing(author, order)

    if what == "add":
        account, link = whom[0], change.body["link"]
        need(admin or not settings & 4, "no admin")
        need(account not in state.members, "already a member")
        need(len(state.members) < 256, "full")
        known = state.last_lists.get(account)
        need(known in (None, whom[2]) or newer(whom[2], known), "old list")
        if account in state.former and state.former[account][0] == "removed":
            need(admin and link is None, "was removed")
        if link is not None:
            need(link in state.links, "bad link")
            opened = state.links[link]
            need(change.clock <= opened["expires"], "link expired")
            need(admin if opened["approval"] else author == opened["maker"], "bad link")
    elif what == "remove":
        need(admin, "no admin")
        need(whom[0] in state.members or whom[0] in state.former, "no member")
        need(behind(whom[0]), "stands ahead")
    elif what == "promote":
        need(admin, "no admin")
        need(whom in state.members, "no member")
        need(whom not in state.admins, "same role")
    elif what == "demote":
        need(admin, "no admin")
        need(whom[0] in state.members, "no member")
        need(whom[0] in state.admins, "same role")
        need(behind(whom[0]), "stands ahead")
    elif what in ("rename", "describe"):
        need(admin or not settings & 2, "no admin")
    elif what == "set":
        need(admin, "no admin")
    elif what == "open link":
        need(admin or not settings & 4, "no admin")
        need(whom["link"] not in state.used_links, "bad link")
        need(len(state.links) < 16, "too many links")
    elif what == "revoke link":
        need(whom["link"] in state.links, "bad link")
        need(admin or state.links[whom["link"]]["maker"] == author, "no admin")
    elif what == "disband":
        need(admin and state.line(order)[0] == author, "not first")
    elif what == "list":
        need(newer(whom["list"], state.members[author]["list"]), "old list")


def apply(state, change, number, act):
    what, whom = act
    author = change.author
    if what == "create":
        account, record, devices = whom["newcomer"]
        state.members[account] = {"record": record, "list": devices, "added_by": account, "link": None}
        state.admins[account] = (change.id, number)
        state.name, state.settings = whom["name"], whom["settings"]
    elif what == "add":
        account, record, devices = whom
        link = change.body["link"]
        state.members[account] = {"record": record, "list": devices, "added_by": author, "link": link}
        if link is not None:
            state.links[link]["uses"] -= 1
            if state.links[link]["uses"] == 0:
                del state.links[link]
    elif what == "remove":
        account, chains = whom[0], by_device(whom[1])
        if account not in state.members and state.former[account][0] == "removed":
            chains = higher(state.former[account][1], chains)
        if account in state.members:
            state.last_lists[account] = state.members.pop(account)["list"]
        state.admins.pop(account, None)
        state.former[account] = ("removed", chains)
    elif what == "promote":
        state.admins[whom] = (change.id, number)
    elif what == "demote":
        del state.admins[whom[0]]
        state.offices[whom[0]] = by_device(whom[1])
    elif what == "rename":
        state.name = whom["name"]
    elif what == "describe":
        state.description = whom["text"]
    elif what == "set":
        state.settings = whom["settings"]
    elif what == "open link":
        state.links[whom["link"]] = {name: whom[name] for name in ("uses", "expires", "approval")} | {"maker": author}
        state.used_links.add(whom["link"])
    elif what == "revoke link":
        del state.links[whom["link"]]
    elif what == "leave":
        state.last_lists[author] = state.members.pop(author)["list"]
        state.admins.pop(author, None)
        state.former[author] = ("left", by_device(whom))
    elif what == "disband":
        state.disbanded = True
    elif what == "list":
        state.members[author]["list"] = whom["list"]
    if not state.admins and state.members:
        state.admins[next(iter(state.members))] = (change.id, AT_THE_END)


# The set


class Group:
    def __init__(self):
        self.changes = {}  # id: Change
        self.seen = {}  # id: the ids of all that it had seen
        self.void_seen = {}  # id: what was void in its author's view
        self.made = {}  # id: what had made its author an admin in its view; None if nothing

    def heads(self):
        return [one for one in self.changes if not any(one in seen for seen in self.seen.values())]

    def with_seen(self, heads):
        return set(heads).union(*(self.seen[head] for head in heads))

    # Taking a change

    def take(self, change):
        """Takes it or refuses it. Its heads are known."""
        seen = self.with_seen(change.heads)
        view, _, void = self.resolve(seen)
        order = self.order(seen)
        if change.kind == "create":
            account, record, devices = change.body["newcomer"]
            need(change.author == account and change.device in devices_of(devices), "bad signature")
            key = devices_of(devices)[change.device]
        else:
            need(change.author in view.members, "author no member")
            record, devices = view.members[change.author]["record"], view.devices(change.author)
            need(change.device == 0 or change.device in devices, "unknown device")
            key = devices[change.device] if change.device else record[1:33]
        need(verified_once(key, change.signature, change.bytes[:-64]), "bad signature")
        carried = [(record, change.body["list"])] if change.kind == "list" else []
        if change.kind in ("create", "add"):
            carried = [newcomer[1:] for newcomer in change.body.get("newcomers", [change.body.get("newcomer")])]
        for record, devices in carried:
            need(list_problem(record, devices) is None, "bad list")
        made = view.admins.get(change.author)
        # What a change of its own does stands behind all that it had seen.
        order[change.id] = len(order)
        for number, (what, whom) in enumerate(change.acts()):
            judge(view, change, (what, whom), order)
            if what == "leave":
                need(list(view.admins) != [change.author] or len(view.members) == 1, "last admin")
            apply(view, change, number, (what, whom))
        need(not any(one in self.seen[other] for one in change.heads for other in change.heads), "heads")
        need(len(self.changes) < (17408 if change.kind in ("remove", "demote", "leave", "disband") else 16384), "too many changes")
        self.changes[change.id], self.made[change.id] = change, made
        self.seen[change.id], self.void_seen[change.id] = self.with_seen(change.heads), void

    # Resolution

    def beside(self, one, among):
        return [other for other in among if other != one and other not in self.seen[one] and one not in self.seen[other]]

    def order(self, among):
        """The order of standing: {change: its place in it}."""
        order = {}
        while len(order) < len(among):
            ready = [one for one in among if one not in order and all(head in order for head in self.changes[one].heads)]
            order[min(ready, key=lambda one: (self.standing(one, order), one))] = len(order)
        return order

    def standing(self, one, order):
        if self.made[one] is None:
            return LAST
        change, number = self.made[one]
        return order[change], number

    def resolve(self, among):
        """(state, verdicts, void acts) of these changes, of which none had seen another that is not among them."""
        order = self.order(among)
        takings = []
        for one in among:
            for number, (what, _) in enumerate(self.changes[one].acts()):
                if what in ("remove", "demote"):
                    takings.append((self.standing(one, order), 1, one, number))
                elif what == "list":
                    takings.append((self.list_standing(one, among, order), 0, one, number))
        from_the_start = {}
        while True:
            void = dict(from_the_start)  # (change, number of the act): its verdict
            voiding = self.take_away(takings, among, order, void)
            # Those that voided something themselves, and do not count: by one that does.
            again = {
                act: void[act]
                for act in voiding
                if act in void and void[act][0] == "void" and void[act][1] not in void
            }
            if not again:
                break
            from_the_start |= again
        return *self.walk(among, void, order), void

    def take_away(self, takings, among, order, void):
        """Adds to `void`. Those that got as far as voiding."""
        waiting, voiding = list(takings), []
        while waiting:
            waiting.sort()
            _, class_, one, number = waiting.pop(0)
            if (one, number) in void:
                continue
            change = self.changes[one]
            beside = self.beside(one, among)
            if class_ == 1 and any(self.leaves(other, change.author, void) for other in beside):
                waiting.append((LAST, 2, one, number))
                continue
            state, _ = self.walk(self.seen[one], self.void_seen[one] | void, order)
            act = change.acts()[number]
            try:
                judge(state, change, act, order)
            except Refused as reason:
                # These two are about T.
                if str(reason) not in ("no member", "same role"):
                    void[one, number] = ("refused", str(reason))
                    continue
            voiding.append((one, number))
            for other in beside:
                for at, its in enumerate(self.changes[other].acts()):
                    if self.voids(state, change, act, self.changes[other], its):
                        void.setdefault((other, at), ("void", (one, number)))
        return voiding

    def list_standing(self, one, among, order):
        change = self.changes[one]
        held = devices_of(change.body["list"])
        beside = [self.changes[other] for other in self.beside(one, among)]
        dropped = [other.id for other in beside if other.author == change.author and other.device not in (0, *held)]
        return min(self.standing(other, order) for other in [one, *dropped])

    def leaves(self, one, author, void):
        change = self.changes[one]
        return change.kind == "leave" and change.author == author and (one, len(change.acts()) - 1) not in void

    def voids(self, state, taking, act, other, its):
        """Whether the act `act` of `taking`, which counts in `state`, voids the act `its` of `other`, which is beside it."""
        what, whom = act
        if what == "list":
            had, has = state.devices(taking.author), devices_of(whom["list"])
            return other.author == taking.author and other.device in had and other.device not in has
        target = whom[0]
        if other.author == target:
            return what == "remove" or its[0] != "leave"
        if its[0] == "promote":
            return its[1] == target
        return what == "remove" and its[0] == "add" and its[1][0] == target

    def walk(self, among, void, order):
        state, verdicts, left, walked = State(), {}, set(among), set()
        while left:
            ready = [one for one in left if all(head in walked for head in self.changes[one].heads)]
            one = min(ready, key=lambda one: self.turn(one, void, order))
            left.remove(one)
            walked.add(one)
            change = self.changes[one]
            for number, act in enumerate(change.acts()):
                if (one, number) in void:
                    verdicts[one, number] = void[one, number]
                    continue
                try:
                    judge(state, change, act, order)
                except Refused as reason:
                    verdicts[one, number] = ("refused", str(reason))
                else:
                    apply(state, change, number, act)
                    verdicts[one, number] = ("counts", None)
        return state, verdicts

    def turn(self, one, void, order):
        change = self.changes[one]
        if all((one, number) in void for number in range(len(change.acts()))):
            return (0, one)
        standing = self.standing(one, order)
        return (1, {"leave": 1, "disband": 2}.get(change.kind, 0), -standing[0], -standing[1], one)


# What a case says


made_list = functools.cache(make_list)


class Person:
    def __init__(self, given):
        self.seed = unhex(given["account_seed"])
        self.record = make_record(self.seed, unhex(given["recovery_commitment"]))
        self.id = account_id(self.record)
        self.devices = [(one["device"], unhex(one["identity_seed"]), one.get("list_version")) for one in given["devices"]]
        self.lists = [
            altered(
                made_list(self.seed, self.id, one["version"], one["issued_ms"], one["highest"],
                          tuple(self.devices[at] for at in one["devices"])),
                one.get("change", []),
            )
            for one in given["lists"]
        ]  # fmt: skip

    def newcomer(self, at):
        return self.record + len16(self.lists[at])


def chains_bytes(chains):
    written = [u32(one["device"]) + u32(one["generation"]) + u32(one["next"]) + unhex(one["chain"]) for one in chains]
    return u8(len(chains)) + b"".join(written)


def optional(value):
    return b"\0" if value is None else b"\x01" + value


def several(entries):
    """Count and (id, bytes), ascending by id."""
    return u8(len(entries)) + b"".join(entry[1] for entry in sorted(entries))


def body_bytes(given, people):
    kind = given["kind"]
    if kind == "create":
        return unhex(given["random"]) + u8(given["settings"]) + people[given["author"]].newcomer(given["list"]) + name_bytes(given)
    if kind == "add":
        coming = [(people[one["who"]].id, people[one["who"]].newcomer(one["list"])) for one in given["newcomers"]]
        return optional(given["link"] and unhex(given["link"])) + several(coming)
    if kind in ("remove", "demote"):
        return several([(people[one["who"]].id, people[one["who"]].id + chains_bytes(one["chains"])) for one in given["endings"]])
    if kind == "promote":
        return several([(people[who].id, people[who].id) for who in given["accounts"]])
    if kind == "rename":
        return name_bytes(given)
    if kind == "describe":
        return len16(given["text"].encode())
    if kind == "set":
        return u8(given["settings"])
    if kind == "open link":
        return unhex(given["link"]) + u16(given["uses"]) + u64(given["expires_ms"]) + u8(given["approval"])
    if kind == "revoke link":
        return unhex(given["link"])
    if kind == "leave":
        successor = given["successor"]
        return optional(successor and people[successor].id) + chains_bytes(given["chains"])
    if kind == "list":
        return len16(people[given["author"]].lists[given["list"]])
    return b""


def name_bytes(given):
    name = given["name"].encode()
    return u8(len(name)) + name


@functools.cache
def signed_once(seed, made):
    return made + sign(seed, b"Subrosa group change v1", made)


def change_bytes(given, people, group, heads):
    """A change, signed. `device` is the number of one of the author's devices in the case, or null: the account key."""
    author = people[given["author"]]
    device, seed = (0, author.seed) if given["device"] is None else author.devices[given["device"]][:2]
    made = b"\x01" + group + author.id + u32(device) + u64(given["clock"]) + u8(len(heads)) + b"".join(sorted(heads))
    made += u8(1 + KINDS.index(given["kind"])) + body_bytes(given, people)
    return altered(signed_once(seed, made), given.get("change", []))


def everybody(given):
    people = {name: Person(one) for name, one in given["people"].items()}
    return people, {name: one.id.hex() for name, one in people.items()}


def changes(given):
    if "bytes" in given:
        seen = unhex(given["bytes"]) + bytes(given["zeros"])
        return {}, attempt(lambda: {"change_id": Change(seen).id.hex()}, {"sha256": sha256(seen).hex()})
    people, ids = everybody(given)
    made = change_bytes(given["change"], people, unhex(given["group"]), [unhex(one) for one in given["heads"]])
    return {"accounts": ids}, {"bytes": made.hex(), "change_id": Change(made).id.hex()}


def offer_all(offered):
    """The set, and why changes are not in it. A change that waits is looked at again whenever one was taken."""
    group, refused, waiting = Group(), {}, []
    for change in offered:
        own = bytes(32) if change is offered[0] else offered[0].id
        if change.group != own:
            refused[change.id] = "other group"
            continue
        waiting.append(change)
        ready = True
        while ready:
            ready = [one for one in waiting if all(head in group.changes for head in one.heads)]
            for one in ready:
                waiting.remove(one)
                try:
                    group.take(one)
                except Refused as reason:
                    refused[one.id] = str(reason)
    return group, refused | {one.id: "waits" for one in waiting}


def chains_shown(chains):
    return [
        {"device": device, "generation": generation, "next": following, "chain": chain.hex()}
        for device, (generation, following, chain) in sorted(chains.items())
    ]


def state_shown(state, names, order):
    def by_name(values):
        return sorted(values.items(), key=lambda one: names[one[0]])

    return {
        "members": [
            {"who": names[account], "list_version": read_list(one["list"])[1], "devices": list(state.devices(account)),
             "added_by": names[one["added_by"]], "link": one["link"] and one["link"].hex()}
            for account, one in state.members.items()
        ],
        "line": [names[account] for account in state.line(order)],
        "name": state.name, "description": state.description, "settings": state.settings,
        "links": [
            {"link": link.hex(), "maker": names[one["maker"]], "uses": one["uses"], "expires_ms": one["expires"], "approval": one["approval"]}
            for link, one in sorted(state.links.items())
        ],
        "former": [{"who": names[account], "ended": how, "chains": chains_shown(chains)} for account, (how, chains) in by_name(state.former)],
        "offices": [{"who": names[account], "chains": chains_shown(chains)} for account, chains in by_name(state.offices)],
        "disbanded": state.disbanded,
    }  # fmt: skip


def membership(given):
    people, ids = everybody(given)
    offered = []
    for one in given["changes"]:
        first = one["kind"] == "create"
        group = bytes(32) if first else offered[one.get("group", 0)].id
        offered.append(Change(change_bytes(one, people, group, [offered[head].id for head in one["heads"]])))
    numbers = {change.id: number for number, change in enumerate(offered)}
    group, refused = offer_all(offered)
    state, verdicts, _ = group.resolve(group.changes)
    shown = []
    for change in offered:
        entry = {"id": change.id.hex(), "taken": change.id in group.changes}
        if change.id in refused:
            entry["refused"] = refused[change.id]
        else:
            acts = [verdicts[change.id, number] for number in range(len(change.acts()))]
            words = {"counts": lambda _: "counts", "void": lambda by: {"void": numbers[by[0]]}, "refused": lambda why: {"refused": why}}
            entry["acts"] = [words[what](about) for what, about in acts]
        shown.append(entry)
    names = {person.id: name for name, person in people.items()}
    outputs = {"changes": shown, "state": state_shown(state, names, group.order(group.changes)), "heads_hash": heads_hash(group.heads()).hex()}
    return {"accounts": ids}, outputs
