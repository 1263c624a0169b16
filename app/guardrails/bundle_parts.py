"""The parts of a policy bundle, each with the place where it stands, so that a fault can name file and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from app.guardrails.bundle_source import Fault, YamlFile, read_text, read_yaml
from app.guardrails.context import CUE_KINDS
from app.guardrails.learned import POLICY_FILE, WEIGHTS_FILE, LearnedPolicy
from app.guardrails.rules import BundleHeader, InjectionRule, ScopeRule, TriageRule
from app.guardrails.wishes import POLICY_FILE as WISHES_FILE
from app.guardrails.wishes import WEIGHTS_FILE as WISHES_WEIGHTS
from app.guardrails.wishes import WishPolicy

R = TypeVar("R", TriageRule, ScopeRule, InjectionRule)
M = TypeVar("M", bound=BaseModel)
_KINDS = ("lexicon", "context", "triage_", "texts_", POLICY_FILE, WISHES_FILE)
_SINGLE = ("bundle.yaml", "scope.yaml", "injection.yaml")
_CUES = frozenset({*CUE_KINDS, "release"})


@dataclass(frozen=True, slots=True)
class Placed(Generic[R]):
    """A rule, and the file and number under which it stands."""

    rule: R
    file: YamlFile
    number: int

    def fault(self, said: str, *field: str | int) -> Fault:
        """A fault of the rule, at one of its fields."""
        return Fault(self.file.name, self.line(*field), f"rule {self.rule.id}: {said}")

    def line(self, *field: str | int) -> int:
        """The line of a field, which may stand in the file's defaults, or of the rule."""
        return self.file.line(*_path(self.file, self.number, field))


@dataclass(frozen=True, slots=True)
class Phrase:
    """One entry of a list of the lexicon or of the context."""

    text: str
    list: str
    file: YamlFile
    path: tuple[str | int, ...]

    def fault(self, said: str) -> Fault:
        """A fault of the entry."""
        return Fault(self.file.name, self.file.line_of(self.text, *self.path), f"{self.list}: {said}")


@dataclass(frozen=True, slots=True)
class Text:
    """What patients read, by language."""

    forms: dict[str, str]
    file: YamlFile


@dataclass(frozen=True, slots=True)
class Learned(Generic[M]):
    """A policy of what is learned, and the bytes of its weights."""

    policy: M
    weights: bytes
    file: YamlFile


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that the files of a bundle hold, each part valid by itself. ``header`` is None only beside faults."""

    header: BundleHeader | None
    protected: frozenset[str]
    lexicon: dict[str, list[Phrase]]
    context: dict[str, list[Phrase]]
    triage: list[Placed[TriageRule]]
    scope: list[Placed[ScopeRule]]
    injection: list[Placed[InjectionRule]]
    texts: dict[str, Text]
    learned: Learned[LearnedPolicy] | None
    wishes: Learned[WishPolicy] | None

    @property
    def rules(self) -> list[Placed[Any]]:
        """All rules."""
        return [*self.triage, *self.scope, *self.injection]

    @property
    def concepts(self) -> dict[str, list[Phrase]]:
        """The lexicon, with the cues of the context as concepts ``cue_<kind>``."""
        return {**self.lexicon, **{f"cue_{kind}": phrases for kind, phrases in self.context.items() if phrases}}


def read_parts(files: Mapping[str, bytes], faults: list[Fault]) -> Parts:
    """Parse and validate each file by itself; what is wrong goes to ``faults``."""
    faults += [Fault(name, None, "is missing from the bundle") for name in _SINGLE if name not in files]
    if "protected.txt" not in files:
        faults.append(Fault("protected.txt", None, "is missing from the bundle"))
    parsed = [read_yaml(name, content, faults) for name, content in files.items() if name.endswith(".yaml")]
    usable = [file for file in parsed if file is not None]
    known = _named(usable, *_KINDS, *_SINGLE)
    faults += [
        Fault(file.name, None, f"nothing reads a file of this name; names begin with {', '.join(_KINDS)}")
        for file in usable
        if file not in known
    ]
    header = [_valid(BundleHeader, file, faults) for file in _named(usable, "bundle.yaml")]
    context = _phrase_lists(_named(usable, "context"), faults)
    for name in set(context) - _CUES:
        first = context[name][0]
        faults.append(first.file.fault(f"{name} is not a kind of cue; known: {', '.join(sorted(_CUES))}", name))
    return Parts(
        header=header[0] if header else None,
        protected=_words("protected.txt", files.get("protected.txt", b""), faults),
        lexicon=_phrase_lists(_named(usable, "lexicon"), faults),
        context=context,
        triage=[rule for file in _named(usable, "triage_") for rule in _rules(TriageRule, file, faults)],
        scope=[rule for file in _named(usable, "scope.yaml") for rule in _rules(ScopeRule, file, faults)],
        injection=[rule for file in _named(usable, "injection.yaml") for rule in _rules(InjectionRule, file, faults)],
        texts=_texts(_named(usable, "texts_"), faults),
        learned=_learned(LearnedPolicy, POLICY_FILE, WEIGHTS_FILE, usable, files, faults),
        wishes=_learned(WishPolicy, WISHES_FILE, WISHES_WEIGHTS, usable, files, faults),
    )


def _learned(
    model: type[M],
    policy_file: str,
    weights: str,
    usable: list[YamlFile],
    files: Mapping[str, bytes],
    faults: list[Fault],
) -> Learned[M] | None:
    """A learned part: its policy and its weights, or neither."""
    policies = _named(usable, policy_file)
    if weights in files and not policies:
        faults.append(Fault(weights, None, f"{policy_file} is missing: it says what these weights decide"))
    for file in policies:
        if weights not in files:
            faults.append(file.fault(f"{weights} is missing from the bundle"))
        elif policy := _valid(model, file, faults):
            return Learned(policy, files[weights], file)
    return None


def _named(files: list[YamlFile], *beginnings: str) -> list[YamlFile]:
    return [file for file in files if file.name.startswith(beginnings)]


def _path(file: YamlFile, number: int, field: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where a field of a rule stands: in the rule, or in the defaults if only they have it."""
    entry = file.data["rules"][number]
    defaults = file.data.get("defaults") or {}
    if field and field[0] in defaults and field[0] not in entry:
        return ("defaults", *field)
    return ("rules", number, *field)


