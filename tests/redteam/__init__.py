"""The attack suite: the whole pipeline against an engine that says whatever an attacker wants.

Run: ``python -m tests.redteam [--data DIR] [--rounds N] [--seed N] [--report FILE]``, or ``make redteam``.
"""
