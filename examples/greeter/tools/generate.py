"""Write build_info.json: what the function should know about its own build.

Runs as a hook before the requirements are installed, in the copy of the sources that becomes the
artifact. It records no time and no host name, so that the same sources always give the same artifact.
"""

import json
import os
from pathlib import Path


def main() -> None:
    info = {
        "function": os.environ["LAMBDA_BUNDLE_FUNCTION"],
        "runtime": os.environ["LAMBDA_BUNDLE_RUNTIME"],
        "arch": os.environ["LAMBDA_BUNDLE_ARCH"],
        "greeting": os.environ.get("GREETING", "Hello"),
    }
    Path("build_info.json").write_text(json.dumps(info, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
