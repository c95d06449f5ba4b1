from __future__ import annotations

import pytest

from events.canonical import canonical


def test_keys_are_sorted_and_nothing_is_spaced() -> None:
    assert canonical({"b": [1, None, True], "a": {"é": "\n"}}) == '{"a":{"é":"\\n"},"b":[1,null,true]}'.encode()


@pytest.mark.parametrize(("document", "path"), [({"a": 1.0}, "a"), ({"a": [{"b": float("nan")}]}, r"a\[0\]\.b")])
def test_a_float_is_refused_by_its_path(document: dict[str, object], path: str) -> None:
    with pytest.raises(ValueError, match=f"{path}: .* is a float"):
        canonical(document)  # type: ignore[arg-type]  # that is the point


def test_an_integer_that_some_languages_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds"):
        canonical({"a": 2**60})
