"""Shared by every function that has the layer `common`: `from common_greeting import Greeting`."""

from pydantic import BaseModel, Field


class Greeting(BaseModel):
    """A validated greeting; `str()` gives the text."""

    name: str = Field(min_length=1, max_length=80)
    salutation: str = "Hello"

    def __str__(self) -> str:
        return f"{self.salutation}, {self.name}!"
