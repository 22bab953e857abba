"""What runs in a process of `processes`: it is told a function and its arguments, and says what comes of it.

Little is imported here, because it is what each of these processes begins with.
"""

from __future__ import annotations

import gc
import pickle
from typing import IO

_OBJECTS = 50_000
"""So many new ones, before rings that nobody has any more are looked for: syntax trees are none."""


def main(asked: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until nobody asks any more: whether the function returned, and what it returned or raised."""
    gc.set_threshold(_OBJECTS)
    while True:
        try:
            function, arguments = pickle.load(asked)  # noqa: S301 - from the process that started this one
        except EOFError:
            return
        try:
            answer = True, function(*arguments)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is read
            answer = False, error
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
