from __future__ import annotations

from typing import Any

import pytest
from nexa_data.redaction import redact_text, redacted


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-abcdefgh12345678",
        "hf_abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA cut off",
    ],
)
def test_what_looks_like_a_key_is_left_out(text: str) -> None:
    assert redact_text(f"before {text} after").startswith("before [redacted]")
    assert "MIIE" not in redact_text(text)


def test_uris_lose_user_password_and_signature_and_nothing_else() -> None:
    uri = "s3://user:pa%20ss@bucket/a/b?X-Amz-Signature=abc&X-Amz-Date=1&part=2&token=t0p#end"
    assert (
        redact_text(uri)
        == "s3://[redacted]@bucket/a/b?X-Amz-Signature=[redacted]&X-Amz-Date=[redacted]&part=2&token=[redacted]#end"
    )
    for plain in (
        "hf://owner/name@main?split=train",
        "/data/a@b/c.csv",
        "runs/x?y",
        "a = b; key = 3",
        "mail me@host",
    ):
        assert redact_text(plain) == plain


def test_values_of_secret_variables_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVICE_TOKEN", "correct horse battery")
    monkeypatch.setenv("DB_PASSWORD", "short")
    monkeypatch.setenv("SSH_AUTH_TOKEN_FILE", "/run/user/1/token")
    monkeypatch.setenv("PLAIN_VALUE", "a plain value")
    said = "correct horse battery, short, /run/user/1/token, a plain value"
    assert redact_text(said) == "[redacted], short, /run/user/1/token, a plain value"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"api_key": "x1"}, {"api_key": "[redacted]"}),
        ({"a": [{"Password": "x"}, 3, None, True]}, {"a": [{"Password": "[redacted]"}, 3, None, True]}),
        (
            {"token": 5, "max_tokens": 7, "tokens": "words"},
            {"token": 5, "max_tokens": 7, "tokens": "[redacted]"},
        ),
        ({"top_tokens": "a", "token_ids": "b"}, {"top_tokens": "a", "token_ids": "b"}),
        ({"secret": ""}, {"secret": ""}),
        (3.5, 3.5),
    ],
)
def test_a_document_loses_what_stands_under_a_secret_name(given: Any, left: Any) -> None:
    assert redacted(given) == left
