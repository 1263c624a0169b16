"""Answers that say the opposite of the truth, or of each other, are found; other words for the same are not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from app.contracts.site import load_site
from tests.cost import grows, seconds
from training.curate.clauses import clauses
from training.curate.contradictions import Contradictions
from training.curate.disagreements import Disagreements, Said
from training.curate.stance import agree, denied, opposed, stance, with_it
from training.curate.truth import SITE, Truth, stems

ARTICLES = Path("demo/articles")


@cache
def truth() -> Truth:
    return Truth.load(load_site(Path("demo")), ARTICLES)


@cache
def checker() -> Contradictions:
    return Contradictions(truth())


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("Controlled medicines can be mailed if the patient signs.", "Can you mail my Adderall?"),
        ("Latex balloons are fine in regular rooms.", "May I bring latex balloons?"),
        ("She must fast overnight for the one-hour glucose test.", "Do I fast for the one-hour glucose test?"),
        ("Financial assistance is only for citizens.", "Do I have to be a citizen to apply for assistance?"),
        ("We charge $15 for each FMLA or disability form.", "What does an FMLA form cost?"),
        ("The first missed visit is charged too.", "I missed a visit for the first time, do I pay?"),
        ("Patients with a placard pay the normal garage rate.", "Is parking free with a disability placard?"),
        ("You may drive one hour after sedation.", "When can I drive after sedation?"),
        ("You can skip your blood thinner on days when you feel fine.", "I feel fine, can I stop it?"),
        ("Nobody needs a referral for cardiac rehab, just sign up.", "Can I join cardiac rehab on my own?"),
        ("Lost and found is closed on weekends.", "Are you open for lost things on weekends?"),
        ("It's all right to rub the eye after cataract surgery.", "May I rub my eye after the cataract surgery?"),
        ("You won't be seen if you have no photo ID.", "Can I come without a photo ID?"),
        ("You can leave your contacts in during general anesthesia.", "Can I keep my contact lenses in?"),
        ("Your insurance will pay for the missed-visit fee.", "Does insurance cover the missed-visit fee?"),
        ("Exercise is good for you when you have ketones.", "Can I exercise with ketones?"),
        ("No one else is allowed to pick up your medicine, you must come in person.", "Can my wife pick up my pills?"),
    ],
)
def test_what_goes_against_the_articles_is_found(sentence: str, question: str) -> None:
    found = checker().check(sentence, question)
    assert found is not None
    assert found.source in {SITE, *(path.stem for path in ARTICLES.glob("*.md"))}
    assert found.sentence == sentence


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("Controlled medicines can't be mailed.", "Can you mail my Adderall?"),
        ("There's no fee for an FMLA form.", "What does an FMLA form cost?"),
        ("No need to fast for the one-hour glucose test.", "Do I fast for the one-hour glucose test?"),
        ("I can't open that, but you can upload the card in CedarChart.", "Can I send you my card?"),
        ("Please don't chew gum during the fasting hours, because it can change the result.", "May I chew gum?"),
        ("Many new computers have no disc drive, so ask the other doctor what works best.", "I have no CD drive."),
        ("No problem, most series don't need to start over after a late dose.", "We missed a shot, what now?"),
        ("Stay away from red, purple or orange, the color can look like blood.", "What may I not drink?"),
        ("Drive safe.", "Thanks, bye."),
        ("Can I help you with anything else?", "No, thanks."),
        ("Let me put a note in for your care team.", "Okay."),
        ("Your appointment with Dr. Lee cannot be moved.", "Can I move it?"),
        ("Please don't stop it yourself, a clot can form without it.", "Can I stop my warfarin?"),
        ("An egg allergy is no reason to skip the flu vaccine.", "May people with an egg allergy get it?"),
        ("No raw vegetables or seeds on those days.", "Can I eat salad before my colonoscopy?"),
        ("Insurance doesn't pay the missed-visit fee.", "Does insurance cover the missed-visit fee?"),
        ("It's for medically needed care, cosmetic care isn't covered.", "Does assistance cover a nose job?"),
        ("He's welcome at any hour, visiting hours don't apply to your own priest.", "Can my priest come at night?"),
        ("You can, having insurance doesn't keep you from applying.", "Can I apply if I have insurance?"),
        ("No tea, juice, soda or alcohol either before a fasting test.", "May I have tea before the fasting test?"),
        ("The price tool at www.cedarvalley.example works w/o an account.", "Do I need an account to see prices?"),
        ("No aspirin for a child or a teen unless a doctor told you to.", "Can I give my son aspirin?"),
        ("Please skip it that day, it can show up on the pictures.", "Can I wear deodorant to my mammogram?"),
        ("From December 1 children under 12 can't visit rooms unless the charge nurse approves.", "Can my son visit?"),
    ],
)
def test_other_words_for_the_same_and_small_talk_are_not(sentence: str, question: str) -> None:
    assert checker().check(sentence, question) is None


def test_the_truth_contradicts_itself_hardly_ever() -> None:
    sentences = [statement.text for statement in truth().statements[::7]]
    found = [sentence for sentence in sentences if checker().check(sentence)]
    assert len(found) <= 0.005 * len(sentences), found


def test_a_sentence_of_the_truth_is_supported() -> None:
    assert checker().supported("You do not need to fast for the one-hour glucose test.")
    assert not checker().supported("You need to fast for the one-hour glucose test.")


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("You do not need a referral", {"duty": -1}),
        ("You must bring a photo ID", {"duty": 1}),
        ("Parking is free", {"money": -1}),
        ("We charge a small fee", {"money": 1}),
        ("Do not put ointment on it", {"permission": -1}),
        ("You may keep your glasses on", {"permission": 1}),
        ("It does not make contrast unsafe", {"permission": 1}),
        ("no such thing as a silly question", {}),
        ("The chapel is on level 1", {}),
        ("They decide when you cannot speak", {}),
        ("Each can change the result", {}),
        ("You can skip the dose", {"permission": -1}),
        ("Do not stop the pill", {"permission": 1}),
        ("Nobody needs a form", {"duty": -1}),
        ("Insurance does not pay the fee", {"money": 1}),
        ("You will not be seen without a card", {"duty": 1}),
        ("The scan may need a blood test", {}),
        ("Stay as active as you can", {}),
    ],
)
def test_a_clause_takes_a_side(text: str, sides: dict[str, int]) -> None:
    assert stance(text) == sides


def test_opposite_sides_and_denied_words() -> None:
    assert opposed("You may eat before the test", "Do not eat before the test") == "permission"
    assert opposed("Keep taking it", "Stop taking it")
    assert opposed("A doula counts as a visitor", "A doula is no visitor")
    assert opposed("You may eat", "You can eat") == ""
    assert agree("You may eat", "It is fine to eat")
    assert not agree("You may eat", "You cannot eat")


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("The desk is closed on holidays", "The desk is always open", "hours"),
        ("Keep the bandage dry", "Wash the bandage twice a day", "wet"),
        ("Leave the shoes on", "Take the shoes off", "worn"),
        ("The shuttle is included", "The shuttle is extra", "included"),
        ("A relative may come, anyone can", "The class is for staff only", "others"),
        ("Eat before the scan", "Eat after the scan", "order"),
        ("Do not keep the bandage dry", "Wash the bandage", ""),
        ("Take the shoes off", "Do not leave the shoes on", ""),
        ("Cosmetic care is not covered", "Assistance covers medical care, but not cosmetic care", ""),
        ("No salt or sugar on those days", "Avoid salt, pepper and sugar on those days", ""),
    ],
)
def test_pairs_of_sides_and_the_reach_of_a_negation(one: str, other: str, reason: str) -> None:
    assert opposed(one, other) == reason


def test_an_ending_denies_and_a_negator_before_it_affirms() -> None:
    assert denied("Skip breakfast") == (stems("breakfast"), frozenset())
    assert denied("Do not skip breakfast") == (frozenset(), stems("breakfast"))
    assert denied("The shuttle stops at the garage")[0] == frozenset()
    assert denied("No gum before the scan") == (stems("gum"), stems("scan"))
    assert denied("No gum with the tea") == (stems("gum"), frozenset())


def test_only_the_same_side_agrees() -> None:
    assert with_it("The desk is closed", "The desk closes", "hours")
    assert not with_it("The desk is closed", "Call the desk", "hours")
    assert not with_it("You may eat", "Eat", "permission")


def test_an_answer_is_supported_sentence_by_sentence() -> None:
    answer = "You do not need a lawyer. You can ask for a second opinion at any time."
    assert checker().answered(answer)
    assert not checker().answered(f"{answer} Dogs may sleep in the chapel.")


def test_stance_takes_time_in_step_with_length() -> None:
    def read(times: int) -> None:
        for unit in ("not ", "no x, ", "without a ", "insurance will ", "may also ", "that not "):
            opposed(unit * times, unit * times + "x")

    assert grows(lambda times: seconds(lambda: read(times)), 400, 4000, most=40) < 40


def test_a_sentence_has_clauses() -> None:
    assert clauses("No tea, juice or soda before the test.") == ["No tea, juice or soda before the test."]
    assert clauses("Open until 5 p.m. on weekdays, and closed on holidays.")[0] == "Open until 5 p.m. on weekdays"
    assert clauses("Lost items are kept for 60 days, but food is thrown away each evening.") == [
        "Lost items are kept for 60 days",
        "food is thrown away each evening.",
    ]


def pairs(*answers: tuple[str, str, bool]) -> list[tuple[int, int, str]]:
    """The pairs found among (question, answer, supported), by their numbers."""
    said = [Said(number, 1, *answer) for number, answer in enumerate(answers)]
    book = Disagreements(truth().weight, lambda place: said[place])
    return [
        (one.record, other.record, reason)
        for place, one in enumerate(said)
        for other, reason in book.opposite(one, place)
    ]


def test_two_answers_to_one_question_with_opposite_sides_are_a_pair() -> None:
    found = pairs(
        ("May dogs visit on the ward?", "Dogs may visit the ward on weekdays.", False),
        ("When is lunch served?", "You may have lunch at noon.", False),
        ("Hi! May dogs visit the ward?", "No, dogs are not allowed on the ward.", False),
    )
    assert found == [(2, 0, "permission")]


def test_two_answers_in_the_same_words_with_other_figures_are_a_pair() -> None:
    found = pairs(
        ("How long is the garden tour?", "The garden tour with the gardener takes 20 minutes.", False),
        ("How long is the garden tour?", "The garden tour with the gardener takes 45 minutes.", False),
        ("How long is the garden tour?", "The garden tour with the gardener takes 45 minutes.", False),
    )
    assert found == [(1, 0, "figures")]


def test_what_the_truth_does_not_say_is_told_from_what_it_says() -> None:
    asked = "Who has to watch me sign the garden permit?"
    found = pairs(
        (asked, "Two adult witnesses must watch you sign.", True),
        (asked, "The mayor's secretary needs to come with a stamp.", False),
    )
    assert [reason for _, _, reason in found] == ["unsupported"]


def test_answers_that_only_the_words_of_set_apart_are_a_pair() -> None:
    assert pairs(
        ("Do you loan car seats?", "We loan car seats for a week.", False),
        ("Do you loan car seats?", "We never loan car seats.", False),
    ) == [(1, 0, "negation")]
    assert pairs(
        ("Do the harp concerts still take place?", "The harp concerts continue every week.", False),
        ("Do the harp concerts still take place?", "The harp concerts have ended.", False),
    ) == [(1, 0, "end")]


def test_answers_that_agree_or_speak_of_something_else_are_no_pair() -> None:
    assert not pairs(
        ("May dogs visit on the ward?", "Dogs may visit the ward on weekdays.", False),
        ("May dogs visit on the ward?", "Yes, dogs can visit the ward.", False),
    )
    assert not pairs(
        ("How much is a video visit?", "You may pay your video visit online.", True),
        ("Can I drive in a video visit?", "Do not drive in a video visit.", True),
    )
