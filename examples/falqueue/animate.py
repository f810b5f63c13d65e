"""Animate an image with Veo 2: `python animate.py frame.png "It waves" out.mp4`.

It uses fal if FAL_KEY is set, or an emulator if FALQUEUE_BASE_URL is set.
"""

import sys
from pathlib import Path

from falqueue import Client, RequestFailed, SubmitUnconfirmed, TookTooLong, Veo2ImageToVideo


def main(image: str, prompt: str, target: str) -> int:
    """Write the video to `target` and return the exit code."""
    request = Veo2ImageToVideo(prompt=prompt, image_url=Path(image), duration="5s")
    with Client() as client:
        try:
            output = client.subscribe(request, check=True, timeout=600, on_update=print)
        except RequestFailed as error:
            print(f"no video: {error}")
            return 1
        except TookTooLong as error:
            print(f"cancelled ({error.cancellation}): {error.handle}")
            return 1
        except SubmitUnconfirmed as error:
            print(f"check fal's dashboard before you try again: {error}")
            return 1
        print(client.download(output.video, target))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:  # noqa: PLR2004 - the name of the program and three arguments
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
