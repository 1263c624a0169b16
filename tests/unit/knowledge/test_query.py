"""From what a patient typed to a search: short forms, chatter, lay words, spelling."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.query import FOLDER, MAX_CHARACTERS, Lexicon, Speller, stem, tokens

ARTICLES = {
    "appointment": 40,
    "cancel": 9,
    "cancer": 60,
    "police": 2,
    "puncture": 3,
    "throat": 8,
    "scan": 30,
    "line": 50,
    "surgery": 20,
    "vaccine": 15,
    "medicine": 25,
    "blood": 30,
    "test": 40,
    "handicap": 2,
    "without": 9,
}


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.load()


KNOWN = frozenset(["after", "cancels", "he", "is", "me", "no", "out", "ram", "with"])
ODD = st.text(alphabet="acdefhimnoprstuvy", min_size=1, max_size=14)


def write(folder: Path, lay: str) -> Path:
    (folder / "lay").mkdir(exist_ok=True)
    (folder / "lay" / "some.txt").write_text(lay, encoding="utf-8")
    (folder / "texting.txt").write_text("u = you\n", encoding="utf-8")
    (folder / "chatter.txt").write_text("hi\n", encoding="utf-8")
    (folder / "spanish.txt").write_text("cita > appointment\n", encoding="utf-8")
    return folder


def test_the_vocabulary_is_broad(lexicon: Lexicon) -> None:
    rows = [row for path in (FOLDER / "lay").glob("*.txt") for row in path.read_text(encoding="utf-8").splitlines()]
    assert len([row for row in rows if row and row[0] != "#"]) >= 1_900
    assert "puffer" in lexicon.words


@pytest.mark.parametrize(
    ("question", "article_word"),
    [
        ("how do i use my puffer", "inhaler"),
        ("forgot my water pills", "diuretic"),
        ("will they put me under", "anesthesia"),
        ("my belly hurts", "stomach"),
        ("i saw the heart doctor", "cardiology"),
        ("it burns when i pee", "urinary infection"),
        ("he is throwing up", "vomiting"),
        ("what jabs does he need", "vaccine"),
        ("afraid of the tube", "mri"),
        ("her ankles are swollen", "heart failure"),
        ("do you have a sliding scale", "financial assistance"),
        ("i need my fmla papers signed", "disability forms"),
        ("there is an error in my chart", "correct medical record"),
        ("can i get a cita", "appointment"),
    ],
)
def test_lay_words_bring_the_words_of_articles(lexicon: Lexicon, question: str, article_word: str) -> None:
    query = lexicon.read(question)
    assert article_word in query.added
    assert article_word in query.expanded
    assert lexicon.without_lay().read(question).added == ()


@pytest.mark.parametrize(
    ("question", "wrong"),
    [
        ("what should i expect", "pregnancy"),
        ("the nurse was rude", "breastfeed"),
        ("what can i eat before my blood test", "cafeteria"),
        ("who do i contact", "prepare"),
        ("how do i add my son to my plan", "behavioral health"),
        ("how long is a stress test", "mental health"),
        ("i have discharge from my incision", "going home from the hospital"),
        ("what is the yellow zone of the asthma plan", "jaundice"),
        ("i am scared of it", "wound"),
        ("release my records", "going home from the hospital"),
        ("ice or hot pack for my knee", "fever"),
        ("will i fit in the scanner", "seizure"),
        ("is an hiv test private", "allergic reaction"),
        ("the tube in my arm hurts", "mri"),
    ],
)
def test_words_that_often_mean_something_else_add_nothing(lexicon: Lexicon, question: str, wrong: str) -> None:
    assert wrong not in lexicon.read(question).added


@pytest.mark.parametrize("whose", ["my", "his", "my mom's", "our baby's", "her husband's"])
def test_whose_arm_it_is_does_not_matter(lexicon: Lexicon, whose: str) -> None:
    assert "iv line" in lexicon.read(f"the tube in {whose} arm hurts").added


def test_the_e_of_a_word_stays_in_its_plural() -> None:
    assert stem("hives") != stem("hiv")
    assert stem("tubes") == stem("tube") != stem("tub")
    assert stem("eyes") == stem("eye")
    assert stem("boxes") == stem("box")
    assert stem("nurses") == stem("nursing") == stem("nurse")
    assert stem("stitches") == stem("stitched")


def test_words_that_stand_there_already_are_not_added(lexicon: Lexicon) -> None:
    assert "vomiting" not in lexicon.read("throwing up, i mean vomiting").added


def test_short_forms_are_written_out_and_chatter_is_dropped(lexicon: Lexicon) -> None:
    query = lexicon.read("Hi, can u tell me... when's my appt tmrw? thx")
    assert query.text == "when's my appointment tomorrow"


def test_chatter_alone_is_kept(lexicon: Lexicon) -> None:
    assert lexicon.read("thanks").text == "thanks"
    assert lexicon.read("").text == ""


def test_arrows_point_one_way_and_equals_both(tmp_path: Path) -> None:
    lexicon = Lexicon.load(write(tmp_path, "# ours\npuffer > inhaler\n\nbp = blood pressure\n"))
    assert lexicon.read("puffers").added == ("inhaler",)
    assert lexicon.read("inhaler").added == ()
    assert lexicon.read("my blood pressure").added == ("bp",)
    assert lexicon.read("my bp").added == ("blood pressure",)


@pytest.mark.parametrize("line", ["puffer inhaler", "puffer > ", "a > b > c"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match=r"some\.txt:2"):
        Lexicon.load(write(tmp_path, f"# ours\n{line}\n"))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("apointment", "appointment"), ("cancle", "cancel"), ("throte", "throat"), ("scna", "scan")],
)
def test_misspelled_words_become_words_of_the_articles(typed: str, meant: str) -> None:
    assert Speller(ARTICLES, lambda word: False)(typed) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("vacine", "vaccine"),
        ("surggery", "surgery"),
        ("surgeryyyy", "surgery"),
        ("srgry", "surgery"),
        ("mdcn", "medicine"),
        ("appntmnt", "appointment"),
        ("bloodtest", "blood test"),
        ("cancerscan", "cancer scan"),
        ("appoint ment", "appointment"),
        ("hand icap", "handicap"),
        ("blood test", "blood test"),
        ("with out", "with out"),
    ],
)
def test_words_of_texting_become_words_of_the_articles(typed: str, meant: str) -> None:
    assert Speller(ARTICLES, lambda word: word in KNOWN)(typed) == meant


def test_words_typed_apart_and_together_are_mended_in_a_question(lexicon: Lexicon) -> None:
    speller = Speller(ARTICLES, lambda word: word in KNOWN, lexicon.words)
    assert lexicon.read("my appoint ment to morrow with out a bloodtest", speller).text == (
        "my appointment tomorrow without a blood test"
    )


@given(st.sampled_from(sorted({*ARTICLES, *KNOWN})))
def test_known_words_never_change(word: str) -> None:
    assert Speller(ARTICLES, lambda typed: typed in KNOWN)(word) == word


@given(ODD, ODD)
def test_a_correction_is_of_the_vocabulary_and_stays(first: str, second: str) -> None:
    speller = Speller(ARTICLES, lambda word: word in KNOWN, ["throaty"])
    for typed in (first, first + second, f"{first} {second}", "appoint" + second, "blood" + first):
        right = speller(typed)
        if right != typed:
            assert set(right.split()) <= {*ARTICLES, "throaty"}
            assert [speller(word) for word in right.split()] == right.split()


def test_the_work_grows_with_the_number_of_words_and_no_further(lexicon: Lexicon) -> None:
    asked: list[str] = []

    def spelled(typed: str) -> str:
        asked.append(typed)
        return typed

    lexicon.read("zq " * 1_000_000, spelled)
    assert len(asked) < 2 * MAX_CHARACTERS / 3
    asked.clear()
    lexicon.read("zq " * (MAX_CHARACTERS // 6), spelled)
    assert len(asked) < 2 * MAX_CHARACTERS / 6


def test_a_very_long_word_is_left_alone() -> None:
    speller = Speller(ARTICLES, lambda word: False)
    assert speller("surger" + "y" * 10) == "surgery"
    assert speller("surger" + "y" * 100) == "surger" + "y" * 100


@pytest.mark.parametrize("word", ["lice", "acupuncture", "lin", "scans", "sc4n", "zebra"])
def test_other_words_stay(word: str) -> None:
    assert Speller(ARTICLES, lambda word: False)(word) == word


def test_ordinary_words_and_words_of_the_lists_stay() -> None:
    assert Speller(ARTICLES, lambda word: word == "cancels")("cancels") == "cancels"
    assert Speller(ARTICLES, lambda word: False, also=["throaty"])("throaty") == "throaty"


def test_tokens_and_stems() -> None:
    assert tokens("I can\u2019t, x-ray w/ A&E!") == ["i", "can't", "x-ray", "w/", "a&e"]
    assert [stem(word) for word in ("pills", "pill", "taking", "taken", "dress", "mom's")] == [
        "pill", "pill", "tak", "taken", "dress", "mom"
    ]  # fmt: skip
