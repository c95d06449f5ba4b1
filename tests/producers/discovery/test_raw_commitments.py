"""The bytes of commitments, from the forms in which the SDK decodes them."""

from __future__ import annotations

from typing import Any

import pytest

from events.ids import Hotkey
from producers.discovery.metagraph import RawCommitment
from producers.discovery.raw_commitments import raw_commitment

HOTKEY = Hotkey("hotkey-0")


def read(*fields: Any) -> RawCommitment:
    return raw_commitment(HOTKEY, {"deposit": 0, "block": 9, "info": {"fields": list(fields)}})


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ({"Raw5": "0x68656c6c6f"}, b"hello"),
        ({"Raw2": "0xfffe"}, b"\xff\xfe"),
        ({"Raw0": []}, b""),
        ({"BigRaw": "hello"}, b"hello"),
        ({"BigRaw": "0xff00"}, b"\xff\x00"),
        ({"BigRaw": "0x6869"}, b"0x6869"),
        ({"BigRaw": "0x686"}, b"0x686"),
        ({"BigRaw": "bigraw:x"}, b"bigraw:x"),
        ({"BigRaw": ""}, b""),
    ],
)
def test_plain_fields_give_what_was_committed(field: Any, data: bytes) -> None:
    commitment = read(field)

    assert (commitment.hotkey, commitment.block, commitment.data) == (HOTKEY, 9, data)
    assert commitment.is_plain


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ([], "nothing"),
        (["None"], "nothing"),
        ([{"Sha256": "0x" + "11" * 32}], "Sha256"),
        ([{"TimelockEncrypted": {"encrypted": "abc", "reveal_round": 7}}], "TimelockEncrypted"),
        (["ResetBondsFlag"], "ResetBondsFlag"),
        ([{"Raw1": "0x61"}, {"Raw1": "0x62"}], "2 fields"),
    ],
)
def test_what_holds_no_text_says_what_it_is(fields: list[Any], kind: str) -> None:
    commitment = read(*fields)

    assert (commitment.kind, commitment.is_plain, commitment.text) == (kind, False, None)


def test_another_sealed_commitment_has_other_data() -> None:
    first, second = (read({"TimelockEncrypted": {"encrypted": "abc", "reveal_round": n}}) for n in (7, 8))

    assert first.data != second.data


def test_bytes_that_are_no_utf_8_have_no_text() -> None:
    assert (read({"Raw2": "0xfffe"}).text, read({"Raw1": "0x61"}).text) == (None, "a")


@pytest.mark.parametrize(
    "fields", [[5], [{"Raw1": "61"}], [{"Raw1": "0x6"}], [{"Raw1": None}], [{"Raw1": "0x61", "Raw2": "0x"}]]
)
def test_a_form_that_is_not_known_is_refused(fields: list[Any]) -> None:
    with pytest.raises(ValueError, match="of a commitment"):
        read(*fields)


@pytest.mark.parametrize("registration", [{}, {"block": 9}, {"block": 9, "info": None}, None])
def test_a_registration_without_its_parts_is_refused(registration: Any) -> None:
    with pytest.raises(ValueError, match="without block and fields"):
        raw_commitment(HOTKEY, registration)
