"""From the turns of a record to questions that stand alone, each with what the staff said to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from app.contracts.prompt import PromptLimits, escape
from training.curate.records import Record, Speaker
from training.curate.support import content
from training.sentences import split_sentences

LONGEST = PromptLimits().question_characters
"""Service cuts a question here: a longer one would be trained on in part."""

_TOKEN = re.compile(r"<[A-Z_]+_\d+>")
_COURTESY = re.compile(
    r"(?:(?:oh|ah|um+|uh|well|so|yes|yeah|yep|no|ok(?:ay)?|sure|right|alright|all right|great|perfect|good|fine|got it|"
    r"i see|hi|hello|hey|good (?:morning|afternoon|evening)|thanks?(?: you)?(?: so much| very much)?|bye|goodbye|"
    r"please|there|again|correct|exactly|that(?:'s| is) (?:all|it|great|good|helpful|perfect)|you too|"
    r"have a (?:good|nice|great) \w+|"
    r"sorry(?: to bother you)?|wonderful|awesome|cool|mhm+|i appreciate it)\b[\s,.!;-]*)+",
    re.IGNORECASE,
)
_IDENTITY = re.compile(
    r"\b(?:my (?:full )?name|this is|i'?m|i am|it'?s|date of birth|d\.?o\.?b|born|birthday|record number|mrn|member|"
    r"account|phone|number is|reach me|call me|address|e-?mail|social|zip|policy|insurance id|patient is)\b",
    re.IGNORECASE,
)
_FOLLOW_UP = re.compile(r"\s*(?:and|what about|how about|also|but|or|y|también|qué hay)\b", re.IGNORECASE)
_ASKS = re.compile(
    r"\?|(?:^|[.!,] )(?:who|what|when|where|why|how|which|can|could|do|does|did|is|are|will|would|may|should|have)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(r"\b(?:it|that|this|they|them|(?<!is )(?<!are )there|those|these|then)\b", re.I)
_ASKS_WHO = re.compile(
    r"\b(?:your (?:full |first |last )?(?:name|birth ?(?:day|date)|address|phone|number|e-?mail|zip|insurance card)|"
    r"date of birth|d\.?o\.?b|record number|member (?:id|number)|who am i speaking|who is this|spell|confirm|verify|"
    r"callback|call you back at|reach you)\b",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"\b(?:anything|something|what) else|other question|help you|do for you|how can i|how may i|what is it|"
    r"what'?s (?:your question|going on|up)|go ahead|does that (?:help|answer|make sense)",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"\b(?:(?:don'?t|do not|didn'?t|did not) (?:have|see|find)\b.{0,40}\b(?:that|it|this|information|answer|anything)|"
    r"(?:i'm|i am|we're|we are) not (?:really |quite |entirely |too )?sure|"
    r"(?:can'?t|cannot|couldn'?t|could not|not able to|unable to) (?:tell you|answer|say|help (?:you )?with)|"
    r"(?:i|we) (?:don'?t|do not) (?:know|handle|cover|do that)|no idea|"
    r"(?:not|isn'?t) something (?:that )?(?:we|i)|(?:this|the) line is (?:only )?for|only (?:help|answer)|"
    r"you(?:'d| would|'ll| will) have to (?:ask|call back|check with))\b",
    re.IGNORECASE,
)
_SMALL_TALK = re.compile(
    r"(?:(?:one|just a) (?:moment|second|sec)|hold on|bear with me|let me (?:check|see|look|pull|get|find)|you bet|"
    r"you'?re (?:very |so )?welcome|no problem|happy to|glad (?:i|to)|of course|my pleasure|take care|stay safe|"
    r"have a (?:good|nice|great|lovely)|thanks? (?:you )?for (?:calling|holding|waiting)|good ?bye|bye|i understand)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that stands alone and what was said to it; ``turn`` is the place of the staff's turn, from 0.

    ``question`` is empty where the patient's words lean on something that is not there. ``follows`` says that it stands
    behind an earlier question that was answered already, ``declined`` that the staff could not answer.
    """

    turn: int
    question: str
    said: str
    follows: bool = False
    declined: bool = False


