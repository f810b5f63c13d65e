"""The commands `falmock models`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from click.testing import CliRunner
from programs import falmock, one_line

from falmock.catalogue import bundled, documents
from falmock.cli.models import DOCUMENT, models

if TYPE_CHECKING:
    from click.testing import Result

FLUX = "fal-ai/flux/dev"
FILMS = "acme/films/animate"
TYPES = """
export type FilmInput = {
  /** The prompt. */
  prompt: string;
};
export type FilmOutput = { video: string; };
export type EndpointTypeMap = {
  "acme/films/animate": { input: FilmInput; output: FilmOutput; };
  "fal-ai/flux/dev": { input: FilmInput; output: FilmOutput; };
};
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAL_KEY", raising=False)
    return tmp_path


def call(*arguments: str) -> Result:
    """Run a command; the exit code of one that returns a number is that number."""
    done = CliRunner().invoke(models, arguments, standalone_mode=False)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def document(endpoint: str = FILMS, **fields: Any) -> dict[str, Any]:
    """Return the document of a model like flux/dev, with changed fields; None removes one."""
    entry = bundled.entry(FLUX)
    assert entry is not None
    whole: dict[str, Any] = json.loads(json.dumps(documents.document(entry)).replace(FLUX, endpoint))
    schema = whole["components"]["schemas"]["FluxDevInput"]
    for name, facts in fields.items():
        if facts is None:
            del schema["properties"][name]
        else:
            schema["properties"][name] = schema["properties"].get(name, {}) | facts
    return whole


def save(name: str, content: object) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return name


def own() -> list[str]:
    return sorted(str(path.relative_to(".falmock/models")) for path in Path(".falmock").rglob("*.json"))


def listed(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call("list", "--json", *arguments).output)
    return found


def test_list_shows_price_certainty_and_date_of_each_model() -> None:
    line = next(line for line in call("list", FLUX).output.splitlines() if line.startswith(f"{FLUX} "))

    assert line.split("  ")[0] == FLUX
    assert line.split()[1:] == ["image", "$0.025", "/", "megapixels", "schema", "2026-05-12", "bundled"]


def test_list_has_all_models_without_a_text() -> None:
    assert {row["endpoint"] for row in listed()} == set(bundled.ids())
    assert {row["endpoint"] for row in listed("flux/sch")} == {
        name for name in bundled.ids() if "flux/sch" in name
    }


def test_the_summary_counts_each_model_once() -> None:
    first, by_certainty, by_medium, *_ = call("list", "--summary").output.splitlines()

    for line in (by_certainty, by_medium):
        counts = [int(part.split()[0]) for part in line.partition(": ")[2].split(", ")]
        assert f"{sum(counts)} models" == first == f"{len(bundled.ids())} models"


def test_show_prints_fields_with_defaults_and_bounds_and_the_source_of_the_price() -> None:
    lines = [" ".join(line.split()) for line in call("show", FLUX).output.splitlines()]

    assert "prompt string, required" in lines
    assert "num_images integer, at least 1, at most 4, default 1" in lines
    assert "image_size.width integer, at most 14142, above 0, default 512" in lines
    assert "images list of Image, required" in lines
    assert any(line.startswith("price $0.025 / megapixels, ") and "2026-07-28" in line for line in lines)


def test_show_says_since_when_a_model_is_not_listed() -> None:
    endpoint = next(name for name in bundled.ids() if (e := bundled.entry(name)) and e.retired)

    assert "not listed  since 20" in call("show", endpoint).output


def test_of_two_files_with_one_model_the_later_counts() -> None:
    older, newer = save("older.json", document()), save("newer.json", document(num_images=None))

    assert "num_images" in call("show", FILMS, "--models", older).output
    assert "num_images" not in call("show", FILMS, "--models", older, "--models", newer).output


def test_show_prints_the_document_that_the_emulator_serves() -> None:
    entry = bundled.entry(FLUX)
    assert entry is not None

    assert json.loads(call("show", FLUX, "--openapi").output) == documents.document(entry)


def test_an_unknown_model_is_one_line_with_the_nearest_name() -> None:
    assert one_line(falmock("models", "show", "fal-ai/flux/deev")) == (
        "falmock: there is no model fal-ai/flux/deev, did you mean fal-ai/flux/dev?"
    )


def test_diff_of_equal_models_is_empty() -> None:
    done = call("diff", FLUX, save("new.json", document(FLUX)))

    assert (done.output, done.return_value) == ("", 0)


def test_diff_has_a_line_for_each_change() -> None:
    newer = document(
        FLUX,
        sync_mode=None,
        style={"type": "string", "default": "plain"},
        num_images={"default": 2, "maximum": 8},
        output_format={"enum": ["jpeg", "webp"]},
    )
    done = call("diff", FLUX, save("new.json", newer))

    assert done.return_value == 1
    assert done.output.splitlines() == [
        "- input.sync_mode: boolean, default false",
        "~ input.num_images: default 1 -> 2",
        "~ input.num_images: at most 4 -> 8",
        '~ input.output_format: values without "png" and with "webp"',
        '+ input.style: string, default "plain"',
    ]


def test_diff_compares_two_files_too() -> None:
    older = save("old.json", document())

    assert call("diff", older, save("new.json", document(prompt={"maxLength": 9}))).output == (
        "~ input.prompt: longest none -> 9\n"
    )


def test_add_keeps_the_document_itself_for_the_next_start() -> None:
    given = document()
    assert call("add", save("films.json", given)).output == f"added {FILMS} (document)\n"

    kept = json.loads(Path(f".falmock/models/{FILMS}.json").read_text())
    kept["info"].pop("x-falmock")
    assert kept == given
    assert [(row["from"], row["certainty"]) for row in listed(FILMS)] == [("own", "document")]


