"""Lines of a TOML document."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.discovery.toml_lines import line_of, line_of_syntax_error

DOCUMENT = '''\
# [[miner]] is not here

[[miner]]
hotkey = "a"
note = """
[[miner]]
uid = 5
"""
uid = 1

[[miner]]
hotkey = "b"; uid = 2
'''.replace("; ", "\n")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("miner",), 3),
        (("miner", 0), 3),
        (("miner", 0, "hotkey"), 4),
        (("miner", 0, "note"), 5),
        (("miner", 0, "uid"), 9),
        (("miner", 1), 11),
        (("miner", 1, "uid"), 13),
        (("miner", 2), 0),
        (("miner", 0, "endpoint"), 0),
        (("miner", 0, "hotkey", "deeper"), 0),
    ],
)
def test_a_statement_is_found_where_it_begins(path: tuple[str | int, ...], line: int) -> None:
    assert line_of(DOCUMENT, path) == line


def test_what_is_inside_an_inline_list_is_at_the_line_of_its_statement() -> None:
    assert line_of("x = 1\nminer = [\n  {uid = 1},\n  {uid = 2},\n]\n", ("miner", 1, "uid")) == 2


NOISE = st.lists(
    st.sampled_from(["", "# comment", 'x{} = """\n[[m]]\n"""', "y{} = [\n1,\n2]", "z{} = 1"]), max_size=5
)


@given(st.lists(st.tuples(NOISE, NOISE), min_size=1, max_size=6))
def test_every_table_and_key_is_found_among_anything(tables: list[tuple[list[str], list[str]]]) -> None:
    lines: list[str] = []
    expected: dict[tuple[str | int, ...], int] = {}
    for number, (before, behind) in enumerate(tables):
        lines.append("[[m]]")
        expected["m", number] = len(lines)
        for place, noise in enumerate(before):
            lines += noise.format(place).split("\n")
        lines.append("uid = 1")
        expected["m", number, "uid"] = len(lines)
        for place, noise in enumerate(behind, start=len(before)):
            lines += noise.format(place).split("\n")
    text = "\n".join(lines)
    assert {path: line_of(text, path) for path in expected} == expected


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb = \n", 2), ('a = 1\nb = """\n\n', 2), ("a = 1\n\na = 2", 3)])
def test_a_syntax_error_has_a_line(text: str, line: int) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as error:
        tomllib.loads(text)
    assert line_of_syntax_error(text, error.value) == line
