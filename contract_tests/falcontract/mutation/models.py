"""Mutants of the models: their fields, outputs, files and prices."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import (
    answers,
    catalogue_models,
    outputs,
    performing,
    planning,
    pricing,
    reading,
    runner,
    schema,
    sizes,
    sources,
)
from falcontract.mutation.patching import planted, replaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from falcontract.mutation.patching import Patch


def _change_field(patch: Patch, name: str, change: Callable[[Any], object]) -> None:
    """Change the JSON Schema of one input field of all models before it becomes a pydantic model."""

    built: dict[str, Any] = {}

    def build(model: Any) -> Any:
        if model.endpoint not in built:
            changed = copy.deepcopy(dict(model.entry.schemas))
            if name in (fields := changed[model.entry.input].get("properties", {})):
                change(fields[name])
            built[model.endpoint] = schema.build(changed, model.entry.input)
        return built[model.endpoint]

    patch.set(catalogue_models.Model, "input", property(build))


def most_images_are_five(patch: Patch) -> None:
    """num_images may be five."""
    _change_field(patch, "num_images", lambda field: field.update(maximum=5))


def least_steps_are_two(patch: Patch) -> None:
    """num_inference_steps must be two."""
    _change_field(patch, "num_inference_steps", lambda field: field.update(minimum=2))


@planted(_change_field, "speed")
def bounds_are_exclusive(field: Any) -> None:
    """speed must be below 5."""
    field["exclusiveMaximum"] = field.pop("maximum", 5)


@planted(_change_field, "output_format")
def webp_is_missing(field: Any) -> None:
    """output_format has no webp."""
    field["enum"] = [value for value in field.get("enum", ()) if value != "webp"]


def durations_are_numbers(patch: Patch) -> None:
    """duration is a number."""
    _change_field(
        patch, "duration", lambda field: (field.pop("enum"), field.update(type="integer", default=5))
    )


def lists_take_anything(patch: Patch) -> None:
    """image_urls may have numbers."""
    _change_field(patch, "image_urls", lambda field: field.update(items={}))


def short_prompts_are_accepted(patch: Patch) -> None:
    """prompt has no least length."""
    _change_field(patch, "prompt", lambda field: field.pop("minLength", None))


def null_is_refused(patch: Patch) -> None:
    """seed does not take null, although it has no default."""
    _change_field(patch, "seed", lambda field: (field.clear(), field.update(type="integer", default=0)))


def files_of_flux_are_pngs(patch: Patch) -> None:
    """The default of another model: output_format is png."""
    _change_field(patch, "output_format", lambda field: field.update(default="png"))


@replaces(planning.Plan, "still_size")
def images_are_taller(original: Any, plan: Any) -> Any:
    """An image has eight rows too many."""
    width, height = original(plan)
    return width, height + 8


def presets_are_swapped(patch: Patch) -> None:
    """The preset portrait_4_3 is landscape."""
    patch.item(sizes._PRESETS, "portrait_4_3", (1024, 768))


def ratios_are_ignored(patch: Patch) -> None:
    """Every image without a size is a square."""
    patch.set(sizes, "_ratio", lambda *_: None)


def one_image_too_few(patch: Patch) -> None:
    """There is one image less than asked, but one at least."""
    patch.around(reading, "count", lambda original, fields: max(original(fields) - 1, 1))


def formats_are_ignored(patch: Patch) -> None:
    """An image has the default format, whatever was asked."""
    patch.set(reading, "image_format", lambda _: None)


def sync_mode_is_ignored(patch: Patch) -> None:
    """With sync_mode the URLs are those of files."""
    patch.set(reading, "inline", lambda _: False)


@replaces(runner._Tools, "inline")
async def data_uris_are_text(original: Any, tools: Any, spec: Any) -> str:
    """A data URI says that it is text."""
    text = str(await original(tools, spec))
    return text.replace(spec.content_type, "text/plain", 1)


def _change_known(patch: Patch, name: str, change: Callable[[Any], Any]) -> None:
    """Change the value of a field of every output."""

    def known(original: Any, this: Any, field: str, described: Any) -> Any:
        value = original(this, field, described)
        return change(value) if field == name else value

    patch.around(answers.Known, "__call__", known)


def seeds_are_drawn_anew(patch: Patch) -> None:
    """The output has another seed than the input."""
    _change_known(patch, "seed", lambda seed: seed + 1)


def prompts_are_not_repeated(patch: Patch) -> None:
    """The prompt of an output is empty."""
    _change_known(patch, "prompt", lambda _: "")


def one_flag_for_all_images(patch: Patch) -> None:
    """has_nsfw_concepts has one flag, however many images there are."""
    _change_known(patch, "has_nsfw_concepts", lambda flags: flags[:1])


def timings_are_empty(patch: Patch) -> None:
    """timings has no member."""
    _change_known(patch, "timings", lambda _: {})


def timings_are_missing(patch: Patch) -> None:
    """The output has no timings."""
    _change_output(patch, lambda output: {name: output[name] for name in output if name != "timings"})


def members_are_sorted(patch: Patch) -> None:
    """The members of an output are sorted by name."""
    _change_output(patch, lambda output: dict(sorted(output.items())))


def _change_output(patch: Patch, change: Callable[[Any], Any]) -> None:
    def fill(original: Any, filler: Any, described: Any, files: Any, path: Any = ()) -> Any:
        output = original(filler, described, files, path)
        return output if path else change(output)

    patch.around(outputs.Filler, "fill", fill)


@replaces(outputs.Filler, "file")
def files_have_no_name(original: Any, filler: Any, described: Any, facts: Any) -> Any:
    """Files have no file_name."""
    output = original(filler, described, facts)
    return {name: output[name] for name in output if name != "file_name"}


def alpha_is_lost(patch: Patch) -> None:
    """A cut-out has no alpha channel."""
    patch.set(planning.Plan, "_is_transparent", property(lambda _: False))


def masks_come_unasked(patch: Patch) -> None:
    """Every optional file is made."""
    patch.set(performing._Run, "_is_wanted", lambda *_: True)


def sound_cannot_be_switched_off(patch: Patch) -> None:
    """A video of a model with sound always has it."""
    patch.around(reading, "sound", lambda original, fields: None if original(fields) is None else True)


def first_frames_are_ignored(patch: Patch) -> None:
    """A video is landscape, whatever its first frame is."""
    patch.around(planning.Plan, "_frame_size", lambda original, plan: planning.LANDSCAPE)


def speech_lasts_a_minute(patch: Patch) -> None:
    """Speech lasts a minute, whatever is said."""
    patch.set(planning.Plan, "_sound_seconds", lambda _: 60.0)


def speech_is_slow(patch: Patch) -> None:
    """Speech is ten times as slow."""
    patch.set(planning, "CHARACTERS_PER_SECOND", 1.5)


def transcripts_outlast_the_sound(patch: Patch) -> None:
    """A transcript is that of a minute."""
    patch.set(planning.Plan, "heard_seconds", property(lambda _: 60.0))


@replaces(answers.Known, "_spans")
def chunk_levels_are_ignored(original: Any, known: Any, name: str, described: Any) -> Any:
    """Chunks are sentences, also if words were asked for."""
    values = {**known.plan.fields.values, "chunk_level": "segment"}
    plan = dataclasses.replace(known.plan, fields=dataclasses.replace(known.plan.fields, values=values))
    return original(dataclasses.replace(known, plan=plan), name, described)


def languages_are_ignored(patch: Patch) -> None:
    """Every transcript is English."""
    _change_known(patch, "inferred_languages", lambda _: ["en"])


def speakers_are_always_told(patch: Patch) -> None:
    """The output has speaker segments without a request for them."""
    _change_known(
        patch,
        "diarization_segments",
        lambda found: found or [{"speaker": "SPEAKER_00", "timestamp": [0.0, 1.0]}],
    )


def meshes_are_obj(patch: Patch) -> None:
    """A mesh is an OBJ."""
    patch.set(reading, "mesh_format", lambda _: "obj")


def units_are_images(patch: Patch) -> None:
    """Every model bills images."""
    patch.set(pricing, "_COUNTS", dict.fromkeys(pricing._COUNTS, pricing._COUNTS["images"]))


def megapixels_are_not_rounded(patch: Patch) -> None:
    """Megapixels are not rounded up."""
    patch.set(pricing, "_megapixels", lambda size: size[0] * size[1] / 1_000_000)


def characters_are_words(patch: Patch) -> None:
    """A thousand characters are a thousand words."""
    patch.item(pricing._COUNTS, "1000 characters", lambda made: made.words / 1000)


@replaces(pricing, "_applies")
def sound_is_free(original: Any, key: str, fields: Any, made: Any) -> bool:
    """A video with sound costs as much as one without."""
    return bool(original(key, fields, dataclasses.replace(made, sound=False)))


def time_is_billed_in_units(patch: Patch) -> None:
    """A model that is billed by time has units."""
    patch.set(
        runner, "_price_headers", lambda model, units, seconds: {"x-fal-billable-units": str(units or 1)}
    )


def small_images_are_accepted(patch: Patch) -> None:
    """An image has no least size."""

    patch.set(sources, "_check_picture", lambda *_, **__: None)
