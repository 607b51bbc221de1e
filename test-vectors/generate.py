#!/usr/bin/env python3
"""Makes the checked-in test vectors: the same bytes each time.

    python3 test-vectors/generate.py            writes test-vectors/v1/*.json
    python3 test-vectors/generate.py --check    compares them with what is checked in
"""

import json
import pathlib
import sys

from recompute.cases import cases
from recompute.registry import CONSTRUCTIONS, compute

DIRECTORY = pathlib.Path(__file__).parent / "v1"


def render(construction):
    title, section, _, kind, by = CONSTRUCTIONS[construction]
    file = {"construction": construction, "title": title, "section": section, "made_by": f"{kind}: {by}", "cases": []}
    for name, inputs in cases(construction):
        file["cases"].append({"name": name, "inputs": inputs, **compute(construction, inputs)})
    return json.dumps(file, indent=1, ensure_ascii=False) + "\n"


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(__doc__, file=sys.stderr)
        return 2
    differing = []
    for construction in CONSTRUCTIONS:
        path, text = DIRECTORY / f"{construction}.json", render(construction)
        if not check:
            DIRECTORY.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            differing.append(path.name)
    if differing:
        print(f"not what generate.py makes: {', '.join(differing)}; run it without --check", file=sys.stderr)
        return 1
    print(f"{len(CONSTRUCTIONS)} files {'are what generate.py makes' if check else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
