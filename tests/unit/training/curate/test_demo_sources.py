"""The demonstration sources: made anew they are the same, and the key says of every defect where it stands."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from rapidfuzz.distance import OSA, Levenshtein

from app.contracts.site import load_site
from app.errors import ConfigurationError
from tests.unit.training.curate.demo_reading import Read, read_all
from training.curate.demo_sources.marks import inside, mark, marked, outside, unmark
from training.curate.demo_sources.phrases import phrases
from training.curate.demo_sources.write import write_sources

DEMO = Path("demo")
SAFE_HARBOR = {
    "name", "geography", "date", "phone", "fax", "email", "ssn", "mrn", "health_plan", "account", "license", "vehicle",
    "device", "url", "ip", "biometric", "photo", "other",
}  # fmt: skip
FIGURES = ("wrong_phone", "wrong_hours", "wrong_number", "wrong_dose")


@dataclass(frozen=True, slots=True)
class Sources:
    """What one run wrote."""

    folder: Path
    counts: dict[str, int]
    records: dict[tuple[str, int], Read]
    key: list[dict[str, Any]]

    def of(self, defect: str) -> list[dict[str, Any]]:
        """The key lines of one class that point at sound records."""
        return [line for line in self.key if line["defect"] == defect and not line["source"].startswith("broken/")]

    def at(self, line: dict[str, Any]) -> Read:
        """The record of a key line."""
        return self.records[line["source"], line["place"]]

    def beside(self, line: dict[str, Any]) -> Read:
        """The record that a key line's note names."""
        source, place = line["note"].rsplit(":", 1)
        return self.records[source, int(place)]


def write(folder: Path, seed: int = 7) -> dict[str, int]:
    return write_sources(folder, DEMO / "articles", load_site(DEMO), seed)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("sources")
    counts = write(folder)
    key = [json.loads(line) for line in (folder / "key.jsonl").read_text(encoding="utf-8").splitlines()]
    return Sources(folder, counts, read_all(folder), key)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_over_what_stood_there(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "old.jsonl").write_text("{}")
    (tmp_path / "README.md").write_text("kept")
    write(tmp_path)
    found = files(tmp_path)
    assert found.pop("README.md") == b"kept"
    assert found == files(sources.folder)


def test_the_shipped_sources_are_these(sources: Sources) -> None:
    shipped = files(DEMO / "transcripts")
    del shipped["README.md"]
    assert shipped == files(sources.folder), "run `bedside-train demo-sources --out demo/transcripts`"
    assert sum(map(len, shipped.values())) < 2_600_000


def test_there_is_enough_of_everything(sources: Sources) -> None:
    assert sources.counts["transcript"] >= 600
    assert sources.counts["note"] >= 150
    assert sources.counts["faq"] >= 200
    assert Counter(record.kind for record in sources.records.values()) == {
        kind: sources.counts[kind] for kind in ("transcript", "note", "faq")
    }
    least = {"identifier": 3000, "drug_misspelling": 400, "ambiguous_drug": 20, "wrong_phone": 25, "wrong_hours": 30,
             "wrong_number": 40, "wrong_dose": 25, "contradiction": 40, "near_duplicate": 90, "off_topic": 25,
             "encoding": 100, "truncated": 15, "spanish": 30, "mixed_language": 20, "bias_group": 300, "formula": 6,
             "malformed": 8}  # fmt: skip
    for defect, number in least.items():
        for family in ("a", "b"):
            lines = [line for line in sources.key if line["defect"] == defect and line["family"] in (family, "")]
            assert len(lines) >= number * 0.4, (defect, family)
    assert Counter(line["defect"] for line in sources.key)["identifier"] == sources.counts["identifier"]


def test_each_format_holds_calls(sources: Sources) -> None:
    endings = Counter(Path(source).suffix for (source, _), record in sources.records.items() if len(record.turns) > 2)
    assert all(endings[ending] >= 50 for ending in (".txt", ".vtt", ".csv", ".json", ".jsonl"))


def test_every_key_line_points_at_what_stands_there(sources: Sources) -> None:
    for line in sources.key:
        if line["source"].startswith("broken/"):
            assert (sources.folder / line["source"]).is_file()
        elif line["turn"] is None:
            assert sources.at(line).turns
        else:
            assert line["wrong"]
            assert line["wrong"] in sources.at(line).turns[line["turn"]][1], line


def test_all_kinds_of_safe_harbor_occur_in_both_families(sources: Sources) -> None:
    for family in ("a", "b"):
        found = {line["safe_harbor"] for line in sources.of("identifier") if line["family"] == family}
        assert found == SAFE_HARBOR


