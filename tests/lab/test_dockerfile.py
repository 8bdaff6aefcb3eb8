from __future__ import annotations

import pytest

from lab.dockerfile import image_command


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('FROM a\nCMD ["python", "-m", "private_svc"]\n', ("python", "-m", "private_svc")),
        ("FROM a\nCMD serve --now\n", ("/bin/sh", "-c", "serve --now")),
        ('FROM a\nENTRYPOINT ["serve"]\nCMD ["--now"]\n', ("serve", "--now")),
        ('FROM a\ncmd ["one"]\nCMD ["two"]\n', ("two",)),
        ('FROM a AS build\nCMD ["never"]\nFROM b\n', ()),
        ('FROM a\nCMD ["one", \\\n     "two"]\n', ("one", "two")),
        ('FROM a\n# CMD ["not"]\nRUN echo CMD\n', ()),
        ("", ()),
    ],
)
def test_the_last_stage_says_what_runs(text: str, expected: tuple[str, ...]) -> None:
    assert image_command(text) == expected


def test_a_command_stands_on_the_line_of_its_instruction() -> None:
    assert image_command("CMD\nfoo\n") == ()


@pytest.mark.parametrize(
    "text", ["\n" * 200_000, f"CMD x{' ' * 200_000}y", f"CMD {'[' * 20_000}"], ids=["lines", "gap", "["]
)
def test_a_dockerfile_of_much_of_the_same_is_read(text: str) -> None:
    assert image_command(text)[:2] in {(), ("/bin/sh", "-c")}
