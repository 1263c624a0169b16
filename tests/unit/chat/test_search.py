"""What is searched for: follow-ups with the question before, several questions each by itself, a chosen article."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.protocols import Turn
from app.chat.search import Found, Lean, context, interleave, leaning, may_lean, search, search_text
from app.contracts.passages import Passage
from app.contracts.replies import Choice, Clarification
from app.redaction.vault import MemoryVault

pytestmark = pytest.mark.anyio
VISITING = "What are the visiting hours?"


def passage(article: str, similarity: float = 0.8, number: int = 1) -> Passage:
    return Passage(
        f"{article}#{number}", article, 1, article, "", f"{article} {number}", date(2026, 9, 1), date(2027, 9, 1),
        similarity=similarity,
    )  # fmt: skip


class Searches:
    """A retriever that notes what it was asked, and whether searches waited for each other."""

    def __init__(self, find: Callable[[str], list[Passage]]) -> None:
        self.asked: list[str] = []
        self.together = 0
        self._find, self._running = find, 0

    async def search(self, question: str, *, limit: int = 4) -> list[Passage]:
        self.asked.append(question)
        self._running += 1
        self.together = max(self.together, self._running)
        await asyncio.sleep(0.01)
        self._running -= 1
        return self._find(question)[:limit]


async def look(retriever: Searches, question: str, *earlier: str, **more: Any) -> Found:
    turn = Turn("c1", question, MemoryVault(), earlier_redacted=earlier, **more)
    return await search(retriever, question, turn, limit=4, bound=0.42, sure=0.58)


def by_length(question: str) -> list[Passage]:
    """Only a question with the one before it finds something surely."""
    return [passage("visiting-hours", 0.7 if VISITING in question else 0.5)]


@pytest.mark.parametrize(
    "question",
    [
        "and for kids?", "what about Sundays", "y los domingos?", "¿Y los niños?", "on weekends?", "how much is it",
        "can she eat before it?", "is it free?",
    ],
)  # fmt: skip
async def test_a_question_that_leans_is_answered_with_the_one_before_it(question: str) -> None:
    retriever = Searches(by_length)
    found = await look(retriever, question, VISITING)
    assert found.searched == f"{VISITING} {question}"
    assert found.passages[0].similarity == 0.7
    assert found.question == question
    assert len(retriever.asked) == retriever.together <= 2


@pytest.mark.parametrize("question", ["is there wifi", "and where do I park?", "what about parking?", "¿y el wifi?"])
async def test_a_question_that_finds_its_article_surely_has_left_the_topic(question: str) -> None:
    retriever = Searches(lambda asked: [passage("visiting", 0.6) if VISITING in asked else passage("other", 0.75)])
    found = await look(retriever, question, VISITING)
    assert [p.article_id for p in found.passages] == ["other"]
    assert found.searched == question
    assert retriever.together == 2


@pytest.mark.parametrize(
    "question", ["How do I pay my bill online", "is it ok to bring my dog", "are there any side effects of statins"]
)
async def test_a_question_with_a_topic_of_its_own_is_searched_alone(question: str) -> None:
    retriever = Searches(by_length)
    await look(retriever, question, VISITING)
    assert retriever.asked == [question]


async def test_nothing_is_leaned_on_in_the_first_message() -> None:
    retriever = Searches(by_length)
    await look(retriever, "and for kids?")
    assert retriever.asked == ["and for kids?"]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("how much is it", Lean.SURELY), ("where is that", Lean.SURELY), ("y cuánto cuesta eso", Lean.SURELY),
        ("can she eat before it?", Lean.SURELY), ("and for kids?", Lean.PERHAPS), ("what if I am late", Lean.PERHAPS),
        ("is she allowed to have visitors after the surgery", Lean.PERHAPS), ("is it open this weekend?", Lean.PERHAPS),
        ("how long does it take to get a refill", Lean.NO), ("the flu shot that I got last week", Lean.NO),
        ("¿dónde está el laboratorio?", Lean.NO),
    ],
)  # fmt: skip
def test_how_much_a_question_leans(question: str, expected: Lean) -> None:
    assert leaning(question) is expected


def test_the_context_is_the_last_question_and_what_it_leaned_on() -> None:
    assert context([]) == context(["thanks"]) == ""
    assert context(["Where do I park?", VISITING]) == VISITING
    assert context([VISITING, "thanks"]) == VISITING
    assert context([VISITING, "and for kids?"]) == f"{VISITING} and for kids?"
    assert context(["a b c", VISITING, "my name is <PERSON_1> and for kids?"]).startswith(VISITING)


async def test_several_questions_are_searched_each_and_together_at_once() -> None:
    found_for = {"Where do I park": "parking", "can my kids come in?": "kids"}
    retriever = Searches(lambda asked: [passage(found_for.get(asked, "whole")), passage("parking", 0.7, 2)])
    found = await look(retriever, "Where do I park and can my kids come in?")
    assert retriever.asked == ["Where do I park", "can my kids come in?", "Where do I park and can my kids come in?"]
    assert retriever.together == 3
    assert [p.passage_id for p in found.passages] == ["parking#1", "kids#1", "whole#1", "parking#2"]
    assert (found.leading, found.single) == (2, False)


async def test_three_questions_are_three_searches() -> None:
    retriever = Searches(lambda asked: [passage(asked)])
    found = await look(retriever, "Where do I park? Can my kids come in? Is there wifi?")
    assert retriever.asked == ["Where do I park?", "Can my kids come in?", "Is there wifi?"]
    assert found.leading == 3


async def test_a_second_question_that_leans_takes_the_first_along() -> None:
    retriever = Searches(lambda asked: [passage(asked)])
    await look(retriever, "Where do I park and how much is it?")
    assert retriever.asked[1] == "Where do I park and how much is it?"


async def test_a_part_that_finds_nothing_leads_nothing_and_a_sure_one_goes_first() -> None:
    scores = {"Where do I park?": 0.45, "Can my kids come in?": 0.7, "Is there wifi?": 0.2}
    retriever = Searches(lambda asked: [passage(asked, scores[asked])])
    found = await look(retriever, "Where do I park? Can my kids come in? Is there wifi?")
    assert [p.article_id for p in found.passages] == ["Can my kids come in?", "Where do I park?"]
    assert found.leading == 2


OFFERED = Clarification("May I eat?", (Choice("ct", "Preparing for a CT scan"), Choice("dye", "With contrast")))


async def test_a_choice_takes_the_article_and_the_question_before() -> None:
    retriever = Searches(lambda asked: [passage("ct", 0.9), passage("dye", 0.8), passage("dye", 0.8, 2)])
    found = await look(retriever, "the second one", "May I eat?", offered=OFFERED)
    assert retriever.asked == ["With contrast May I eat?"]
    assert [p.passage_id for p in found.passages] == ["dye#1", "dye#2"]
    assert found.question == "May I eat?"


@pytest.mark.parametrize("reply", ["the second one", "neither of them"])
async def test_what_was_not_chosen_never_stands_for_what_is_gone_or_was_turned_down(reply: str) -> None:
    retriever = Searches(lambda asked: [passage("ct", 0.9), passage("mri", 0.7)])
    found = await look(retriever, reply, "May I eat?", offered=OFFERED)
    assert [p.article_id for p in found.passages] == ["mri"]
    assert found.question == reply
    nothing = await look(Searches(lambda asked: [passage("ct", 0.9)]), reply, "May I eat?", offered=OFFERED)
    assert nothing.passages == ()


async def test_an_unclear_reply_may_still_be_answered_from_what_was_offered() -> None:
    found = await look(Searches(lambda asked: [passage("ct", 0.9)]), "I don't know", "May I eat?", offered=OFFERED)
    assert [p.article_id for p in found.passages] == ["ct"]


PREPARATIONS = (Choice("abdomen", "Abdominal ultrasound"), Choice("pelvis", "Pelvic ultrasound"))


@pytest.mark.parametrize(
    "given", [{"offered": Clarification("ultrasound prep", PREPARATIONS)}, {"about": PREPARATIONS}]
)
async def test_near_articles_between_which_nobody_chose_both_answer(given: dict[str, Any]) -> None:
    retriever = Searches(lambda asked: [passage("pelvis", 0.9), passage("parking", 0.8), passage("abdomen", 0.7)])
    found = await look(retriever, "can I drink water?", "ultrasound prep", **given)
    assert [p.article_id for p in found.passages] == ["abdomen", "pelvis"]
    assert (found.question, found.leading, found.undecided) == ("can I drink water?", 2, True)


@pytest.mark.parametrize("said", ["is the pelvic one painful?", "where do I park?"])
async def test_a_reply_that_tells_near_articles_apart_or_means_another_decides(said: str) -> None:
    best = "pelvis" if "pelvic" in said else "parking"
    retriever = Searches(lambda asked: [passage(best, 0.9), passage("abdomen", 0.7)])
    found = await look(retriever, said, "ultrasound prep", offered=Clarification("ultrasound prep", PREPARATIONS))
    assert (found.passages[0].article_id, found.undecided) == (best, False)


async def test_a_reply_that_chooses_nothing_may_lean_on_the_question_before() -> None:
    retriever = Searches(lambda asked: [passage("ct", 0.7 if "eat" in asked else 0.45)])
    found = await look(retriever, "my doctor ordered something for my kidneys", "May I eat?", offered=OFFERED)
    assert found.searched == "May I eat? my doctor ordered something for my kidneys"


ABDOMINAL, PELVIC = "Abdominal ultrasound", "Pelvic ultrasound"


def titled(title: str, similarity: float) -> Passage:
    return replace(passage(title.split()[0].lower(), similarity), title=title)


@pytest.mark.parametrize(
    ("question", "best", "first"),
    [
        ("can I drink water?", PELVIC, "abdominal"),
        ("and for a pelvic one?", PELVIC, "pelvic"),
        ("how long does an ultrasound take", PELVIC, "pelvic"),
        ("where do I park?", "Parking garages", "parking"),
    ],
)
async def test_between_near_articles_the_one_spoken_of_is_meant(question: str, best: str, first: str) -> None:
    found = await look(
        Searches(lambda _: [titled(best, 0.8), titled(ABDOMINAL, 0.6)]), question,
        about=(Choice("abdominal", ABDOMINAL),),
    )  # fmt: skip
    assert found.passages[0].article_id == first
    assert found.settled == (first == "abdominal")
    assert len(found.passages) == 2


async def test_an_article_spoken_of_that_is_not_found_leads_nothing() -> None:
    found = await look(
        Searches(lambda _: [titled(PELVIC, 0.8), titled(ABDOMINAL, 0.3)]), "can I drink water?",
        about=(Choice("abdominal", ABDOMINAL),),
    )  # fmt: skip
    assert [p.article_id for p in found.passages] == ["pelvic"]


async def test_passages_below_the_bound_are_not_found() -> None:
    found = await look(Searches(lambda asked: [passage("a", 0.5), passage("b", 0.41)]), "Where do I park?")
    assert [p.article_id for p in found.passages] == ["a"]


@given(st.lists(st.lists(st.integers(0, 9), max_size=6, unique=True), max_size=4), st.integers(0, 8))
def test_interleaving_keeps_the_order_of_each_and_doubles_nothing(numbers: list[list[int]], limit: int) -> None:
    lists = [[passage(f"a{n}") for n in each] for each in numbers]
    found = interleave(lists, limit)
    assert len(found) <= limit
    assert len({p.passage_id for p in found}) == len(found)
    if limit >= len(lists):
        assert all(each[0] in found for each in lists if each)


def test_a_short_question_and_one_that_begins_like_a_follow_up_may_lean() -> None:
    assert may_lean("and for kids, please tell me?")
    assert may_lean("parking?")
    assert not may_lean("How do I pay my bill")


def test_names_and_their_introductions_are_not_searched_for() -> None:
    assert search_text("my name is <PERSON_1> and i need to move my visit") == "i need to move my visit"
    assert search_text("hello <PERSON_1> when do you open") == "hello when do you open"
    assert search_text("SSN <SSN_1>, where is parking?") == "where is parking?"
    assert search_text("call me at <PHONE_1> about visiting hours") == "about visiting hours"
    assert search_text("I was born on <DATE_1>, can I visit") == "I was can I visit"
