"""docs/protocol.md has every section that the repository cites."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
FOLDERS = ("mockserver", "client", "contract_tests", "docs", "tests", "fixtures", "examples", "bench")
TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
NUMBER = r"\d+(?:\.\d+)?"
CITATION = re.compile(
    rf"\bPROTOCOL(?:\.md)?,?\s+(?:sections?\s+)?({NUMBER}(?:(?:,\s+and|,|\s+and|\s+to)\s+{NUMBER})*)"
)
BREAKS = re.compile(r"\s*\n\s*(?:#\s+)?|\"\s+\"")


def sections() -> set[str]:
    """Return the numbers of headings, and of the open questions, which are cited as 19.1 and so on."""
    headings = set(re.findall(rf"^#+ ({NUMBER})[. ]", PAGE, re.MULTILINE))
    questions = PAGE.partition("## 19.")[2].partition("## 20.")[0]
    return headings | {f"19.{number}" for number in re.findall(r"^(\d+)\. ", questions, re.MULTILINE)}


def citations(text: str) -> set[str]:
    """Return the sections that a text cites, also across the lines of a docstring or comment.

    >>> sorted(citations("PROTOCOL.md 2.2, 4 and 14.1; PROTOCOL 9.2 (D-hook)"))
    ['14.1', '2.2', '4', '9.2']
    """
    joined = BREAKS.sub(" ", text)
    return {number for match in CITATION.finditer(joined) for number in re.findall(NUMBER, match[1])}


def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    kept = [path for path in found if "node_modules" not in path.parts and path != Path(__file__)]
    return sorted(path for path in [*kept, *(ROOT / name for name in TOP)] if citations(path.read_text()))


SUFFIXES = {".py", ".md", ".txt", ".toml", ".json"}
FILES = files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_cited_section_of_the_protocol_exists(path: Path) -> None:
    assert citations(path.read_text()) - sections() == set()


def test_citations_of_the_protocol_are_found() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(PROTOCOL.md 4.3)", {"4.3"}),
        ("PROTOCOL 4.3 (C, L)", {"4.3"}),
        ("PROTOCOL 4.3, 14.1 (L)", {"4.3", "14.1"}),
        ("PROTOCOL.md 2.2, 4, 13 and 14.", {"2.2", "4", "13", "14"}),
        ("as PROTOCOL.md\n    9.2 says", {"9.2"}),
        ("# as PROTOCOL.md\n# 9.2 says", {"9.2"}),
        ("PROTOCOL.md says nothing in 3 places", set()),
    ],
)
def test_a_citation_is_read_in_each_of_its_forms(text: str, expected: set[str]) -> None:
    assert citations(text) == expected


def test_each_section_that_the_protocol_page_refers_to_exists() -> None:
    prose = re.sub(r"`[^`]*`|```.*?```", "", PAGE, flags=re.DOTALL)
    referred = set(re.findall(rf"\b[Ss]ections? ({NUMBER})", prose)) | set(
        re.findall(r"\((\d+\.\d+)\)", prose)
    )
    assert len(referred) > 5
    assert referred - sections() == set()


def test_every_tag_of_the_protocol_page_is_in_its_legend() -> None:
    legend = set(re.findall(r"^\| \*\*(.)\*\* \|", PAGE, re.MULTILINE))
    assert legend == set("CSELRNDOI?")
