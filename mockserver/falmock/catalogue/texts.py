"""Makes up texts: the words of a recording, and the answers of a language model."""

from __future__ import annotations

import html
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

_SENTENCES: Final = (
    "This is a placeholder for the words of your recording.",
    "The text is made up.",
    "Each sentence has about as many words as a person says in that time.",
    "Words and sentences have times that fit the length of the input.",
    "The same input always gives the same text.",
    "Another input may begin with another sentence.",
)
_SECONDS_PER_WORD: Final = 0.4
_MOST_WORDS: Final = 2000  # a longer recording has slower ones
_SHOWN: Final = 80  # characters of a question


@dataclass(frozen=True, slots=True)
class Span:
    """Words with the seconds at which they begin and end."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Transcription:
    """The words of a recording."""

    words: tuple[Span, ...]
    sentences: tuple[Span, ...]

    @property
    def text(self) -> str:
        return " ".join(span.text for span in self.sentences)


def transcribe(seconds: float, seed: int) -> Transcription:
    """Make a transcription that fits a length."""
    count = min(max(1, round(seconds / _SECONDS_PER_WORD)), _MOST_WORDS)
    sentences: list[list[str]] = []
    while (missing := count - sum(map(len, sentences))) > 0:
        sentence = _SENTENCES[(seed + len(sentences)) % len(_SENTENCES)]
        sentences.append(sentence.split()[:missing])
    return spread(sentences, seconds)


def spread(sentences: list[list[str]], seconds: float) -> Transcription:
    """Give the words of some sentences equal shares of a time."""
    words = [word for sentence in sentences for word in sentence]
    step = seconds / max(len(words), 1)

    def span(start: int, end: int) -> Span:
        return Span(" ".join(words[start:end]), round(start * step, 2), round(end * step, 2))

    ends = list(accumulate(map(len, sentences), initial=0))
    return Transcription(
        tuple(span(index, index + 1) for index in range(len(words))),
        tuple(span(start, end) for start, end in pairwise(ends)),
    )


def subtitles(transcription: Transcription, *, vtt: bool) -> str:
    """Return a transcription in the format of SubRip, or of WebVTT."""
    mark = "." if vtt else ","
    blocks = [
        f"{number}\n{_clock(span.start, mark)} --> {_clock(span.end, mark)}\n{span.text}\n"
        for number, span in enumerate(transcription.sentences, 1)
    ]
    return "\n".join((["WEBVTT\n"] if vtt else []) + blocks)


def _clock(seconds: float, mark: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3600000:02}:{whole // 60000 % 60:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"


def answer(question: str) -> str:
    """Answer a question to a language model."""
    shown = " ".join(question.split())
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
    return f"This is a placeholder answer to: {shown}" if shown else "This is a placeholder answer."


def draw(width: int, height: int, prompt: str, seed: int) -> str:
    """Return an SVG that shows a prompt."""
    shown = html.escape("".join(filter(str.isprintable, prompt[:_SHOWN])))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 100 100">'
        f'<rect width="100" height="100" fill="hsl({seed % 360} 40% 70%)"/>'
        f'<text x="50" y="50" font-size="4" text-anchor="middle">{shown}</text></svg>\n'
    )


def describe(width: int, height: int) -> str:
    """Describe an image that was not looked at."""
    return f"A placeholder description of an image of {width} x {height} pixels."
