"""What parsing one article cannot see: links between articles, hosts, expiry, length, near-copies."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from itertools import combinations
from pathlib import Path

from app.guardrails.figures import figures, host
from app.knowledge.articles import ArticleSource, Finding, scan
from app.knowledge.links import Target, headings, links

SHINGLE = 5
NEARLY_EQUAL = 0.8
"""Two articles are nearly equal if this share of the shorter one's runs of ``SHINGLE`` words stands in the other."""
OFTEN = 40
"""A run of words in more articles than this is a formula of the house and says nothing about likeness."""

_WORD = re.compile(r"\w+")


def sound_articles(folder: Path) -> tuple[list[ArticleSource], list[Finding]]:
    """The articles of a folder that may be imported, and every fault of the others, links included.

    Raises ConfigurationError if the folder cannot be read.
    """
    articles, faults = scan(folder)
    known = {article.head.id for article in articles} | {Path(fault.file).stem for fault in faults}
    anchors = {a.head.id: {heading.anchor for heading in headings(a.markdown)} for a in articles}
    sound = []
    for article in articles:
        broken = list(_broken_links(article, known, anchors))
        faults += broken
        if not broken:
            sound.append(article)
    return sound, sorted(faults, key=lambda fault: (fault.file, fault.line))


def _broken_links(article: ArticleSource, known: set[str], anchors: dict[str, set[str]]) -> Iterator[Finding]:
    for link in links(article.markdown):
        if said := _wrong(link.target, article.head.id, known, anchors):
            yield _at(article, link.line, said)


def _wrong(target: Target, own: str, known: set[str], anchors: dict[str, set[str]]) -> str | None:
    if target.kind == "scheme":
        return f"a link may not begin with {target.name}:"
    if target.kind == "account":
        return "a link may not hold a name to sign in with (the @ before the host)"
    if target.kind == "nowhere":
        return (
            f"the link {target.name!r} leads nowhere; link to an article as ID.md, to a heading in it as ID.md#heading"
        )
    if target.kind != "article":
        return None
    name = target.name or own
    if name not in known:
        return f"there is no article {name!r} to link to"
    if target.anchor and name in anchors and target.anchor not in anchors[name]:
        return f"{name} has no heading {target.anchor!r}; it has {', '.join(sorted(anchors[name])) or 'none'}"
    return None


def warnings(
    articles: Sequence[ArticleSource],
    hosts: Collection[str],
    today: date,
    embedded: Callable[[ArticleSource], Sequence[tuple[str, str]]],
    reach: Callable[[str], int],
) -> list[Finding]:
    """What does not stop an import but serves patients badly, by file and line.

    ``hosts`` are the site's allowed links. ``embedded`` gives heading and embedded text of each passage, and ``reach``
    how many characters of a text the encoder reads.
    """
    found = [finding for a in articles for finding in (*_hosts(a, hosts), *_expired(a, today), *_pictures(a))]
    found += [finding for article in articles for finding in _cut(article, embedded(article), reach)]
    found += [*_same_titles(articles), *_near_copies(articles)]
    return sorted(found, key=lambda finding: (finding.file, finding.line))


def _at(article: ArticleSource, line: int, text: str) -> Finding:
    """``line`` counts from 0 at the beginning of the Markdown."""
    return Finding(f"{article.head.id}.md", article.line + line, text)


def _hosts(article: ArticleSource, allowed: Collection[str]) -> Iterator[Finding]:
    """Hosts that the output checks hold back, whether linked or only written."""
    known = {name.lower().removeprefix("https://").rstrip("/") for name in allowed}
    used = {(link.line, link.target.name) for link in links(article.markdown) if link.target.kind == "host"}
    for line, text in enumerate(article.markdown.split("\n")):
        used |= {(line, host(figure)) for figure in figures(text) if figure.startswith("url:")}
    for line, name in sorted(used):
        if name not in known:
            yield _at(article, line, f"{name} is not in allowed_links of site.yaml: no answer will name it")


def _expired(article: ArticleSource, today: date) -> Iterator[Finding]:
    if article.head.review_by < today:
        line = article.fields["review_by"]
        yield Finding(f"{article.head.id}.md", line, f"review_by {article.head.review_by} is past: never cited")


def _pictures(article: ArticleSource) -> Iterator[Finding]:
    for link in links(article.markdown):
        if link.picture:
            yield _at(article, link.line, "pictures are not shown; say in words what this one shows")


def _cut(article: ArticleSource, embedded: Sequence[tuple[str, str]], reach: Callable[[str], int]) -> Iterator[Finding]:
    places = {heading.text: heading.line for heading in reversed(headings(article.markdown))}
    for heading, text in embedded:
        if lost := len(text) - reach(text):
            where = f'under "{heading}"' if heading else "without a heading"
            said = f"a passage {where} is too long for the encoder: its last {lost} characters are found by word only"
            yield _at(article, places.get(heading, 0), f"{said}; divide it into paragraphs")


def _same_titles(articles: Sequence[ArticleSource]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for article in articles:
        other = first.setdefault(" ".join(article.head.title.casefold().split()), article.head.id)
        if other != article.head.id:
            line = article.fields["title"]
            yield Finding(f"{article.head.id}.md", line, f"has the same title as {other}.md: patients cannot choose")


def _near_copies(articles: Sequence[ArticleSource]) -> Iterator[Finding]:
    runs = {article.head.id: _runs(article.markdown) for article in articles}
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for name, own in runs.items():
        for run in own:
            holders[run].append(name)
    shared = Counter(pair for names in holders.values() if 1 < len(names) <= OFTEN for pair in combinations(names, 2))
    lines = {article.head.id: article.line for article in articles}
    for (one, other), count in sorted(shared.items()):
        share = count / min(len(runs[one]), len(runs[other]))
        if share >= NEARLY_EQUAL:
            said = f"is nearly equal to {one}.md ({share:.0%} of the shorter one's words): the search may take either"
            yield Finding(f"{other}.md", lines[other], said)


def _runs(markdown: str) -> set[int]:
    words = _WORD.findall(markdown.lower())
    return {hash(tuple(words[at : at + SHINGLE])) for at in range(max(1, len(words) - SHINGLE + 1))}
