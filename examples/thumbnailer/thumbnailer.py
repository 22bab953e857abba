"""Scale an image down to a thumbnail.

Event: {"image": <base64>, "max_size": <pixels, default 128>}
"""

import base64
import io
import logging
from typing import Any

from PIL import Image, ImageOps

DEFAULT_SIZE = 128

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Return the thumbnail as a base64 PNG, with its width and height in pixels."""
    max_size = int(event.get("max_size", DEFAULT_SIZE))
    with Image.open(io.BytesIO(base64.b64decode(event["image"]))) as source:
        image = ImageOps.exif_transpose(source)  # a phone's photo says in its EXIF which way is up
        original = image.size
        image.thumbnail((max_size, max_size))
    logger.info("scaled %dx%d to %dx%d", *original, *image.size)

    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return {
        "image": base64.b64encode(buffer.getvalue()).decode("ascii"),
        "content_type": "image/png",
        "width": image.width,
        "height": image.height,
    }
