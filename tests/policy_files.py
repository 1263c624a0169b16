"""Writes a small policy bundle that passes every check, for tests that break, sign, compare or reload it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.guardrails.bundle_checks import NEEDED_TEXTS

HEADER = """\
version: tiny
injection_threshold: 0.6
support_threshold: 0.6
fillers: [a, the, my]
category_order: [cardiac, bleeding]
"""
LEXICON = """\
chest: "chest, breastbone"
pain: >-
  pain, ache, hurts,
  dolor
chest_pain:
  - "@pain ~3 @chest"
  - angina
"""
CONTEXT = """\
negation: "no, denies"
history: "years ago"
general: "what are signs of"
mask: "pain in the neck"
release: "thanks"
"""


def examples(words: str, count: int) -> str:
    """A list of different messages around the same words, in YAML."""
    return "[" + ", ".join(f'"{words} {number} hours now"' for number in range(2, count + 2)) + "]"


TRIAGE = f"""\
defaults: {{reviewer: none yet, clinically_reviewed: false, expires: 2031-01-01}}
rules:
- id: cardiac.chest-pain
  category: cardiac
  triggers: ["@chest_pain"]
  unless: ["dentist"]
  tier: emergency
  routes: ["911"]
  text: emergency_cardiac
  source: {{url: "https://example.org/chest", retrieved: 2026-11-01}}
  positive: {examples("chest pain for", 20)}
  negative: {examples("parking for", 20)}
- id: bleeding.thinner
  category: bleeding
  triggers:
  - "bleeding|sangrado"
  - "nosebleed"
  guards: ["warfarin"]
  tier: urgent
  routes: [nurse_line]
  text: emergency_bleeding
  expires: 2032-01-01
  source: {{url: "https://example.org/blood", retrieved: 2026-11-01}}
  positive: {examples("warfarin and bleeding for", 20)}
  negative: {examples("garden for", 20)}
"""
SCOPE = f"""\
rules:
- id: scope.human
  kind: human
  class: human
  triggers: ["real person"]
  text: human
  positive: {examples("real person please, waiting", 5)}
  negative: {examples("parking for", 5)}
- id: scope.greeting
  kind: greeting
  class: greeting
  triggers: ["hello"]
  text: greeting
  positive: {examples("hello", 5)}
  negative: {examples("parking for", 5)}
"""
INJECTION = f"""\
rules:
- id: injection.override
  weight: 0.8
  triggers: ["ignore rules"]
  regex: ["system:"]
  positive: {examples("ignore rules", 3)}
  negative: {examples("parking for", 3)}
"""
_TEXTS = ("emergency_cardiac", "emergency_bleeding", "human", "greeting", *sorted(NEEDED_TEXTS))
TEXTS = "".join(
    f"{name}:\n  en: Call {{r911_phone}}. {name}\n  es: Llame al {{r911_phone}}. {name}\n" for name in _TEXTS
)
FILES: Mapping[str, str] = {
    "bundle.yaml": HEADER,
    "lexicon.yaml": LEXICON,
    "context.yaml": CONTEXT,
    "triage_1.yaml": TRIAGE,
    "scope.yaml": SCOPE,
    "injection.yaml": INJECTION,
    "texts_1.yaml": TEXTS,
    "protected.txt": "# words that stay\nchess\n",
}


def write_bundle(folder: Path) -> Path:
    """A whole bundle in a new folder."""
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands once or more in a file, the first time only."""
    text = path.read_text(encoding="utf-8")
    assert old in text, old
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def reviewed(folder: Path) -> Path:
    """The same bundle as if a clinician had reviewed it."""
    edit(folder / "triage_1.yaml", "clinically_reviewed: false", "clinically_reviewed: true")
    return folder
