"""Which URLs and servers are refused, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from projectors.database import BadDatabaseUrl, DatabaseUnavailable, checked_url, create_database
from projectors.operations import init, status


@pytest.mark.parametrize("url", ["mysql://u@h/d", "postgresql://u@h", "h/d", "", "postgresql://u@h/"])
def test_what_is_no_url_of_a_postgresql_database_is_refused(url: str) -> None:
    with pytest.raises(BadDatabaseUrl, match="write it as postgresql:"):
        checked_url(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_the_usual_spellings_of_the_scheme_are_taken(scheme: str) -> None:
    assert checked_url(f"{scheme}://u:p@h:1/d?host=/x") == "postgresql://u:p@h:1/d?host=/x"


async def test_a_server_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://user:secret@/name?host={tmp_path}"
    for call in (create_database(url), init(url), status(None, url)):
        with pytest.raises(DatabaseUnavailable) as caught:
            await call
        assert "secret" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)


async def test_a_database_is_created_once(empty_database_url: str) -> None:
    assert not await create_database(empty_database_url)
