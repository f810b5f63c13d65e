"""The fields of an output that are no files: seeds, timings, texts, times of words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue import outputs, reading, texts
from falmock.catalogue.outputs import Filler

if TYPE_CHECKING:
    import random

    from falmock.catalogue.entries import Json
    from falmock.catalogue.planning import Plan
    from falmock.catalogue.texts import Span

_SPOKEN: Final = {"text", "transcription", "transcript", "transcribed_text"}
_SPANS: Final = {
    "chunks",
    "segments",
    "words",
    "sentences",
    "utterances",
    "timestamps",
    "diarization_segments",
}
_ANSWERS: Final = {
    "output",
    "outputs",
    "text",
    "answer",
    "response",
    "results",
    "result",
    "text_output",
    "content",
}
_CAPTIONS: Final = {"caption", "description"}
_LANGUAGES: Final = {"language", "language_code", "detected_language"}
_MOST_SPANS: Final = 5000


@dataclass(frozen=True, slots=True)
class Known:
    """Finds the value of a field by its name. What is unknown is left to its type.

    Attributes:
        plan: of the run.
        random: draws what a model measures.
    """

    plan: Plan
    random: random.Random

    def __call__(self, name: str, schema: Json) -> Any:
        """Return the value of a field, which may not fit its schema; `Filler.UNKNOWN` for none."""
        for find in (self._of_every_model, self._of_listener, self._of_language_model, self._of_input):
            value = find(name, schema)
            if value is not Filler.UNKNOWN:
                return value
        return Filler.UNKNOWN

    def _of_every_model(self, name: str, schema: Json) -> Any:
        plan, count = self.plan, reading.count(self.plan.fields)
        if name in {"seed", "used_seed"}:
            return plan.seed
        if name == "seeds":
            return [plan.seed + index for index in range(count)]
        if name == "timings":
            return {"inference": round(self.random.uniform(0.8, 6.0), 6)}
        if name in {"has_nsfw_concepts", "nsfw_content_detected"}:
            return [False] * count
        if name in {"prompt", "actual_prompt", "revised_prompt"} and reading.prompt(plan.fields):
            return reading.prompt(plan.fields)
        if name in {"duration", "duration_ms", "length"} and plan.entry.medium in {"audio", "video"}:
            seconds = plan.clip().seconds if plan.entry.medium == "video" else plan.sound().seconds
            return round(seconds * (1000 if name.endswith("_ms") else 1), 3)
        if re.search(r"(^|_)id$", name) and name not in plan.fields.values:
            return f"{self.random.getrandbits(64):016x}"
        return Filler.UNKNOWN

    def _of_listener(self, name: str, schema: Json) -> Any:
        """Return fields of models that write down what they hear."""
        if not self._listens:
            return Filler.UNKNOWN
        if name in _SPOKEN:
            return self.plan.transcript().text
        if name in _LANGUAGES or name in {"languages", "inferred_languages"}:
            language = self.plan.fields.first(["language", "language_code"]) or "en"
            return language if name in _LANGUAGES else [language]
        if name in {"language_probability", "confidence"}:
            return 0.98
        if name == "subtitle_count":
            return len(self.plan.transcript().sentences)
        return self._spans(name, schema) if name in _SPANS else Filler.UNKNOWN

    def _spans(self, name: str, schema: Json) -> Any:
        """Return words or sentences with their times, in the shape of the schema."""
        fields, transcript = self.plan.fields, self.plan.transcript()
        level = fields.values.get("chunk_level")
        if level == "none" or (name == "diarization_segments" and fields.values.get("diarize") is not True):
            return []
        if name == "timestamps" and fields.values.get("timestamps") is not True:
            return None
        by_word = name == "words" or level == "word"
        item, many, _ = outputs.target_of(self.plan.entry.schemas, schema)
        if not many:
            return Filler.UNKNOWN
        filler = Filler(self.plan.entry.schemas, lambda *_: Filler.UNKNOWN)
        spans = transcript.words if by_word else transcript.sentences
        return [self._span(item, span, filler) for span in spans[:_MOST_SPANS]]

    def _span(self, item: Json, span: Span, filler: Filler) -> Json:
        speaker = "SPEAKER_00" if self.plan.fields.values.get("diarize") is True else None
        facts: Json = {
            "text": span.text,
            "word": span.text,
            "start": span.start,
            "end": span.end,
            "start_time": span.start,
            "end_time": span.end,
            "timestamp": [span.start, span.end],
            "type": "word",
            "confidence": 0.98,
            "speaker": speaker,
            "speaker_id": speaker and "speaker_0",
        }
        if not item.get("properties"):
            return {key: facts[key] for key in ("text", "start", "end")}
        return filler.file(item, facts)

    def _of_language_model(self, name: str, schema: Json) -> Any:
        """Return fields of models that answer in words."""
        if self.plan.entry.medium not in {"text", "unknown"} or self._listens:
            return "" if name == "description" else Filler.UNKNOWN
        pictures = self.plan.sources.pictures
        question = reading.prompt(self.plan.fields)
        if name in _CAPTIONS or (name in _ANSWERS and pictures and not question):
            return texts.describe(*pictures[0]) if pictures else texts.answer(question)
        if name in _ANSWERS:
            return texts.answer(question)
        if name == "reasoning":
            wanted = self.plan.fields.values.get("reasoning") is True
            return "The answer is a placeholder, so there is nothing to think about." if wanted else None
        read, written = len(question.split()), len(texts.answer(question).split())
        tokens = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        if name in {"finish_reason", "partial", "error"}:
            return {"finish_reason": "stop", "partial": False, "error": None}[name]
        return tokens.get(name, Filler.UNKNOWN)

    def _of_input(self, name: str, schema: Json) -> Any:
        """Return an input field that the output repeats."""
        value = self.plan.fields.values.get(name)
        return Filler.UNKNOWN if value is None or name.endswith(("_url", "_urls")) else value

    @property
    def _listens(self) -> bool:
        endpoint, inputs = self.plan.entry.endpoint, self.plan.fields.values
        words = r"whisper|wizper|speech-to-text|transcri|subtitle|caption.*video|asr|diariz"
        return re.search(words, endpoint) is not None and any(
            "audio" in key or "video" in key for key in inputs
        )
