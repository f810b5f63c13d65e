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

model = "google/veo2"
MODELS["fal-ai"][model] = InferenceProviderMapping(  # type: ignore[no-untyped-call]
    provider="fal-ai",
    hf_model_id=model,
    providerId="fal-ai/veo2/image-to-video",
    status="live",
    task="image-to-video",
)
client = InferenceClient(provider="fal-ai", api_key=os.environ["FAL_KEY"])
video = client.image_to_video(Path(sys.argv[1]), model=model, prompt="A lego chef cooking eggs")
print(json.dumps({"mp4": video[4:8].decode()}))