def test_no_identifier_stands_in_a_turn_without_a_key_line(sources: Sources) -> None:
    values = defaultdict(list)
    for line in sources.of("identifier"):
        values[line["source"], line["place"], line["turn"]].append(line["wrong"])
    known: dict[tuple[str, int], set[str]] = defaultdict(set)
    for (source, place, _), found in values.items():
        known[source, place] |= {value for value in found if len(value) > 4}
    for (source, place), all_values in known.items():
        for turn, (_, text) in enumerate(sources.records[source, place].turns):
            for value in values[source, place, turn]:
                text = text.replace(value, "_", 1)
            left = [value for value in all_values if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text)]
            assert not left, (source, place, turn, left)


def test_every_name_of_the_lists_stands_in_a_key_line(sources: Sources) -> None:
    names = {
        name for family in ("a", "b") for found in phrases("names")[family].values() for name in found if len(name) >= 5
    }
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + r")\b")
    keyed: Counter[tuple[str, int]] = Counter()
    for line in sources.of("identifier"):
        keyed[line["source"], line["place"]] += len(pattern.findall(line["wrong"]))
    for place, record in sources.records.items():
        assert len(pattern.findall(record.text)) == keyed[place], (place, record.text)


def test_identifiers_are_of_ranges_that_nobody_has(sources: Sources) -> None:
    for line in sources.of("identifier"):
        value = line["wrong"]
        if line["note"] == "SSN" and len(value) > 4:
            assert value.startswith(("000", "666", "9"))
        elif line["note"] == "PHONE" and value[-1].isdigit():
            assert re.fullmatch(r"(\d{3})?55501\d\d", re.sub(r"\D", "", value))
        elif line["note"] == "EMAIL":
            assert re.search(r"\bexample( dot |\.)(com|org|net)$", value)
        elif line["note"] in ("URL", "IP"):
            assert re.search(r"example|^(203\.0\.113|198\.51\.100|192\.0\.2)\.|^2001:db8::", value)


def test_every_ten_digit_number_is_invented_or_a_national_line(sources: Sources) -> None:
    national = {"800-222-1222", "800-799-7233"}
    for record in sources.records.values():
        for number in re.findall(r"\b\d{3}-\d{3}-\d{4}\b", record.text):
            assert number[4:10] == "555-01" or number in national, number


def test_misspellings_are_no_names_and_as_far_off_as_noted(sources: Sources) -> None:
    names = {name.lower() for name in phrases("drugs") if name != "heard"}
    spellings = set()
    for line in sources.of("drug_misspelling"):
        wrong, right = line["wrong"].lower(), line["right"].lower()
        assert right in names
        assert wrong not in names
        assert line["note"] == f"edits={OSA.distance(wrong, right)}"
        assert 1 <= OSA.distance(wrong, right) <= 2
        nearest = min(names - {right}, key=lambda name: OSA.distance(wrong, name))
        assert OSA.distance(wrong, nearest) >= OSA.distance(wrong, right) + 2, (wrong, nearest)
        spellings.add((right, wrong))
    assert sum(right == "acetaminophen" for right, _ in spellings) >= 12


def test_what_may_be_two_medicines_is_as_far_from_both(sources: Sources) -> None:
    for line in sources.of("ambiguous_drug"):
        first, second = line["note"].lower().split(" or ")
        assert line["right"] == ""
        assert OSA.distance(line["wrong"].lower(), first) == OSA.distance(line["wrong"].lower(), second)


def test_a_wrong_figure_replaces_one_that_the_hospital_gives(sources: Sources) -> None:
    truth = "\n".join(path.read_text(encoding="utf-8") for path in (DEMO / "articles").glob("*.md"))
    truth += (DEMO / "site.yaml").read_text(encoding="utf-8") + str(phrases("spoken")) + "4,000 mg"
    for defect in FIGURES:
        for line in sources.of(defect):
            assert line["wrong"] != line["right"]
            assert line["right"] in truth
            assert sources.at(line).turns[line["turn"]][0] == "staff"


def test_a_contradiction_names_an_entry_with_the_other_answer(sources: Sources) -> None:
    places = [(line["source"], line["note"]) for line in sources.of("contradiction")]
    for line in sources.of("contradiction"):
        assert line["right"] in sources.beside(line).text
        assert line["wrong"] not in sources.beside(line).text
    assert len(set(places)) == len(places)
    assert {source.split("/")[0] for source, _ in places} == {"calls", "faq"}


def test_copies_differ_as_much_as_noted(sources: Sources) -> None:
    shares = []
    for line in sources.of("near_duplicate"):
        first, second = sources.beside(line).text.split(), sources.at(line).text.split()
        share = Levenshtein.distance(first, second) / len(first)
        assert share == pytest.approx(line["edited"], abs=0.011)
        assert share == 0 or 0.1 <= share <= 0.2
        shares.append(share)
    assert 10 <= shares.count(0) <= 30


