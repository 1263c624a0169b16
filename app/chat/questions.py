"""Several questions in one message: cut apart by rule, so that each can be searched for.

Only where a second question is plain: it begins like one ("and can my kids come in", "y dónde pago"), and so does what
stands before it. Lists ("mac and cheese", "fever and a cough") stay whole.
"""

from __future__ import annotations

import re

from app.chat.words import fold

MOST = 3
_FEWEST_WORDS = 3

_AUXILIARY = (
    r"(?:is|are|am|was|were|do|does|did|can|could|will|would|should|shall|may|might|must|has|have|had|'s|s"
    r"|isn'?t|aren'?t|don'?t|doesn'?t|can'?t|won'?t|shouldn'?t)"
)
_ENGLISH = (
    rf"(?:(?:where|when|why|who|how)(?:'s|\s+{_AUXILIARY})"
    rf"|how\s+(?:much|many|long|often|far|soon|early|late|old|big)\b"
    rf"|(?:what|which|whose)(?:'s|\s+(?:[\w-]+\s+){{0,2}}?{_AUXILIARY})"
    r"|how\s+do(?:es)?|(?:do|does|did|can|could|may|should|will|would|is|are|am|must)\s+"
    r"(?:i|you|we|they|he|she|it|there|the|a|an|my|our|your|his|her|their|this|that|these|those|someone|anyone"
    r"|somebody|anybody|people|kids|children|visitors|patients|parking))"
)
_SPANISH = (
    r"(?:(?:a\s+qu[eé]|en\s+qu[eé]|por\s+qu[eé]|para\s+qu[eé]|de\s+qu[eé])\s+\w+"
    r"|(?:d[oó]nde|ad[oó]nde|cu[aá]ndo|cu[aá]nt[oa]s?|cu[aá]l(?:es)?|qui[eé]n(?:es)?|c[oó]mo|qu[eé])\s+\w+"
    r"|(?:puedo|puede|pueden|podemos|debo|debemos|hay|tengo\s+que|tenemos\s+que|necesito|se\s+puede)\s+\w+)"
)
_RELATIVE = re.compile(
    r"(?:who|whose|which|where|when|que|como|cuando|donde|cual(?:es)?|quien(?:es)?|cuanto)\b", re.IGNORECASE
)
"""After a bare comma these go on with the sentence: "my son, who is four"."""
_ASKS = re.compile(rf"(?:{_ENGLISH}|{_SPANISH})\b", re.IGNORECASE)
_PERSONS = frozenset({"i", "we", "you", "he", "she", "they"})
_EMBEDDED = re.compile(r"(?:what|which|where|when|how)\s+to\b", re.IGNORECASE)
_JOINT = r"(?:and|also|plus|and\s+also|oh\s+and|or|y|e|o|tambi[eé]n|adem[aá]s|y\s+tambi[eé]n)"
_LEAD = re.compile(rf"^[\s¿,;]*(?:{_JOINT}[\s,]+)?¿?\s*", re.IGNORECASE)
_SEAM = re.compile(rf"(?<=[?.!;,])\s+(?=\S)|\n\s*|\s+(?={_JOINT}\s*,?\s+¿?\w)", re.IGNORECASE)


def split(message: str) -> tuple[str, ...]:
    """The questions of a message, one to three, in order; together they have all its words in their order.

    A message without a second plain question is given back whole. What is said between questions goes with the
    question before it, what is said first with the first.
    """
    parts: list[str] = []
    begin = 0
    for seam in _SEAM.finditer(message):
        before, after = message[begin : seam.start()], message[seam.end() :]
        if _begins(after, before) and _asks_within(before) and not _shares(before, after):
            parts.append(before.strip())
            begin = seam.end()
        if len(parts) == MOST - 1:
            break
    parts.append(message[begin:].strip())
    return tuple(parts)


def bare(question: str) -> str:
    """A question without the word that joins it to what stood before: "and can my kids come in" without its "and"."""
    return _LEAD.sub("", question, count=1)


def is_question(words: str) -> bool:
    """Whether the words begin like a question of their own, after "and" and the like."""
    return bool(_ASKS.match(bare(words)))


def _begins(after: str, before: str) -> bool:
    """Whether a whole question begins after a seam: its own words up to the next mark are enough for one."""
    clause = re.split(r"[?.!;\n]", bare(after), maxsplit=1)[0]
    ended = before.rstrip().endswith(("?", "."))
    if not _ASKS.match(clause) or len(fold(clause)) < _FEWEST_WORDS - ended:
        return False
    if before.rstrip().endswith(",") and bare(after) == after and _RELATIVE.match(clause):
        return False
    return not _EMBEDDED.match(clause)


def _asks_within(before: str) -> bool:
    """Whether a question stands in the words, and they are enough for one."""
    return len(fold(before)) >= _FEWEST_WORDS and any(
        is_question(sentence) for sentence in re.split(r"(?<=[?.!;\n])\s*", before)
    )


def _shares(before: str, after: str) -> bool:
    """Whether both ask the same of one thing that only the second names: "can I eat and can I drink before it"."""
    first, second = fold(bare(before)), fold(bare(after))
    alike = len(first) <= _FEWEST_WORDS and first[:2] == second[:2] and first[1] in _PERSONS
    return alike and not before.rstrip().endswith("?")
