#!/usr/bin/env python3
"""Recomputes Subrosa's test vectors without any of Subrosa's code.

    python3 -m venv .venv && .venv/bin/pip install -r test-vectors/requirements.txt
    .venv/bin/python test-vectors/verify.py                the checked-in files, test-vectors/v1
    .venv/bin/python test-vectors/verify.py --fresh DIR    files that Rust made just now (test-vectors/README.md)
    .venv/bin/python test-vectors/verify.py --self-test    shows that a changed digit anywhere is noticed

Needs no network. Prints one line for each construction; exit code 0 if every value of every case is equal.
"""

import copy
import json
import multiprocessing
import pathlib
import random
import re
import sys
import tempfile

import jsonschema

from recompute import primitives
from recompute.registry import CONSTRUCTIONS, compute

HERE = pathlib.Path(__file__).parent
CHECKED_IN = HERE / "v1"
SCHEMA = jsonschema.Draft202012Validator(json.loads((HERE / "schema.json").read_text(encoding="utf-8")))

# What Rust makes anew each run. Frames, links and ids are functions of their inputs without randomness.
FRESH = ("account", "device-certificate", "device-list", "prekeys", "ml-kem-1024", "x3dh", "pqxdh", "double-ratchet",
         "seal", "safety-number", "relay-proofs", "keys", "recovery-words", "key-schedule",
         "link-secret", "message-id", "sender-key", "group-change", "membership")  # fmt: skip


def differences(expected, found, path=""):
    """Paths of the values that are not equal."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys()):
            yield from differences(expected.get(name), found.get(name), f"{path}/{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for at, (one, other) in enumerate(zip(expected, found)):
            yield from differences(one, other, f"{path}/{at}")
    elif expected != found or isinstance(expected, bool) != isinstance(found, bool):
        yield path


def case_errors(construction, case, fresh=False):
    """What is wrong with one case; nothing if it is right. Rust gives those intermediate values it has in its hands."""
    try:
        computed = compute(construction, case["inputs"])
    except Exception as error:  # inputs that cannot be computed with are wrong, whatever is raised
        return [f"{case['name']}: cannot be computed: {type(error).__name__}: {error}"]
    if fresh:
        computed["intermediate"] = {name: computed["intermediate"].get(name) for name in case["intermediate"]}
    stored = {"intermediate": case["intermediate"], "outputs": case["outputs"]}
    return [f"{case['name']}: {path} differs" for path in differences(computed, stored)]


def file_errors(path, fresh):
    """Number of cases, and what is wrong with the file."""
    file = json.loads(path.read_text(encoding="utf-8"))
    wrong = [f"schema: {error.json_path}: {error.message[:100]}" for error in SCHEMA.iter_errors(file)]
    if wrong:
        return 0, wrong
    if file["construction"] != path.stem:
        return 0, ["named after another construction"]
    for case in file["cases"]:
        wrong += case_errors(file["construction"], case, fresh)
    return len(file["cases"]), wrong


def directory_passes(directory, names, quiet=False, fresh=False):
    passed = True
    for name in names:
        title, section, _, kind, by = CONSTRUCTIONS[name]
        path = directory / f"{name}.json"
        count, wrong = file_errors(path, fresh) if path.exists() else (0, ["the file is missing"])
        if not wrong and not quiet:
            print(f"{name}: {count} cases, {kind} ({by})")
        for line in wrong:
            passed = False
            if not quiet:
                print(f"{name}: {line}", file=sys.stderr)
    return passed


def leaves(value, path=()):
    """All hex strings and numbers with the way to them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from leaves(inner, (*path, at))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, str) and re.fullmatch(r"(?:[0-9a-f]{2})+", value):
        yield path, value


def replaced(case, path, value):
    changed = copy.deepcopy(case)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def altered(value, dice):
    """Another digit at one place of a hex string, or the next number."""
    if isinstance(value, int):
        return value + 1
    at = dice.randrange(len(value))
    digit = dice.choice([digit for digit in "0123456789abcdef" if digit != value[at]])
    return value[:at] + digit + value[at + 1 :]


def unnoticed(task):
    """Changes one digit of each hex string and each number of a case, one at a time. How many, and which of these
    changes would pass."""
    name, at, seed = task
    case = json.loads((CHECKED_IN / f"{name}.json").read_text(encoding="utf-8"))["cases"][at]
    dice, count, missed = random.Random(f"{seed}/{name}/{at}"), 0, []
    # Computing is a function of the inputs alone: what is changed behind them is compared with the same result.
    computed = compute(name, case["inputs"])
    for path, value in leaves({part: case[part] for part in ("inputs", "intermediate", "outputs")}):
        changed, count = replaced(case, path, altered(value, dice)), count + 1
        if path[0] == "inputs":
            noticed = bool(case_errors(name, changed))
        else:
            noticed = any(list(differences(computed[part], changed[part])) for part in computed)
        if not noticed:
            missed.append(f"{name}: {case['name']}: {'/'.join(map(str, path))}")
    return count, missed


def changed_file_passes(name, dice):
    """The way main() goes, with one changed digit somewhere in the file."""
    file = json.loads((CHECKED_IN / f"{name}.json").read_text(encoding="utf-8"))
    at = dice.randrange(len(file["cases"]))
    path, value = dice.choice(list(leaves(file["cases"][at])))
    file["cases"][at] = replaced(file["cases"][at], path, altered(value, dice))
    with tempfile.TemporaryDirectory() as scratch:
        (pathlib.Path(scratch) / f"{name}.json").write_text(json.dumps(file), encoding="utf-8")
        return directory_passes(pathlib.Path(scratch), [name], quiet=True)


def self_test():
    """A changed value anywhere must be noticed. Other digits each time: the seed is printed."""
    seed = random.SystemRandom().randrange(2**32)
    tasks = []
    for name in CONSTRUCTIONS:
        file = json.loads((CHECKED_IN / f"{name}.json").read_text(encoding="utf-8"))
        tasks += [(name, at, seed) for at in range(len(file["cases"]))]
    with multiprocessing.Pool() as pool:
        results = list(pool.imap_unordered(unnoticed, tasks, chunksize=1))
    missed = [line for _, lines in results for line in lines]
    dice = random.Random(seed)
    missed += [f"{name}: whole file" for name in CONSTRUCTIONS if changed_file_passes(name, dice)]
    for line in missed:
        print(f"a changed value was not noticed: {line}", file=sys.stderr)
    count = sum(count for count, _ in results)
    print(f"self-test: {count} changed values, {len(CONSTRUCTIONS)} changed files, {len(missed)} not noticed (seed {seed})")
    return not missed


def main():
    arguments = sys.argv[1:]
    if not arguments:
        passed = directory_passes(CHECKED_IN, CONSTRUCTIONS)
        strangers = sorted(path.stem for path in CHECKED_IN.glob("*.json") if path.stem not in CONSTRUCTIONS)
        if strangers:
            print(f"files of no construction: {', '.join(strangers)}", file=sys.stderr)
        return 0 if passed and not strangers else 1
    if arguments == ["--self-test"]:
        return 0 if self_test() else 1
    if len(arguments) == 2 and arguments[0] == "--fresh":
        primitives.clamped_secrets_only = False
        return 0 if directory_passes(pathlib.Path(arguments[1]), FRESH, fresh=True) else 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