@dataclass(slots=True)
class _Heard:
    """What is known while a call is read: the last question that stands alone, what is asked now, whether nobody
    has spoken to it yet, whether the staff has asked back about it, and whether it has asked who is calling.
    """

    base: str = ""
    question: str = ""
    open: bool = False
    asked_back: bool = False
    asked_who: bool = False


def exchanges(record: Record) -> Iterator[Exchange]:
    """The exchanges of a record in order; a note, or a call in which nobody asks, has none.

    A reply to a question of the staff is joined to the question that it is about ("I need a refill. The blood pressure
    one."), so is a question that points back ("And on Sunday?"). Greetings, thanks and sentences that only say who
    somebody is are left out of questions; pseudonyms elsewhere stay, as in service.
    """
    heard = _Heard()
    for speaker, place, text in _blocks(record):
        if speaker == "patient":
            _hear(heard, without_courtesy(text, asked_who=heard.asked_who))
            continue
        said = " ".join(sentence for sentence in split_sentences(text) if _states(sentence))
        declined = bool(_NO_ANSWER.search(said))
        speaks = declined or len(content(said)) >= 3
        if speaks and heard.question:
            stands = not leans(heard.question) or not _POINTS_BACK.search(heard.question)
            heard.open = False
            question = heard.question if stands and len(heard.question) <= LONGEST else ""
            yield Exchange(place, question, said, heard.question != heard.base, declined)
        heard.asked_who = bool(_ASKS_WHO.search(text))
        heard.asked_back = text.endswith("?") and not speaks and not _OFFER.search(text) and not heard.asked_who


def _states(sentence: str) -> bool:
    """Whether a sentence of the staff may answer something."""
    return not (sentence.endswith("?") or _SMALL_TALK.match(sentence) or _ASKS_WHO.search(sentence))


def _blocks(record: Record) -> Iterator[tuple[Speaker, int, str]]:
    """Turns of one side in a row, joined: (speaker, place of the first, text on one line)."""
    for speaker, found in groupby(enumerate(record.turns), key=lambda pair: pair[1].speaker):
        turns = list(found)
        yield speaker, turns[0][0], escape(" ".join(turn.text for _, turn in turns))


def _hear(heard: _Heard, asked: str) -> None:
    """Take in what the patient says now."""
    question = "?" in asked
    if not asked or (heard.open and heard.asked_who and not question):
        return
    if heard.base and heard.asked_back and not question:
        heard.base = heard.question = f"{heard.base} {asked}"
    elif heard.base and leans(asked):
        if not question and not may_lean(asked):
            return  # a remark
        heard.question = f"{heard.base} {asked}"
    else:
        heard.base = heard.question = asked
    heard.open = True


def without_courtesy(text: str, *, asked_who: bool = False) -> str:
    """A patient's words without greetings, thanks and sentences that only tell who somebody is."""
    kept = []
    for sentence in split_sentences(text):
        about = content(sentence)
        tells_who = _TOKEN.search(sentence) and (asked_who or _IDENTITY.search(sentence)) and len(about) < 3
        if about and not tells_who and not _COURTESY.fullmatch(sentence):
            kept.append(sentence)
    return " ".join(kept)


def leans(asked: str) -> bool:
    """Whether a question says too little without the one before it."""
    return len(content(asked)) < 3 and (may_lean(asked) or bool(_POINTS_BACK.search(asked)))


def asks(question: str) -> bool:
    """Whether the words are a question by their form."""
    return bool(_ASKS.search(question))


def may_lean(question: str) -> bool:
    """Whether service would look for a question's passage with the one before it, too.

    The same as :func:`app.chat.search.may_lean`, whose module loads what answers a turn.
    """
    return bool(_FOLLOW_UP.match(question)) or len(question.split()) <= 3
