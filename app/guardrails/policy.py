"""The policy bundle: every safety rule and text as data, read, checked and hashed.

A bundle is a folder of YAML files: ``bundle.yaml`` (version, limits), ``lexicon*.yaml`` (concepts), ``context*.yaml``
(cues), ``triage_*.yaml`` (red flags), ``scope.yaml``, ``injection.yaml`` and ``texts_*.yaml`` (what patients read).
"""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.contracts.replies import Tier
from app.contracts.site import Route
from app.errors import ConfigurationError
from app.guardrails.context import CUE_KINDS
from app.guardrails.patterns import Matcher, parse

ScopeKind = Literal["in_scope", "human", "identity", "privacy", "redirect", "decline", "greeting", "thanks"]
POLICY_VERSION = "v1"
M = TypeVar("M", bound=BaseModel)


def default_bundle_folder() -> Path:
    """The bundle that is shipped with this version of the service."""
    return Path(__file__).parent / "policies" / POLICY_VERSION


def _known_tier(value: str) -> str:
    Tier.of(value)
    return value


def _known_trigger(value: str) -> str:
    parse(value)
    return value


TriggerText = Annotated[str, AfterValidator(_known_trigger)]


class Source(BaseModel):
    """A public clinical page that a rule follows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https://")
    retrieved: date


class TriageRule(BaseModel):
    """One red flag. ``triggers``: any; ``guards``: all must hold too; ``unless``: any of them in the last turn clears it."""  # noqa: E501

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z_]+\.[a-z0-9-]+$")
    category: str
    triggers: list[TriggerText] = Field(min_length=1)
    guards: list[TriggerText] = Field(default_factory=list)
    unless: list[TriggerText] = Field(default_factory=list)
    context: Literal["full", "negation", "none"] = "full"
    tier: Annotated[str, AfterValidator(_known_tier)]
    routes: list[Route] = Field(min_length=1)
    text: str
    source: Source
    reviewer: str
    clinically_reviewed: bool
    expires: date
    positive: list[str] = Field(min_length=20)
    negative: list[str] = Field(min_length=20)


class ScopeRule(BaseModel):
    """One class of messages that the articles do not answer, tried in file order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    kind: ScopeKind
    class_: str = Field(alias="class")
    triggers: list[TriggerText] = Field(min_length=1)
    unless: list[TriggerText] = Field(default_factory=list)
    max_words: int | None = None
    routes: list[Route] = Field(default_factory=list)
    text: str
    positive: list[str] = Field(min_length=5)
    negative: list[str] = Field(min_length=5)


class InjectionRule(BaseModel):
    """One mark of an attack; weights of different rules add up as independent doubts, 1 - prod(1 - weight)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    weight: float = Field(gt=0, le=1)
    triggers: list[TriggerText] = Field(default_factory=list)
    regex: list[str] = Field(default_factory=list)
    positive: list[str] = Field(min_length=3)
    negative: list[str] = Field(min_length=3)

    @model_validator(mode="after")
    def _some(self) -> InjectionRule:
        if not self.triggers and not self.regex:
            raise ValueError("needs triggers or regex")
        return self


class BundleHeader(BaseModel):
    """``bundle.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    injection_threshold: float = Field(gt=0, le=1)
    support_threshold: float = Field(gt=0, le=1)
    fillers: list[str]
    category_order: list[str]


