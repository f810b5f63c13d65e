"""An application of Hugging Face's inference client that has fal as its provider."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from huggingface_hub import InferenceClient
from huggingface_hub.hf_api import InferenceProviderMapping

# Which models a provider has, the client asks Hugging Face; for models that are not registered there
# yet it has this list, to which its own documentation says to add them.
from huggingface_hub.inference._providers._common import HARDCODED_MODEL_INFERENCE_MAPPING as MODELS


def register(task: str, endpoint: str) -> str:
    """Make an endpoint of fal known to the client, and return the name of the model."""
    model = f"google/{task}"
    MODELS["fal-ai"][model] = InferenceProviderMapping(  # type: ignore[no-untyped-call]
        provider="fal-ai",
        hf_model_id=model,
        providerId=endpoint,
        status="live",
        task=task,
    )
    return model


def start(data: bytes) -> str:
    return data[:12].decode("latin-1")


client = InferenceClient(provider="fal-ai", api_key=os.environ["FAL_KEY"])
photo = Path(sys.argv[1])
report: dict[str, object] = {}

image = client.text_to_image(
    "A red fox", model=register("text-to-image", "fal-ai/flux/schnell"), width=512, height=384
)
report["image"] = list(image.size)
edited = client.image_to_image(
    photo, model=register("image-to-image", "fal-ai/flux-2/edit"), prompt="Add snow"
)
report["edited"] = edited.format
[cut] = client.image_segmentation(photo, model=register("image-segmentation", "fal-ai/birefnet"))
report["mask"] = cut.label

model = register("image-to-video", "fal-ai/veo2/image-to-video")
report["video"] = start(client.image_to_video(photo, model=model, prompt="A lego chef cooking eggs"))
model = register("text-to-video", "fal-ai/wan/v2.2-a14b/text-to-video")
report["video of a text"] = start(client.text_to_video("A red fox", model=model))

speech = client.text_to_speech(
    "Foxes sleep at noon.", model=register("text-to-speech", "fal-ai/minimax/speech-02-hd")
)
report["audio"] = start(speech)
heard = client.automatic_speech_recognition(
    speech, model=register("automatic-speech-recognition", "fal-ai/whisper")
)
report["words"] = bool(heard.text)
print(json.dumps(report))
