"""From written questions and article sentences to what is said on the telephone."""

from __future__ import annotations

import re
from random import Random

from training.curate.demo_sources.phrases import Bank, phrases

_ASKING = set(
    "what whats when where wheres who whos how hows can could do does is are should will would which why did may am "
    "was were has have".split()
)
_SUBJECTS = set("i im ive id my we were our he she they the there somebody someone nobody they're it its".split())
_APOSTROPHES = {
    "im": "I'm", "ive": "I've", "id": "I'd", "dont": "don't", "doesnt": "doesn't", "cant": "can't", "wont": "won't",
    "isnt": "isn't", "arent": "aren't", "didnt": "didn't", "havent": "haven't", "hasnt": "hasn't", "whats": "what's",
    "wheres": "where's", "whos": "who's", "thats": "that's", "theres": "there's", "couldnt": "couldn't",
    "wasnt": "wasn't", "moms": "mom's", "kids": "kid's", "babys": "baby's", "husbands": "husband's", "i": "I",
}  # fmt: skip
_NAMES = (
    "Tylenol|Advil|Motrin|Aleve|Eliquis|Xarelto|Coumadin|Adderall|Xanax|Lipitor|Imodium|Neosporin|Shingrix|Gardasil|"
    "Medicare|Medicaid|Blue Cross|Tricare|CedarChart|Uber|DoorDash|GoodRx|Spanish|Somali|Africa|Iowa|Juniper House|"
    "Sunday|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Christmas|Tdap|"
    "MRI|CT|CT scan|PET|ICU|ER|HSA|HMO|FMLA|VA|EOB|TEE|CPAP|HPV|COVID|RSV|ASL|DEXA|CD|APAP|ID|GPS|NSAID|NSAIDs|TV|X-ray"
).split("|")
_CASED = {name.lower(): name for name in _NAMES} | {
    "wifi": "Wi-Fi",
    "xray": "X-ray",
    "tylenols": "Tylenols",
    "id": "ID",
}
_CONTRACTIONS = (
    (r"\bcannot\b", "can't"), (r"\bdo not\b", "don't"), (r"\bDo not\b", "Don't"), (r"\bdoes not\b", "doesn't"),
    (r"\bis not\b", "isn't"), (r"\bare not\b", "aren't"), (r"\bwill not\b", "won't"), (r"\bshould not\b", "shouldn't"),
    (r"\byou will\b", "you'll"), (r"\bYou will\b", "You'll"), (r"\byou are\b", "you're"), (r"\bYou are\b", "You're"),
    (r"\bdid not\b", "didn't"), (r"\bwas not\b", "wasn't"), (r"\bit is\b", "it's"), (r"\bthat is\b", "that's"),
)  # fmt: skip
_KEEPS_CAPITAL = re.compile(
    r"(?:I\b|I'|[A-Z]{2}|Cedar|Iowa|Medic|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|Tylenol|Advil|Maple|"
    r"Oak|Birch|Main|East|Willow|Juniper|Poison|Nurse|Imaging|Pediatrics|Cardiology|Orthopedics|Endoscopy|Maternity|"
    r"Spanish|American|January|November|December|September|October|Route|Wi-Fi|Schedule II|Financial counseling|HMO|"
    r"Patient relations|Guest services|Lost and found|Physical therapy|Behavioral|Urgent care|Extra Help)"
)
_ASKS_LATER = re.compile(
    r", (?:and )?(?:can|could|do|does|is|are|should|will|would|what|who|when|where|how|why|which)\b[^,]*$"
    r"|, (?:right|normal|now what)$"
)
"""A statement that ends in a question."""
_REQUESTS = ("I need ", "I'd like ", "I want ", "My son needs ")
_IMPERATIVES = set(
    "Call Bring Ask Take Keep Use Stop Eat Drink Wear Put Tell Leave Send Choose Go Wait Check Rinse Wash Write Pack "
    "Book Plan Avoid Rest Give Remove Report Read Fill Upload Empty Squeeze Pat Change Flush Pay Mail Dial Park".split()
)


def sentence(text: str) -> str:
    """A typed question as a transcriber would write it down: apostrophes, names, a capital and a mark at the end."""
    words: list[str] = []
    for word in text.strip().split():
        lower = word.lower().rstrip("?,.")
        tail = word[len(lower) :]
        if lower == "id" and words and words[-1].lower() in {"photo", "need", "which", "no", "have", "my", "bring"}:
            words.append("ID" + tail)
        elif lower in ("kids", "moms") and not (words and words[-1].lower() in ("my", "his", "her")):
            words.append(word)
        elif lower in _APOSTROPHES and lower in ("kids", "moms", "babys", "husbands"):
            words.append(_APOSTROPHES[lower] + tail)
        else:
            words.append(_APOSTROPHES.get(lower, _CASED.get(lower, word.rstrip("?,.") if tail else word)) + tail)
    line = " ".join(words)
    line = line[0].upper() + line[1:]
    if line[-1] not in ".?!":
        line += "?" if asks(text) or _ASKS_LATER.search(line) else "."
    return line


def asks(text: str) -> bool:
    """Whether the words are a question by their form."""
    return text.strip().split()[0].lower() in _ASKING


def tells(text: str) -> bool:
    """Whether the words are a statement by their form; neither question nor statement is a mere topic."""
    return text.strip().split()[0].lower() in _SUBJECTS


def lowered(line: str) -> str:
    """The sentence for use after other words: no capital at its start unless its first word keeps one."""
    return line if _KEEPS_CAPITAL.match(line) else line[0].lower() + line[1:]


def question(text: str, bank: Bank | None, rng: Random) -> str:
    """A question with words around it as callers put them (none without a bank)."""
    said: str = phrases("said").get(text) or sentence(text)
    if bank is None:
        return said
    if said.startswith(_REQUESTS):
        frame = "request"
    elif said.endswith("?"):
        frame = "ask" if asks(said) else "plain"
    elif tells(said) or text in phrases("said"):
        frame = "tell"
    else:
        return bank.deal("topic").format(q=lowered(said).rstrip("."))
    if rng.random() < 0.2:
        return said
    return bank.deal(frame).format(q=lowered(said), Q=said)


def spoken(text: str, rng: Random) -> str:
    """An article's sentence in a spoken voice; every number, name and negation stays."""
    first, _, rest = text.partition(" ")
    if text.startswith("Do not "):
        text = rng.choice(("Do not ", "Please do not ", "You should not ", "Do not ")) + text.removeprefix("Do not ")
    elif first in _IMPERATIVES and ", and then " not in text:
        verb = first.lower()
        forms = (f"You'll want to {verb}", f"You should {verb}", f"Please {verb}", f"It's best to {verb}", first, first)
        text = f"{rng.choice(forms)} {rest}"
    for pattern, short in _CONTRACTIONS:
        if rng.random() < 0.8:
            text = re.sub(pattern, short, text)
    if rng.random() < 0.5:
        text = re.sub(r"\bCedar Valley Health (does|is|may|accepts|waits|offers|mails|keeps)\b", _we, text)
    return capital(text)


def _we(match: re.Match[str]) -> str:
    verb = match.group(1)
    return {"does": "we do", "is": "we are", "may": "we may"}.get(verb, "we " + verb.removesuffix("s"))


def capital(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]
