"""When the assistant asks back, and what a reply to its question chooses."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.clarify import chosen, offered, refused
from app.contracts.passages import Passage
from app.contracts.replies import Choice


def passage(article: str, title: str, similarity: float, text: str = "") -> Passage:
    words = text or f"What {article} says is said nowhere else in {title}."
    return Passage(
        f"{article}#1", article, 1, title, "", words, date(2026, 9, 1), date(2027, 9, 1), similarity=similarity
    )


CT = passage("ct", "Preparing for a CT scan", 0.72, "You may eat and drink as usual on that day.")
DYE = passage("dye", "Preparing for a CT scan with contrast", 0.70, "Take nothing by mouth for six hours before it.")
PARKING = passage("parking", "Parking and parking rates", 0.71)


def articles(question: str, *passages: Passage, bound: float = 0.42, margin: float = 0.03) -> list[str]:
    return [p.article_id for p in offered(question, passages, bound=bound, margin=margin)]


def test_two_near_articles_are_offered_best_first() -> None:
    assert articles("What do I do before my CT?", DYE, CT) == ["ct", "dye"]


def test_the_margin_and_the_bound_decide() -> None:
    assert articles("before my CT?", CT, DYE, margin=0.01) == []
    assert articles("before my CT?", CT, DYE, bound=0.71) == []
    assert articles("before my CT?", CT) == []
    assert articles("before my CT?") == []


def test_passages_of_one_article_are_no_choice() -> None:
    assert articles("before my CT?", CT, replace(CT, passage_id="ct#2")) == []


@pytest.mark.parametrize(
    "question", ["before my CT with contrast?", "tomografía con contraste", "my ct, no contrast", "CT with the dye"]
)
def test_a_detail_in_the_question_decides(question: str) -> None:
    assert articles(question, CT, DYE) == []


def test_articles_whose_titles_share_nothing_are_not_offered() -> None:
    assert articles("what about it?", CT, PARKING) == []
    assert articles("what about it?", CT, PARKING, DYE) == [], "the second best is no near neighbour"


def test_articles_that_say_the_same_are_not_offered() -> None:
    assert articles("before my CT?", CT, replace(DYE, text=f"{CT.text} Really.")) == []


def test_titles_that_do_not_differ_are_not_offered() -> None:
    assert articles("before my CT?", CT, replace(DYE, title="Preparing for a CT scan!")) == []


def test_at_most_three_are_offered() -> None:
    flu, covid, shingles, hpv = (
        passage(name, f"{name} vaccine", 0.7 - n / 1000, text)
        for n, (name, text) in enumerate(
            [
                ("Flu", "Every fall, free at any clinic."),
                ("Covid", "Call the pharmacy and ask for a slot."),
                ("Shingles", "Two doses, from age fifty on."),
                ("HPV", "Between nine and fourteen years old."),
            ]
        )
    )
    assert articles("when can I get my shot", hpv, flu, covid, shingles) == ["Flu", "Covid", "Shingles"]


SCANS = (Choice("ct", CT.title), Choice("dye", DYE.title))
FEVER = (Choice("adult", "Fever in adults"), Choice("child", "Fever in babies and children"))


@pytest.mark.parametrize(
    ("reply", "article"),
    [
        ("Preparing for a CT scan", "ct"),
        ("preparing for a ct scan WITH contrast.", "dye"),
        ("2. Preparing for a CT scan with contrast", "dye"),
        ("1", "ct"),
        ("#2", "dye"),
        ("option 2 please", "dye"),
        ("the first one", "ct"),
        ("The second.", "dye"),
        ("the last one", "dye"),
        ("la segunda", "dye"),
        ("el primero, por favor", "ct"),
        ("with contrast", "dye"),
        ("con contraste", "dye"),
        ("it is the one with contrast I think", "dye"),
        ("no, with contrast", "dye"),
        ("without contrast", "ct"),
        ("sin contraste", "ct"),
        ("no contrast", "ct"),
        ("not the one with contrast", "ct"),
        ("I don't want contrast", "ct"),
        ("never contrast", "ct"),
        ("no quiero contraste", "ct"),
        ("no es con contraste", "ct"),
        ("es con contraste", "dye"),
        ("with contrast, doctor", "dye"),
        ("the CT scn with contrast", "dye"),
        ("the regular one", "ct"),
        ("just the CT", "ct"),
    ],
)
def test_a_reply_chooses_an_article(reply: str, article: str) -> None:
    assert [choice.article_id for choice in chosen(reply, SCANS)] == [article]


@pytest.mark.parametrize(
    ("reply", "article"),
    [("my son", "child"), ("it's for my kid, he's 4", "child"), ("niños", "child"), ("adultos", "adult")],
)
def test_lay_and_spanish_words_choose_by_what_tells_the_titles_apart(reply: str, article: str) -> None:
    assert [choice.article_id for choice in chosen(reply, FEVER)] == [article]


@pytest.mark.parametrize("reply", ["both", "Both of them", "las dos", "ambas"])
def test_both_are_all(reply: str) -> None:
    assert chosen(reply, SCANS) == SCANS


@pytest.mark.parametrize(
    "reply",
    ["", "no", "yes", "I don't know", "3", "where do I park?", "is the first appointment free?",
     "when is the pharmacy open?", "thanks", "both my kids are ill", "CT"],
)  # fmt: skip
def test_other_replies_choose_nothing(reply: str) -> None:
    assert chosen(reply, SCANS) == ()


def test_a_question_of_its_own_is_no_choice_though_it_shares_a_word() -> None:
    assert chosen("visiting hours for children?", FEVER) == ()
    assert chosen("Do I have to stop my metformin before the exam with contrast or not?", SCANS) == ()


@pytest.mark.parametrize(
    "reply",
    ["I'm allergic to contrast", "is contrast safe?", "will contrast hurt", "contrast vomiting", "can I have contrast"],
)
def test_a_reply_that_says_or_asks_more_is_no_choice_and_is_read(reply: str) -> None:
    assert chosen(reply, SCANS) == ()


@pytest.mark.parametrize(
    "reply",
    ["neither", "Neither of them.", "none of these please", "no, neither", "ninguna de las dos", "ni una ni otra"],
)
def test_turning_all_down_is_understood(reply: str) -> None:
    assert refused(reply)
    assert chosen(reply, SCANS) == ()


@pytest.mark.parametrize("reply", ["", "no", "both", "the second one", "not any contrast", "none in my left arm"])
def test_other_words_turn_nothing_down(reply: str) -> None:
    assert not refused(reply)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=3, unique=True), st.text(max_size=60))
def test_a_reply_chooses_among_what_was_offered_and_each_title_chooses_itself(titles: list[str], reply: str) -> None:
    choices = tuple(Choice(f"a{n}", f"Article {chr(97 + n)} {title}") for n, title in enumerate(titles))
    assert set(chosen(reply, choices)) <= set(choices)
    for choice in choices:
        assert chosen(choice.title, choices) == (choice,)
