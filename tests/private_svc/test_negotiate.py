from __future__ import annotations

import pytest

from private_svc.web.negotiate import Form, negotiate

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.TEXT),
        ("*/*", Form.TEXT),
        (BROWSER, Form.HTML),
        ("text/html", Form.HTML),
        ("TEXT/HTML", Form.HTML),
        ("application/json", Form.JSON),
        ("application/*", Form.JSON),
        ("application/json, text/plain, */*", Form.TEXT),
        ("application/json, */*;q=0.5", Form.JSON),
        ("text/html;q=0.1, text/plain;q=0.2", Form.TEXT),
        ("text/*;q=0.5, text/html", Form.HTML),
        ("*/*, text/plain;q=0", Form.HTML),
        ("image/png", Form.TEXT),
        ("text/html;q=x", Form.TEXT),
        ("text/html;q=2", Form.TEXT),
        ("text/html;q=nan", Form.TEXT),
        (",;,q=;/", Form.TEXT),
    ],
)
def test_the_heaviest_form_wins_and_text_is_first_among_equals(accept: str, form: Form) -> None:
    assert negotiate(accept) is form
