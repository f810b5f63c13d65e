"""Animate a picture with Veo 2: `python animate.py frame.png "It waves" out.mp4`.

It runs unchanged against fal (with FAL_KEY set) and against an emulator (with FALQUEUE_BASE_URL set).
"""

import sys
from pathlib import Path

from falqueue import Client, RequestFailed, SubmitUnconfirmed, TookTooLong, Veo2ImageToVideo


def main(picture: str, prompt: str, target: str) -> int:
    """Write the clip to `target`; return the exit code."""
    request = Veo2ImageToVideo(prompt=prompt, image_url=Path(picture), duration="5s")
    with Client() as client:
        try:
            output = client.subscribe(request, check=True, timeout=600, on_update=print)
        except RequestFailed as error:
            print(f"no clip: {error}")
            return 1
        except TookTooLong as error:
            print(f"cancelled ({error.cancellation}); look at it later: {error.handle}")
            return 1
        except SubmitUnconfirmed as error:
            print(f"look at fal's dashboard before you try again: {error}")
            return 1
        print(client.download(output.video, target))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
