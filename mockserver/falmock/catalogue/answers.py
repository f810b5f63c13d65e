"""The fields of an output that are no files: seeds, timings, texts, times of words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue import outputs, reading, texts
from falmock.catalogue.outputs import Filler

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from falmock.catalogue.entries import Json
    from falmock.catalogue.planning import Plan
    from falmock.catalogue.texts import Span, Transcription
    from falmock.media import Clip

_SPOKEN: Final = ("text", "transcription", "transcript", "transcribed_text", "output")
_SPANS: Final = {
    "chunks",
    "segments",
    "words",
    "sentences",
    "utterances",
    "timestamps",
    "diarization_segments",
}
_ANSWERS: Final = (
    "output",
    "outputs",
    "text",
    "answer",
    "response",
    "results",
    "result",
    "text_output",
    "content",
    "prompt",
)


@dataclass(frozen=True)  # no slots, for the cached property
class Known:
    """Finds the value of a field by its name, if the name is known."""

    plan: Plan
    random: random.Random  # for times and ids

    def __call__(self, name: str, schema: Json) -> Any:
        """Return the value of a field, which may not fit its schema; `Filler.UNKNOWN` for none."""
        for find in (self._of_every_model, self._of_transcriber, self._of_language_model, self._of_input):
            value = find(name, schema)
            if value is not Filler.UNKNOWN:
                return value
        return Filler.UNKNOWN

    def _of_every_model(self, name: str, _: Json) -> Any:
        plan, count = self.plan, reading.count(self.plan.fields)
        shown, pictures = reading.prompt(plan.fields), plan.sources.pictures
        values: dict[str, Callable[[], Any]] = {
            **dict.fromkeys(("seed", "used_seed"), lambda: plan.seed),
            "seeds": lambda: [plan.seed + index for index in range(count)],
            "timings": lambda: {"inference": round(self.random.uniform(0.8, 6.0), 6)},
            **dict.fromkeys(("has_nsfw_concepts", "nsfw_content_detected"), lambda: [False] * count),
            **dict.fromkeys(("prompt", "actual_prompt", "revised_prompt"), lambda: shown or Filler.UNKNOWN),
            "caption": lambda: texts.describe(*pictures[0]) if pictures else Filler.UNKNOWN,
            "svg_content": lambda: texts.draw(*plan.still_size(), shown, plan.seed),
            **dict.fromkeys(("duration", "length"), lambda: self._seconds(1)),
            "duration_ms": lambda: self._seconds(1000),
            "num_frames": lambda: self._of_clip(lambda clip: clip.frames),
            "fps": lambda: self._of_clip(lambda clip: float(clip.rate)),
            "width": lambda: self._of_clip(lambda clip: clip.size[0]),
            "height": lambda: self._of_clip(lambda clip: clip.size[1]),
        }
        if name in values:
            return values[name]()
        is_new = re.search(r"(^|_)id$", name) and name not in plan.fields.values
        return f"{self.random.getrandbits(64):016x}" if is_new else Filler.UNKNOWN

    def _seconds(self, unit: int) -> Any:
        """Return the length of the output, else of the input."""
        plan = self.plan
        lengths = {"audio": lambda: plan.sound().seconds, "video": lambda: plan.clip().seconds}
        seconds = lengths.get(plan.entry.medium, lambda: plan.heard_seconds)()
        return Filler.UNKNOWN if seconds is None else round(seconds * unit, 3)

    def _of_clip(self, fact: Callable[[Clip], Any]) -> Any:
        """Return a fact of the output video, if there is one."""
        return fact(self.plan.clip()) if self.plan.entry.medium == "video" else Filler.UNKNOWN

    def _of_transcriber(self, name: str, schema: Json) -> Any:
        """Return fields of models that turn speech into text."""
        if name == "timestamps" and self.plan.entry.medium == "audio":
            return self._spans(name, schema)
        if not self._is_transcriber:
            return Filler.UNKNOWN
        transcription = self.transcription
        language = self.plan.fields.first(["language", "language_code"]) or "en"
        found: Json = {
            **dict.fromkeys(_SPOKEN, transcription.text),
            **dict.fromkeys(("language", "language_code", "detected_language"), language),
            "languages": [language],
            "inferred_languages": [language],
            **dict.fromkeys(("language_probability", "confidence", "probability"), 0.98),
            "has_speech": True,
            "subtitle_count": len(transcription.sentences),
        }
        return self._spans(name, schema) if name in _SPANS else found.get(name, Filler.UNKNOWN)

    def _spans(self, name: str, schema: Json) -> Any:
        """Return words or sentences with their times, in the shape of the schema."""
        fields, transcription = self.plan.fields, self.transcription
        level = fields.values.get("chunk_level")
        if level == "none" or (name == "diarization_segments" and fields.values.get("diarize") is not True):
            return []
        if name == "timestamps" and fields.values.get("timestamps") is not True:
            return None
        by_word = name in {"words", "timestamps"} or level == "word"
        item, many, _ = outputs.target_of(self.plan.entry.schemas, schema)
        if not many:
            return Filler.UNKNOWN
        filler = Filler(self.plan.entry.schemas, lambda *_: Filler.UNKNOWN)
        spans = transcription.words if by_word else transcription.sentences
        return [self._span(item, span, filler) for span in spans]

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
        if self.plan.entry.medium not in {"text", "unknown"} or self._is_transcriber:
            return "" if name == "description" else Filler.UNKNOWN
        pictures, question = self.plan.sources.pictures, reading.prompt(self.plan.fields)
        answer = texts.describe(*pictures[0]) if pictures and not question else texts.answer(question)
        thinks = self.plan.fields.values.get("reasoning") is True
        thoughts = "The answer is a placeholder, so there is no reasoning." if thinks else None
        usage = _usage(question, answer)
        more = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
        usage |= {**more, "cost": 0.0}
        found: Json = {
            **dict.fromkeys(_ANSWERS, answer),
            **usage,
            "description": texts.describe(*pictures[0]) if pictures else answer,
            "reasoning": thoughts,
            "finish_reason": "stop",
            "partial": False,
            "error": None,
        }
        if name in {"usage", "usage_info"}:
            target, _, _ = outputs.target_of(self.plan.entry.schemas, schema)
            return {key: value for key, value in usage.items() if key in target.get("properties", {})}
        return found.get(name, Filler.UNKNOWN)

    def _of_input(self, name: str, _: Json) -> Any:
        """Return an input field that the output repeats."""
        value = self.plan.fields.values.get(name)
        repeated = isinstance(value, str | int | float) and not isinstance(value, bool)
        return value if repeated and not name.endswith(("_url", "_urls")) else Filler.UNKNOWN

    @cached_property
    def transcription(self) -> Transcription:
        """The words of the recording, made up once."""
        return self.plan.transcription()

    @property
    def _is_transcriber(self) -> bool:
        endpoint, inputs = self.plan.entry.endpoint, self.plan.fields.values
        words = r"whisper|wizper|speech-to-text|transcri|subtitle|caption.*video|asr|diariz|-vad"
        takes_recording = any("audio" in key or "video" in key for key in inputs)
        return takes_recording and re.search(words, endpoint) is not None


def chat_completion(plan: Plan, random: random.Random) -> Json:
    """Return an answer in the format of OpenAI, which some endpoints have and do not describe."""
    messages = reading.objects(plan.fields.values.get("messages"))
    question = next((text for each in reversed(messages) if isinstance(text := each.get("content"), str)), "")
    answer = texts.answer(question)
    return {
        "id": f"gen-{random.getrandbits(64):016x}",
        "object": "chat.completion",
        "model": plan.fields.first(["model"]) or "placeholder",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
        ],
        "usage": _usage(question, answer),
    }


def _usage(question: str, answer: str) -> Json:
    """Return the counts of words, which stand for tokens."""
    read, written = len(question.split()), len(answer.split())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
