"""The words of a text, in the form in which copies of it are found."""

from __future__ import annotations

import re
import unicodedata

_TOKEN = re.compile(r"<([A-Z_]+?)(?:_\d+)?>")
_WORD = re.compile(r"<[a-z_]+>|\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[%$]")
_WITHOUT = re.compile(r"\bw/o\b")
_NOT = {"can't": "can not", "cant": "can not", "cannot": "can not", "won't": "will not", "wont": "will not"}
_CONTRACTED = re.compile(r"([a-z]+)n't|(do|does|did|is|was|are|have|has|had|could|would|should)nt")


def words(text: str) -> list[str]:
    """Lower-case words and numbers without marks or accents; "don't", "dont" and "do not" come out equal,
    and so do "w/o" and "without".

    A token of de-identification keeps its type and loses its number: ``<PERSON_2>`` gives ``<person>``.
    """
    plain = _TOKEN.sub(lambda match: f" <{match[1].lower()}> ", text.replace("’", "'"))
    folded = _WITHOUT.sub("without", plain.casefold())
    if not folded.isascii():
        folded = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    found: list[str] = []
    for word in _WORD.findall(folded):
        if word in _NOT:
            found += _NOT[word].split()
        elif match := _CONTRACTED.fullmatch(word):
            found += [match[1] or match[2], "not"]
        else:
            found.append(word.replace("'", ""))
    return found
