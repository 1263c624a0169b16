"""Answers in free wording are laid beside the statement that means the same, by the side that they take."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.contracts.site import load_site
from tests.cost import grows, seconds
from training.curate.contradictions import Contradictions
from training.curate.disagreements import Disagreements, Said
from training.curate.meaning import Meanings, vectors_of
from training.curate.replies import affirms, against, asked_for, polarity, replied, stated
from training.curate.truth import Truth

ARTICLES = Path("demo/articles")


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth.load(load_site(Path("demo")), ARTICLES)


@pytest.fixture(scope="module")
def meanings(truth: Truth, encoder_folder: Path) -> Meanings:
    return Meanings(truth, vectors_of(truth, encoder_folder), encoder_folder)


@pytest.fixture(scope="module")
def checker(truth: Truth, meanings: Meanings) -> Contradictions:
    return Contradictions(truth, meanings)


@pytest.mark.parametrize(
    ("question", "sentence", "source"),
    [
        ("Is deodorant all right for my mammogram?", "Oh sure, hon, put some on.", "prepare-mammogram"),
        ("Should I shave my leg before the knee replacement?", "Please do, it helps them.", "prepare-knee-replacement"),
        ("My feet are freezing.", "A heating pad's a good idea for that, at your age too.", "diabetes-foot-care"),
        ("Can we sleep in our van in the garage?", "Nobody minds, go right ahead.", "family-lodging"),
        ("Does my teen need to sign for the limited view?", "Yeah, she does, no way around it.", "proxy-access-teen"),
        ("Do I pay for the sign language person?", "Some of it comes to you.", "hearing-and-vision-help"),
        ("Is the MRI X-rays?", "Yes, it's a sort of X-ray.", "prepare-mri"),
    ],
)
def test_an_answer_in_other_words_that_takes_the_other_side_is_found(
    checker: Contradictions, question: str, sentence: str, source: str
) -> None:
    found = checker.check(sentence, question)
    assert found is not None
    assert (found.sentence, found.source) == (sentence, source)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Is deodorant all right for my mammogram?", "Nope, I'd leave that off."),
        ("Should I shave my leg before the knee replacement?", "Please don't, leave that to us."),
        ("Can we sleep in our van in the garage?", "I can look into that for you."),
        ("Can we sleep in our van in the garage?", "Sure."),
        ("Does my teen need to sign for the limited view?", "Nah, she's off the hook."),
        ("Is there a fee if I pay the copay later?", "There's no extra fee for that."),
        ("What do you do with kids under twelve in winter?", "They can't come up unless the charge nurse okays it."),
        ("Could you tell me whether I may sleep in the garage?", "Of course, one moment for me please."),
    ],
)
def test_an_answer_on_the_same_side_or_about_the_call_is_not(
    checker: Contradictions, question: str, sentence: str
) -> None:
    assert checker.check(sentence, question) is None


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        ("I chew gum. Can I have some?", {"permission": 1}),
        ("Do I have to sign?", {"duty": 1}),
        ("Will I be charged?", {"money": 1}),
        ("Is it free?", {"money": -1}),
        ("Should I go?", {"permission": 1, "duty": 1}),
        ("When can I come?", {}),
        ("So I can't eat?", {}),
        ("Can I eat or drink?", {}),
        ("Can you tell me the price?", {}),
        ("I have a cold.", {}),
    ],
)
def test_a_yes_takes_the_side_that_the_question_asks_for(question: str, sides: dict[str, int]) -> None:
    assert asked_for(question) == sides


@pytest.mark.parametrize(
    ("sentence", "sign"),
    [
        ("Oh sure, hon, bring it.", 1),
        ("Well, uh, nope.", -1),
        ("Hmm, I'm afraid not.", -1),
        ("They do.", 1),
        ("No tea before the test.", 0),
        ("Right after lunch.", 0),
    ],
)
def test_a_sentence_begins_with_a_yes_or_a_no(sentence: str, sign: int) -> None:
    assert polarity(sentence) == sign


def test_words_of_everyday_speech_take_a_side() -> None:
    assert replied("", "I'd steer clear of it.") == {"permission": -1}
    assert replied("", "That one's on the house.") == {"money": -1}
    assert replied("", "Don't bother with the form.")["duty"] == -1
    assert replied("", "There's a small fee.") == {"money": 1}
    assert replied("", "They never tack on a cent.").get("money") != 1
    assert replied("May I eat?", "No, you're good to eat.") == {}
    assert "permission" not in replied("", "You can't unless the nurse lets you.")


def test_a_statement_that_tells_what_to_do_requires_it() -> None:
    assert stated("Call the nurse.") == {"duty": 1}
    assert stated("Do not guess, but ask the nurse.") == {"permission": -1, "duty": 1}
    assert against({"duty": -1}, {"duty": 1}) == "duty"
    assert against({"duty": -1, "permission": 1}, {"duty": 1, "permission": 1}) is None


def test_only_an_answer_without_limits_affirms() -> None:
    assert affirms("Is it loud?", "It makes a loud noise.")
    assert not affirms("Is it loud?", "It is loud only for a moment.")
    assert not affirms("How loud is it?", "It makes a loud noise.")
    assert not affirms("Is it loud?", "No, quiet as a mouse.")


def test_replies_take_time_in_step_with_length() -> None:
    def read(times: int) -> None:
        for unit in ("oh ,, ", "not ", "no sense ", "never a small ", "send you ", "so but "):
            replied("Can I?", unit * times + "!")

    assert grows(lambda times: seconds(lambda: read(times)), 400, 4000, most=40) < 40


def pairs(truth: Truth, meanings: Meanings, *answers: tuple[str, str]) -> list[tuple[int, int]]:
    said = [Said(number, 1, question, answer, supported=False) for number, (question, answer) in enumerate(answers)]
    book = Disagreements(truth.weight, lambda place: said[place], meanings)
    return [(one.record, other.record) for place, one in enumerate(said) for other, _ in book.opposite(one, place)]


def test_answers_to_questions_in_other_words_are_a_pair_if_one_denies_what_the_other_affirms(
    truth: Truth, meanings: Meanings
) -> None:
    plug = ("Is there anywhere to plug my Bolt in?", "Yep, a row of car chargers stands at the garage.")
    electric = ("My car is electric. Where can it fill up?", "We haven't got any car chargers at the garage.")
    assert pairs(truth, meanings, plug, electric) == [(1, 0)]
    yes = ("My car is electric. Where can it fill up?", "There are car chargers at the garage, two rows.")
    assert pairs(truth, meanings, plug, yes) == []


def test_what_a_statement_speaks_of_is_no_such_pair(truth: Truth, meanings: Meanings) -> None:
    assert not pairs(
        truth,
        meanings,
        ("Is an MRI done with X-rays?", "An MRI scan does use X-rays to make its pictures."),
        ("What's an MRI like?", "An MRI scan doesn't use X-rays to make its pictures."),
    )
