from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest

from shell.flytoml import Lines
from shell.flytoml.keypaths import key_paths

CORPUS = Path(__file__).parent / "flytoml_corpus"
WHOLE = '''\
# [not.a.header]
app = "x"
kill_timeout = 5 # app = 1
note = """
[http_service]
internal_port = 1
"""
other = \'\'\'
[[services]]\'\'\'

[ http_service ] # [http_service.concurrency]
Internal_Port = 8080
concurrency.soft_limit = 1
concurrency . "hard_limit" = 2

[http_service.tls_options]
versions = [
    "TLSv1.2", # ]
    "TLSv1.3",
]

[[services]]
internal_port = 1

[[services.ports]]
port = 80

[[services.ports]]
port = 443
handlers = ["tls", "http"]
proxy_proto_options = { version = "v2" }

[[services]]
ports = [
    { port = 1 },
    { handlers = [
        "http",
    ], port = 2 },
]
[services.concurrency]
type = "requests"
[[services.tcp_checks]]
interval = 1

[checks."a.b"]
port = 1
[checks.'say "x"']
port = 2
[checks."\\u00e9"]
port = 3
[env]
WHEN = 1979-05-27 07:32:00
TABLE = {}
LIST = [[1, 2], [
  3]]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("app", 2), ("kill_timeout", 3), ("note", 4), ("other", 8), ("http_service", 11),
        ("http_service.internal_port", 12), ("HTTP_SERVICE.Internal_Port", 12), ("http_service.concurrency", 13),
        ("http_service.concurrency.soft_limit", 13), ("http_service.concurrency.hard_limit", 14),
        ("http_service.tls_options", 16), ("http_service.tls_options.versions", 17), ("services", 22),
        ("services[0]", 22), ("services[0].internal_port", 23), ("services[0].ports", 25),
        ("services[0].ports[0].port", 26), ("services[0].ports[1]", 28), ("services[0].ports[1].port", 29),
        ("services[0].ports[1].handlers", 30), ("services[0].ports[1].proxy_proto_options.version", 31),
        ("services[1]", 33), ("services[1].ports", 34), ("services[1].ports[0].port", 35),
        ("services[1].ports[1].handlers", 36), ("services[1].ports[1].port", 38),
        ("services[1].concurrency.type", 41), ("services[1].tcp_checks[0].interval", 43),
        ("checks.a.b.port", 46), ('checks.say "x".port', 48), ("checks.é.port", 50), ("env.WHEN", 52),
        ("env.TABLE", 53), ("env.LIST", 54), ("env.LIST[1]", 54),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_way_to_write_a_key_has_its_line(path: str, line: int, end: str) -> None:
    assert Lines.of(WHOLE.replace("\n", end)).line_of(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 1), ("nothing", 1), ("http_service.checks[0].path", 11), ("http_service.concurrency.type", 13),
        ("services[0].ports[1].force_https", 28), ("services[0].ports[7].port", 25), ("services[9].ports[0].port", 22),
        ("services[1].ports[1].start_port", 36), ("checks.a.b.type", 45), ("env.MISSING", 51), ("[[[...", 1),
    ],
)  # fmt: skip
def test_a_key_that_is_not_there_stands_where_its_nearest_table_does(path: str, line: int) -> None:
    assert Lines.of(WHOLE).line_of(path) == line


def test_a_single_table_is_found_as_the_first_entry_of_an_array() -> None:
    lines = Lines.of("[services]\ninternal_port = 1\n[[services.ports]]\nport = 2\n[vm]\nmemory = 1\n")
    assert [lines.line_of(path) for path in ("services[0].internal_port", "services[0].ports[0].port")] == [2, 4]
    assert lines.line_of("vm[0].memory") == 6
    assert lines.line_of("services") == 1


def test_of_two_keys_that_differ_only_in_case_the_one_that_counts_is_found() -> None:
    assert Lines.of("app = 'a'\nAPP = 'b'\nApp = 'c'\n").line_of("app") == 1
    assert Lines.of("APP = 'b'\napp = 'a'\n").line_of("app") == 2


def test_a_table_is_where_its_first_header_is() -> None:
    assert Lines.of("[a.b]\nc = 1\n[a]\nd = 1\n").line_of("a.d") == 4
    assert Lines.of("[a.b]\nc = 1\n[a]\nd = 1\n").line_of("a.x") == 1


class _Writer:
    """Writes TOML at random and knows the line of each key."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be repeatable is the point
        self.text = ""
        self.line_of: dict[str, int] = {}

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def space(self) -> str:
        return self.random.choice(["", " ", "\t", "  "])

    def key(self, name: str) -> str:
        return self.random.choice([name, f'"{name}"', f"'{name}'", f'"\\u{ord(name[0]):04x}{name[1:]}"'])

    def note(self, path: str) -> None:
        self.line_of.setdefault(path, self.line)

    def value(self, path: str, depth: int) -> None:
        match self.random.randrange(10 if depth else 8):
            case 0:
                self.text += '''"""\n[a]\nb = 1 \\""" \n# \\\n x"""""'''
            case 1:
                self.text += "'''\n[[a]]\n'b' = {\n''''"
            case 2:
                self.text += self.random.choice(['"[a]\\""', "'a = \"'", '"#"', "''", '""'])
            case 3:
                self.text += self.random.choice(
                    ["1979-05-27 07:32:00", "07:32:00", "1_000", "-inf", "0xff", "1e3", "true"]
                )
            case 8:
                self.array(path, depth)
            case 9:
                self.inline(path, depth)
            case _:
                self.text += str(self.random.randrange(100))

    def array(self, path: str, depth: int) -> None:
        self.text += "["
        for number in range(self.random.randrange(4)):
            self.text += self.random.choice(["", "\n", " # ]\n", "\n\n"])
            self.value(f"{path}[{number}]", depth - 1)
            self.text += self.random.choice([",", "\n,", " # ,\n ,"])
        self.text += "]"

    def inline(self, path: str, depth: int) -> None:
        self.text += "{"
        for number in range(self.random.randrange(4)):
            self.text += "," * (number > 0) + self.space()
            self.pair(f"{path}.k{number}", f"k{number}", depth - 1)
        self.text += self.space() + "}"

    def pair(self, path: str, name: str, depth: int) -> None:
        self.note(path)
        self.text += f"{self.key(name)}{self.space()}={self.space()}"
        self.value(path, depth)

    def pairs(self, table: str) -> None:
        for number in range(self.random.randrange(4)):
            name = f"p{number}"
            self.text += self.random.choice(["", " ", "# [x]\n", "\n"])
            if self.random.random() < 0.2:
                self.note(f"{table}.{name}")
                self.text += f"{self.key(name)}{self.space()}.{self.space()}"
                name = f"{name}.q"
            self.note(f"{table}.{name}")
            self.text += f"{self.key(name.rpartition('.')[2])}{self.space()}={self.space()}"
            self.value(f"{table}.{name}", 3)
            self.text += self.random.choice(["\n", " # =\n", "\r\n"])

    def document(self) -> None:
        for number in range(4):
            name = f"t{number}"
            for entry in range(self.random.randrange(1, 4)):
                self.note(name)
                self.note(f"{name}[{entry}]")
                self.text += f"[[{self.space()}{self.key(name)}{self.space()}]]{self.space()}\n"
                self.pairs(f"{name}[{entry}]")
                self.note(f"{name}[{entry}].sub")
                self.text += f"[{self.key(name)}{self.space()}.{self.key('sub')}] # [\n"
                self.pairs(f"{name}[{entry}].sub")


@pytest.mark.parametrize("seed", range(60))
def test_every_key_of_a_file_written_at_random_is_found(seed: int) -> None:
    writer = _Writer(seed)
    writer.document()
    tomllib.loads(writer.text)  # the writer writes TOML
    lines = Lines.of(writer.text)
    found = {path: lines.line_of(path) for path in writer.line_of}
    assert found == writer.line_of, writer.text


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.toml")), ids=lambda path: path.stem)
def test_each_key_of_the_corpus_is_on_a_line_that_holds_it(path: Path) -> None:
    text = path.read_text()
    try:
        root = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = Lines.of(text)
    for _, key in key_paths(root):
        line = text.split("\n")[lines.line_of(key) - 1]
        assert key.rpartition(".")[2].partition("[")[0] in line, f"{key}: {line!r}"
