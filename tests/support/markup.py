"""Reads HTML as a browser without a script does."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import httpx

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Element:
    """An element with its attributes, its children and its text."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Element | str] = []

    @property
    def text(self) -> str:
        """All text in it, with single blanks."""
        texts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(texts).split())

    def all(self, tag: str = "", **wanted: str) -> list[Element]:
        """Return the elements below with a tag and attributes; `class_` is one of their classes."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if child.fits(tag, wanted):
                    found.append(child)
                found += child.all(tag, **wanted)
        return found

    def one(self, tag: str = "", **wanted: str) -> Element:
        (found,) = self.all(tag, **wanted)
        return found

    def fits(self, tag: str, wanted: dict[str, str]) -> bool:
        classes = (self.attributes.get("class") or "").split()
        others = {name: value for name, value in wanted.items() if name != "class_"}
        return (
            tag in {"", self.tag}
            and ("class_" not in wanted or wanted["class_"] in classes)
            and others.items() <= self.attributes.items()
        )

    def __getitem__(self, name: str) -> str:
        value = self.attributes[name]
        assert value is not None
        return value


class Reader(HTMLParser):
    """Builds the tree of a document, and fails if an element is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    @classmethod
    def read(cls, text: str) -> Self:
        reader = cls()
        reader.feed(text)
        reader.close()
        assert reader._open == [reader.root]
        return reader


def tree(answer: httpx.Response) -> Element:
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Reader.read(answer.text).root