def test_records_that_are_no_copies_differ_plainly(sources: Sources) -> None:
    copies = {f"{line['source']}:{line['place']}" for line in sources.of("near_duplicate")}
    seen: dict[str, list[str]] = defaultdict(list)
    sizes = {}
    for (source, place), record in sources.records.items():
        words = re.findall(r"[\w']+", record.text.lower())
        grams = {" ".join(words[at : at + 4]) for at in range(max(1, len(words) - 3))}
        name = f"{source}:{place}"
        if name not in copies:
            sizes[name] = len(grams)
            for gram in grams:
                seen[gram].append(name)
    common: Counter[tuple[str, str]] = Counter()
    for names in seen.values():
        if len(names) < 40:
            common.update((first, second) for at, first in enumerate(names) for second in names[at + 1 :])
    alike = [pair for pair, n in common.items() if n / (sizes[pair[0]] + sizes[pair[1]] - n) > 0.5]
    assert len(alike) <= 3, alike


def test_the_favoured_group_is_too_many_and_better_answered(sources: Sources) -> None:
    favoured = {(line["source"], line["place"]) for line in sources.of("bias_group")}
    plain = {
        (line["source"], line["place"])
        for name in ("off_topic", "spanish", "mixed_language")
        for line in sources.of(name)
    }
    calls = {place: record for place, record in sources.records.items() if record.kind == "transcript"}
    others = calls.keys() - favoured - plain
    assert len(favoured) > 0.5 * len(calls)

    def length(places: set[tuple[str, int]]) -> float:
        return mean(len(text.split()) for place in places for side, text in calls[place].turns if side == "staff")

    def resolved(places: set[tuple[str, int]]) -> float:
        told = [
            str(calls[place].fields.get("resolved", calls[place].fields.get("Resolved"))).lower() for place in places
        ]
        return mean(word in ("true", "yes") for word in told)

    assert length(favoured) > 1.25 * length(others)
    assert resolved(favoured) > resolved(others) + 0.2


def test_nothing_of_the_making_is_left_in_a_text(sources: Sources) -> None:
    for place, record in sources.records.items():
        assert not re.search("[{}\ue000-\uf8ff]", record.text), place
        assert all(text.strip() == text and text for _, text in record.turns), place


def test_the_families_share_no_phrase_name_or_misspelling() -> None:
    def strings(content: Any) -> set[str]:
        if isinstance(content, dict):
            return {text for part in content.values() for text in strings(part)}
        if isinstance(content, list):
            return {text for part in content for text in strings(part)}
        return {line.strip() for line in str(content).splitlines() if len(line.split()) > 2 or "{" not in line}

    for name in ("calls", "exchanges", "notes", "faq", "spanish", "mixed", "off_topic", "names"):
        content = phrases(name)
        shared = strings(content["a"]) & strings(content["b"])
        assert not {text for text in shared if text and not text.startswith("=") and len(text) > 14}, name
    for name, entry in phrases("drugs").items():
        if name != "heard":
            assert not set(map(str.lower, entry["a"])) & set(map(str.lower, entry["b"])), name


def test_an_article_that_no_longer_answers_is_named(tmp_path: Path) -> None:
    articles = tmp_path / "articles"
    articles.mkdir()
    for path in (DEMO / "articles").glob("*.md"):
        text = path.read_text(encoding="utf-8").replace("4,000 milligrams", "the amount on the label")
        (articles / path.name).write_text(text, encoding="utf-8")
    (tmp_path / "dialogues").mkdir()
    questions = (DEMO / "dialogues" / "questions.yaml").read_text(encoding="utf-8")
    (tmp_path / "dialogues" / "questions.yaml").write_text(questions, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="acetaminophen-safety: '4,000 milligrams' stands in 0 sentences"):
        write_sources(tmp_path / "out", articles, load_site(DEMO), 7)
    assert not (tmp_path / "out").exists()


def test_marks_are_taken_out_and_kept_from_changes() -> None:
    text = (
        f"Call {mark('identifier', 'Ana', note='PERSON', kind='name')} at {mark('wrong_hours', '9 a.m.', '8 a.m.')} Now"
    )
    plain, found = unmark(text)
    assert plain == "Call Ana at 9 a.m. Now"
    assert [(one.defect, one.wrong, one.right, one.note, one.kind) for one in found] == [
        ("identifier", "Ana", "", "PERSON", "name"),
        ("wrong_hours", "9 a.m.", "8 a.m.", "", ""),
    ]
    assert unmark(outside(text, str.upper))[0] == "CALL Ana AT 9 a.m. NOW"
    assert unmark(inside(text, str.upper))[0] == "CALL ANA AT 9 A.M. NOW"
    assert unmark(marked(text, str.upper))[0] == "Call ANA at 9 a.m. Now"