def test_add_takes_several_files_and_folders() -> None:
    save("more/a.json", document("acme/a/x"))
    save("more/deep/b.json", document("acme/b"))

    call("add", save("films.json", document()), "more")

    assert own() == ["acme/a/x.json", "acme/b.json", f"{FILMS}.json"]


def test_if_one_document_is_broken_none_is_added_and_each_problem_is_a_line() -> None:
    bad = document(prompt={"type": "txt"}, seed={"maximum": "many"})

    done = call("add", save("films.json", document()), save("bad.json", bad), "missing.json")

    assert (done.return_value, done.stdout) == (1, "")
    starts = [
        "falmock: bad.json: FluxDevInput.properties.seed.maximum: ",
        "falmock: bad.json: FluxDevInput.properties.prompt.type: ",
        "falmock: missing.json: cannot read it",
    ]
    lines = done.stderr.splitlines()
    assert [any(line.startswith(start) for line in lines) for start in starts] == [True] * 3
    assert len(lines) == 3
    assert own() == []


def test_a_failed_write_adds_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    save(".falmock/models/acme/b", "a file in the place of a folder")
    files = [save("a.json", document("acme/a/x")), save("b.json", document("acme/b/x"))]

    assert "cannot write to .falmock" in one_line(falmock("models", "add", *files))
    assert own() == []
    assert list(Path(".falmock").rglob("*.part")) == []


def test_the_npm_package_adds_what_is_not_bundled_and_marks_it_approximate() -> None:
    save("client/package.json", {"name": "@fal-ai/client"})
    save("client/src/types/endpoints.d.ts", TYPES)

    assert call("add", "client").output == f"added {FILMS} (types)\n"
    assert [(row["from"], row["certainty"]) for row in listed(FILMS)] == [("own", "types")]
    assert own() == [f"{FILMS}.json"]


def test_an_id_in_a_package_cannot_lead_out_of_the_folder() -> None:
    save("client/package.json", {"name": "@fal-ai/client"})
    save("client/endpoints.d.ts", TYPES.replace(FILMS, "acme/../../../films"))

    assert "is not an endpoint id of fal" in call("add", "client").stderr
    assert list(Path().rglob("films*")) == []


def test_a_package_without_types_is_a_line() -> None:
    save("client/package.json", {"name": "other"})

    assert call("add", "client").stderr == (
        "falmock: client/endpoints.d.ts: cannot read it (No such file or directory)\n"
    )


@pytest.mark.parametrize("key", [None, "id:secret"])
def test_pull_fetches_a_document_with_the_key_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    if key is not None:
        monkeypatch.setenv("FAL_KEY", key)
    with respx.mock() as router:
        route = router.get(DOCUMENT, params={"endpoint_id": FILMS}).respond(json=document())
        done = call("pull", FILMS)

    assert done.output.startswith(f"added {FILMS} (document 20")
    assert route.calls[0].request.headers.get("authorization") == (key and f"Key {key}")
    assert listed(FILMS)[0]["date"] in done.output


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (httpx.Response(404), f"fal.ai has no document of {FILMS}: 404"),
        (httpx.Response(200, text="<html>"), f"{FILMS}: the answer of fal.ai is not JSON"),
        (httpx.Response(200, json={}), f"{FILMS}: the document has no object at paths"),
        (httpx.Response(200, json=document(FLUX)), f"{FILMS}: the document is that of {FLUX}"),
        (httpx.ConnectError("no route"), f"cannot fetch the document of {FILMS}: no route"),
    ],
)
def test_a_pull_that_fails_is_said_and_adds_nothing(answer: Any, line: str) -> None:
    with respx.mock() as router:
        router.get(DOCUMENT).mock(side_effect=[answer])
        try:
            said = call("pull", FILMS).stderr
        except Exception as error:
            said = str(error)

    assert line in said
    assert own() == []


def test_remove_serves_the_bundled_model_again() -> None:
    call("add", save("flux.json", document(FLUX)))
    assert listed(FLUX)[0]["from"] == "own"

    call("remove", FLUX)

    assert own() == []
    assert {row["from"] for row in listed(FLUX)} == {"bundled"}


def test_remove_of_a_bundled_model_is_refused_in_one_line() -> None:
    assert one_line(falmock("models", "remove", FLUX)) == (
        f"falmock: .falmock/models does not have the model {FLUX}"
    )


def test_models_of_a_folder_are_listed_by_flag_and_by_file() -> None:
    save("own/films.json", document())
    by_flag = falmock("models", "list", FILMS, "--models", "own").out
    Path("falmock.toml").write_text('models = "own"')

    assert by_flag.endswith("own\n")
    assert falmock("models", "list", FILMS).out == by_flag


def test_falmock_run_serves_the_models_of_the_state_folder() -> None:
    call("add", save("films.json", document()))
    program = (
        "import httpx; key = {'Authorization': 'Key me:secret'}; "
        f"print(httpx.post('https://queue.fal.run/{FILMS}', json={{}}, headers=key).status_code)"
    )

    assert falmock("run", "--", sys.executable, "-c", program).out == "200\n"


def test_a_broken_model_is_one_line_at_the_start() -> None:
    save("own/films.json", {})

    line = one_line(falmock("serve", "--ephemeral", "--port", "0", "--models", "own"))

    assert line == (
        "falmock: own/films.json: the document has no object at paths "
        "(and 1 more: falmock models add own prints all)"
    )