class PolicyBundle(BaseModel):
    """A checked bundle. ``hash`` is SHA-256 (hex) over names and bytes of its files; ``warnings`` are plain sentences."""  # noqa: E501

    model_config = ConfigDict(frozen=True)

    hash: str
    header: BundleHeader
    protected: frozenset[str]
    lexicon: dict[str, list[str]]
    context: dict[str, list[str]]
    triage: list[TriageRule]
    scope: list[ScopeRule]
    injection: list[InjectionRule]
    texts: dict[str, dict[str, str]]
    warnings: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The name of the bundle."""
        return self.header.version

    @property
    def unreviewed(self) -> tuple[str, ...]:
        """Ids of active rules that no clinician has signed."""
        return tuple(rule.id for rule in self.triage if not rule.clinically_reviewed)

    def concepts(self) -> dict[str, list[str]]:
        """The lexicon, with the cues of the context as concepts ``cue_<kind>``."""
        return {**self.lexicon, **{f"cue_{kind}": phrases for kind, phrases in self.context.items() if phrases}}


def load_bundle(folder: Path, *, strict: bool = False, today: date | None = None) -> PolicyBundle:
    """Read and check a bundle. Unsigned rules are active and listed in ``unreviewed``.

    Raises ConfigurationError that names the file and the line or the rule. An expired rule is an error when
    ``strict``, else a warning: an old red flag is better than none.
    """
    if not (folder / "bundle.yaml").is_file():
        raise ConfigurationError(f"{folder} is not a policy bundle: bundle.yaml is missing")
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.txt")])
    header = _validated(BundleHeader, _read(folder / "bundle.yaml"), "bundle.yaml")
    lexicon = _phrase_lists([f for f in files if f.name.startswith("lexicon")])
    context = _phrase_lists([f for f in files if f.name.startswith("context")])
    unknown = set(context) - set(CUE_KINDS) - {"release"}
    if unknown:
        raise ConfigurationError(f"context*.yaml: unknown lists {', '.join(sorted(unknown))}")
    triage = [r for f in files if f.name.startswith("triage_") for r in _rules(TriageRule, f)]
    scope = _rules(ScopeRule, folder / "scope.yaml")
    injection = _rules(InjectionRule, folder / "injection.yaml")
    texts = _texts([f for f in files if f.name.startswith("texts_")])
    bundle = PolicyBundle(
        hash=_digest(files),
        header=header,
        protected=_words(folder / "protected.txt"),
        lexicon=lexicon,
        context=context,
        triage=triage,
        scope=scope,
        injection=injection,
        texts=texts,
        warnings=_expired(triage, strict, today or date.today()),
    )
    _check(bundle)
    return bundle


def _words(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name}: cannot be read as UTF-8 text") from error
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        data = path.read_bytes()
        digest.update(f"{path.name}:{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path.name} is missing from the policy bundle") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path.name}{where}: not valid UTF-8 YAML: {error}") from error


def _validated(model: type[M], data: Any, where: str) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{where}: {lines}") from error


def _rules(model: type[M], path: Path) -> list[M]:
    data = _read(path)
    if not isinstance(data, dict) or not isinstance(data.get("rules"), list):
        raise ConfigurationError(f"{path.name}: must hold 'rules', a list (and may hold 'defaults')")
    defaults = data.get("defaults") or {}
    rules = []
    for number, entry in enumerate(data["rules"], start=1):
        if not isinstance(entry, dict):
            raise ConfigurationError(f"{path.name}, rule {number}: must be a mapping")
        rules.append(_validated(model, {**defaults, **entry}, f"{path.name}, rule {entry.get('id', number)}"))
    return rules


def _phrase_lists(paths: list[Path]) -> dict[str, list[str]]:
    """Lists by name; a name that stands in several files has the phrases of all."""
    lists: dict[str, list[str]] = {}
    for path in paths:
        for name, phrases in _phrases(path).items():
            lists.setdefault(name, []).extend(phrases)
    return lists


def _phrases(path: Path) -> dict[str, list[str]]:
    data = _read(path)
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path.name}: must map names to lists of phrases")
    lists: dict[str, list[str]] = {}
    for name, phrases in data.items():
        flat = phrases.split(",") if isinstance(phrases, str) else phrases
        if isinstance(flat, list):
            flat = [piece for entry in flat for piece in (str(entry).split(",") if "," in str(entry) else [entry])]
        if not isinstance(flat, list) or not all(isinstance(p, str) and p.strip() for p in flat):
            raise ConfigurationError(
                f"{path.name}, {name}: must be a list of phrases (write numbers and yes/no in quotes)"
            )
        lists[str(name)] = [p.strip() for p in flat]
    return lists


def _texts(paths: list[Path]) -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = {}
    for path in paths:
        data = _read(path)
        if not isinstance(data, dict):
            raise ConfigurationError(f"{path.name}: must map text ids to en and es")
        for text_id, languages in data.items():
            if not isinstance(languages, dict) or not {"en", "es"} <= set(languages):
                raise ConfigurationError(f"{path.name}, {text_id}: needs both en and es")
            texts[str(text_id)] = {str(k): str(v).strip() for k, v in languages.items()}
    return texts


def _expired(rules: list[TriageRule], strict: bool, today: date) -> tuple[str, ...]:
    warnings = tuple(
        f"rule {r.id} expired on {r.expires}: have it reviewed and renewed" for r in rules if r.expires < today
    )
    if strict and warnings:
        raise ConfigurationError("; ".join(warnings))
    return warnings


def _check(bundle: PolicyBundle) -> None:
    rules: list[TriageRule | ScopeRule | InjectionRule] = [*bundle.triage, *bundle.scope, *bundle.injection]
    seen: set[str] = set()
    concepts = bundle.concepts()
    try:
        Matcher(concepts, [], frozenset(bundle.header.fillers))
    except ValueError as error:
        raise ConfigurationError(f"lexicon*.yaml or context*.yaml: {error}") from error
    for rule in rules:
        if rule.id in seen:
            raise ConfigurationError(f"rule {rule.id} occurs twice")
        seen.add(rule.id)
        text = getattr(rule, "text", None)
        if text is not None and text not in bundle.texts:
            raise ConfigurationError(f"rule {rule.id}: the text {text!r} is not in texts_*.yaml")
        for trigger in _triggers(rule):
            for name in _references(trigger):
                if name not in concepts:
                    raise ConfigurationError(f"rule {rule.id}: unknown concept @{name} in {trigger!r}")
    for red_flag in bundle.triage:
        if red_flag.category not in bundle.header.category_order:
            raise ConfigurationError(
                f"rule {red_flag.id}: category {red_flag.category!r} is not in category_order of bundle.yaml"
            )


def _triggers(rule: TriageRule | ScopeRule | InjectionRule) -> list[str]:
    lists = (rule.triggers, getattr(rule, "guards", []), getattr(rule, "unless", []))
    return [trigger for entries in lists for trigger in entries]


def _references(trigger: str) -> list[str]:
    names = [name for part in parse(trigger).parts for names in part.items for name in names]
    return [name[1:] for name in names if name.startswith("@")]
