"""Subrosa's protocol as docs/protocol.md describes it, computed with other people's packages.

Every construction is one function from a case's inputs to (intermediate values, outputs). `generate.py` writes
what it returns, `verify.py` compares with it. No code is shared with Subrosa; where the page was not enough, it was mended.
"""
