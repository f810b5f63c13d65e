"""An application of falgen's tools, which send their own requests to the queue and the platform API."""

from __future__ import annotations

import json

from falgen.tools.generate import GenerateTool
from falgen.tools.info import ModelInfoTool
from falgen.tools.pricing import GetPricingTool

MODEL = "fal-ai/veo2/image-to-video"
good = {"prompt": "A lego chef", "image_url": "https://example.com/chef.png"}

generated = GenerateTool().execute({"endpoint_id": MODEL, "input": good})
refused = GenerateTool().execute({"endpoint_id": MODEL, "input": {**good, "duration": "4s"}})
info = ModelInfoTool().execute({"endpoint_id": MODEL})
pricing = GetPricingTool().execute({"endpoint_ids": [MODEL]})
report = {
    "generated": generated["ok"],
    "refused": "422" in refused["error"],
    "fields": list(info["input_schema"]["properties"]),
    "price": "0.5" in json.dumps(pricing),
}
print(json.dumps(report))
