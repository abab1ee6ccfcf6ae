"""Tests of the words for what is wrong with a value."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from service.reasons import reason


class Sample(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int = Field(1, ge=1, lt=10)
    share: float = Field(0.5, gt=0, le=1, allow_inf_nan=False)
    name: str = Field("a", min_length=1, max_length=3, pattern="^[a-z]+$")
    way: Literal["asc", "desc"] = "asc"
    on: bool = True
    many: list[Annotated[int, Field(strict=True)]] = []
    table: dict[str, int] = {}

    @field_validator("name")
    @classmethod
    def _no_x(cls, value: str) -> str:
        if value == "x":
            raise ValueError("X marks no spot")
        return value


def reasons(**given: Any) -> list[str]:
    with pytest.raises(ValidationError) as error:
        Sample(**given)
    return [reason(problem) for problem in error.value.errors()]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"count": "many"}, "must be an integer"),
        ({"count": 1.5}, "must be an integer"),
        ({"count": 0}, "must be at least 1"),
        ({"count": 10}, "must be less than 10"),
        ({"share": 0}, "must be greater than 0.0"),
        ({"share": 2}, "must be at most 1.0"),
        ({"share": "nan"}, "must be a finite number"),
        ({"name": ""}, "must not be empty"),
        ({"name": "abcd"}, "must have at most 3 characters"),
        ({"name": "A"}, "must match ^[a-z]+$"),
        ({"name": "x"}, "x marks no spot"),
        ({"name": 1}, "must be text"),
        ({"way": "dec"}, "must be 'asc' or 'desc'; did you mean desc?"),
        ({"on": "maybe"}, "must be true or false"),
        ({"many": 1}, "must be a list"),
        ({"many": ["1"]}, "must be an integer"),
        ({"table": []}, "must be an object"),
        ({"other": 1}, "is unknown"),
    ],
)
def test_a_reason_is_the_end_of_a_sentence_that_begins_with_the_value(given, expected):
    assert reasons(**given) == [expected]