def _valid(model: type[M], file: YamlFile, faults: list[Fault]) -> M | None:
    try:
        return model.model_validate(file.data)
    except ValidationError as error:
        faults += [file.fault(_said(fault), *fault["loc"]) for fault in error.errors()]
        return None


def _said(fault: Any) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(str(part) for part in fault['loc'])}: {message}" if fault["loc"] else message


def _rules(model: type[R], file: YamlFile, faults: list[Fault]) -> list[Placed[R]]:
    data = file.data
    if not isinstance(data, dict) or not isinstance(data.get("rules"), list):
        faults.append(file.fault("must hold 'rules', a list (and may hold 'defaults')", "rules"))
        return []
    faults += [file.fault(f"{key}: unknown beside rules and defaults", str(key)) for key in data.keys() - _TOP]
    defaults = data.get("defaults") or {}
    if not isinstance(defaults, dict):
        faults.append(file.fault("defaults: must be a mapping", "defaults"))
        return []
    placed: list[Placed[R]] = []
    for number, entry in enumerate(data["rules"]):
        if not isinstance(entry, dict):
            faults.append(file.fault(f"rule {number + 1}: must be a mapping", "rules", number))
            continue
        try:
            placed.append(Placed(model.model_validate({**defaults, **entry}), file, number))
        except ValidationError as error:
            for fault in error.errors():
                path = _path(file, number, fault["loc"])
                whose = "defaults" if path[0] == "defaults" else f"rule {entry.get('id', number + 1)}"
                found = file.fault(f"{whose}: {_said(fault)}", *path)
                if found not in faults:  # a default is faulty once, however many rules take it
                    faults.append(found)
    return placed


_TOP = frozenset({"rules", "defaults"})


def _words(name: str, content: bytes, faults: list[Fault]) -> frozenset[str]:
    text = read_text(name, content, faults) or ""
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def _phrase_lists(files: list[YamlFile], faults: list[Fault]) -> dict[str, list[Phrase]]:
    """Lists by name; a name that stands in several files has the phrases of all."""
    lists: dict[str, list[Phrase]] = {}
    for file in files:
        if not isinstance(file.data, dict):
            faults.append(file.fault("must map names to lists of phrases"))
            continue
        for name, value in file.data.items():
            phrases = _phrases(file, str(name), value, faults)
            if phrases:
                lists.setdefault(str(name), []).extend(phrases)
    return lists


def _phrases(file: YamlFile, name: str, value: Any, faults: list[Fault]) -> list[Phrase]:
    """The phrases of one list: entries, or words between commas."""
    entries = value if isinstance(value, list) else [value]
    found: list[Phrase] = []
    for number, entry in enumerate(entries):
        path = (name, number) if isinstance(value, list) else (name,)
        if not isinstance(entry, str):
            faults.append(file.fault(f"{name}: must be phrases (write numbers and yes/no in quotes)", *path))
            continue
        pieces = [piece.strip() for piece in entry.split(",")]
        if not all(pieces):
            faults.append(file.fault(f"{name}: an empty phrase, or a comma too many", *path))
        found += [Phrase(piece, name, file, path) for piece in pieces if piece]
    if not entries:
        faults.append(file.fault(f"{name}: the list is empty", name))
    return found


def _texts(files: list[YamlFile], faults: list[Fault]) -> dict[str, Text]:
    texts: dict[str, Text] = {}
    for file in files:
        if not isinstance(file.data, dict):
            faults.append(file.fault("must map text ids to en and es"))
            continue
        for key, forms in file.data.items():
            name = str(key)
            if not isinstance(forms, dict) or not {"en", "es"} <= set(forms):
                faults.append(file.fault(f"text {name}: needs both en and es", name))
                continue
            wrong = [language for language, form in forms.items() if not isinstance(form, str) or not form.strip()]
            faults += [file.fault(f"text {name}: {code} must be words", name, str(code)) for code in wrong]
            if name in texts:
                faults.append(file.fault(f"text {name} occurs twice; it stands in {texts[name].file.name} too", name))
            texts[name] = Text({str(code): str(form).strip() for code, form in forms.items()}, file)
    return texts


def as_rules(placed: list[Placed[R]]) -> list[R]:
    """The rules without their places."""
    return [one.rule for one in placed]


def as_lists(phrases: Mapping[str, list[Phrase]]) -> dict[str, list[str]]:
    """Lists of words without their places."""
    return {name: [phrase.text for phrase in entries] for name, entries in phrases.items()}
