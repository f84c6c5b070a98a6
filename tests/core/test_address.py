"""Addresses as they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.address import redacted


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://ada:s3cr3t@db:5432/t", "postgresql://ada:***@db:5432/t"),
        ("postgres://ada:p@ss@db/t", "postgres://ada:***@db/t"),
        ("postgresql://ada:a/b?c#d@db/t", "postgresql://ada:***@db/t"),
        ("postgresql://:s3cr3t@db/t", "postgresql://:***@db/t"),
        ("postgresql+psycopg://ada:x@[::1]:5432/t", "postgresql+psycopg://ada:***@[::1]:5432/t"),
        ("postgresql://ada@db/t", "postgresql://ada@db/t"),
        ("postgresql://ada:@db/t", "postgresql://ada:***@db/t"),
        ("postgresql://db:5432/t", "postgresql://db:5432/t"),
        (
            "postgresql:///t?host=/run&user=ada&password=s3cr3t&x=1",
            "postgresql:///t?host=/run&user=ada&password=***&x=1",
        ),
        ("postgresql://db/t?sslpassword=a%20b&sslmode=require", "postgresql://db/t?sslpassword=***&sslmode=require"),
        ("host=db user=ada password=s3cr3t dbname=t", "host=db user=ada password=*** dbname=t"),
        ("host=db password = 'two words' dbname=t", "host=db password = *** dbname=t"),
        ("host=db password='it\\'s' dbname=t", "host=db password=*** dbname=t"),
        ("https://x/y?api_key=abc&token=def", "https://x/y?api_key=***&token=***"),
        ('failed: "postgresql://a:b@h/t" is closed', 'failed: "postgresql://a:***@h/t" is closed'),
        ("postgresql://a:b@h/t and postgresql://c:d@i/u", "postgresql://a:***@h/t and postgresql://c:***@i/u"),
        ("sqlite:///tune.db", "sqlite:///tune.db"),
        ("sqlite:////tmp/a@b.db", "sqlite:////tmp/a@b.db"),
        ("memory", "memory"),
    ],
)
def test_secrets_are_hidden_and_the_rest_stays(given: str, shown: str) -> None:
    assert redacted(given) == shown
    assert redacted(shown) == shown


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6).map(lambda text: f"Zq{text}Zq"))
def test_no_password_survives_whatever_it_is_made_of(password: str) -> None:
    shown = redacted(f"postgresql://ada:{password}@db.example/t")
    assert shown == "postgresql://ada:***@db.example/t"
