"""Which parts of the host a Machine shows: what its program needs to run, and nothing that lies beside it."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.start import view

NOBODY_SETS_IT = "/usr/bin:/bin"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home directory with what people have in one."""
    place = tmp_path / "home"
    for name in (".ssh/id_ed25519", ".cargo/credentials.toml", ".local/share/keyrings/login", ".fly/config.yml"):
        write(place / name)
    monkeypatch.setenv("HOME", str(place))
    return place


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return the directory of an app in a repository that has more than that."""
    write(tmp_path / "repository/.env")
    place = tmp_path / "repository/app"
    write(place / "fly.toml")
    return place


def write(path: Path, text: str = "secret\n", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def program(path: Path, text: str = "\x7fELF") -> Path:
    return write(path, text, 0o755)


def shown(app: Path, *argv: str, path: str | Path = "") -> set[str]:
    """Return what a Machine shows for a command, relative to the directory that all of the test is in.

    The Python of these tests is in every Machine, and left out.
    """
    found = {*view.installations(argv, f"{path}:{NOBODY_SETS_IT}", app)} - {*view.installations((), "", app)}
    return {os.path.relpath(place, app.parent.parent) for place in found}


def test_a_program_of_the_system_needs_nothing_more(app: Path) -> None:
    for argv in (["sh", "-c", "exec sleep 1"], ["/bin/sh"], ["/usr/bin/env", "sleep", "1"], ["no-such-program"]):
        assert shown(app, *argv) == set(), argv


def test_a_virtual_environment_is_shown_with_the_python_it_was_made_with(home: Path, app: Path) -> None:
    python = program(home / ".pyenv/versions/3.13/bin/python3.13")
    write(home / ".pyenv/versions/3.13/lib/python3.13/os.py")
    write(home / ".pyenv/version")
    venv = home / "envs/shop"
    write(venv / "pyvenv.cfg", f"home = {python.parent}\n")
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to(python)
    program(venv / "bin/gunicorn", f"#!{venv}/bin/python\n")
    write(venv / "lib/python3.13/site-packages/gunicorn/app.py")
    write(venv / "notes.txt")
    expected = {
        "home/envs/shop/bin", "home/envs/shop/lib", "home/envs/shop/pyvenv.cfg",
        "home/.pyenv/versions/3.13/bin", "home/.pyenv/versions/3.13/lib",
    }  # fmt: skip
    assert shown(app, f"{venv}/bin/gunicorn", "shop:app", path=venv / "bin") == expected
    assert shown(app, "sh", "-c", "cd shop && exec gunicorn shop:app", path=venv / "bin") == expected
    assert shown(app, "env", "A=b", "gunicorn", path=venv / "bin") == expected


def test_a_virtual_environment_of_copies_leads_to_its_python_by_its_settings(home: Path, app: Path) -> None:
    python = program(home / "python/bin/python3")
    venv = home / "venv"
    write(venv / "pyvenv.cfg", f"home = {python.parent}\nversion = 3.13.1\n")
    program(venv / "bin/python3")
    expected = {"home/venv/bin", "home/venv/pyvenv.cfg", "home/python/bin"}
    assert shown(app, "python3", path=venv / "bin") == expected


def test_a_virtual_environment_within_the_app_gets_its_python_where_the_caller_has_it(home: Path, app: Path) -> None:
    python = program(home / ".local/share/uv/python/cpython-3.13/bin/python3.13")
    (app / ".venv/bin").mkdir(parents=True)
    (app / ".venv/bin/python").symlink_to(python)
    argv = [".venv/bin/python", "-m", "shop"]
    assert shown(app, *argv, path=python.parent) == {"home/.local/share/uv/python/cpython-3.13/bin"}
    assert shown(app, *argv) == set()
    assert view.unseen(argv, NOBODY_SETS_IT, (), app) == [str(python)], "it is told what to put into PATH"


def test_a_virtual_environment_that_the_app_s_directory_only_links_to_is_shown_where_the_caller_has_it(
    home: Path, app: Path
) -> None:
    venv = home / "envs/shop"
    write(venv / "pyvenv.cfg", "home = /usr/bin\n")
    program(venv / "bin/gunicorn", "#!/usr/bin/python3\n")
    (app / ".venv").symlink_to(venv)
    expected = {"home/envs/shop/bin", "home/envs/shop/pyvenv.cfg"}
    assert shown(app, ".venv/bin/gunicorn", path=venv / "bin") == expected
    assert shown(app, ".venv/bin/gunicorn") == set()


def test_a_script_for_env_leads_to_the_interpreter_that_the_path_has(home: Path, app: Path) -> None:
    node = home / ".nvm/versions/node/v22/bin"
    program(node / "node")
    write(node.parent / "lib/node_modules/npm/cli.js")
    write(home / ".nvm/.cache/token")
    program(app / "serve", "#!/usr/bin/env node\n")
    program(app / "flagged", "#!/usr/bin/env -S node --enable-source-maps\n")
    expected = {"home/.nvm/versions/node/v22/bin", "home/.nvm/versions/node/v22/lib"}
    for script in ("./serve", "./flagged", f"{app}/serve"):
        assert shown(app, script, path=node) == expected, script
    assert shown(app, "./serve") == set(), "no node on the path: its start says so"


def test_a_link_on_the_way_to_an_installation_is_shown_after_what_it_leads_to(home: Path, app: Path) -> None:
    """An absolute link is followed in the Machine, so its target has to be there by then."""
    program(home / ".nvm/versions/v22/bin/node")
    (home / ".nvm/current").symlink_to(home / ".nvm/versions/v22")
    found = view.installations(["node"], f"{home}/.nvm/current/bin", app)
    of_node = [place for place in found if place.startswith(str(home))]
    assert of_node == [f"{home}/.nvm/versions/v22/bin", f"{home}/.nvm/current/bin"]


def test_every_link_of_a_chain_is_shown_with_its_installation(home: Path, app: Path) -> None:
    program(home / "c/bin/tool")
    for place, target in (("b/bin/tool", "../../c/bin/tool"), ("a/bin/tool", str(home / "b/bin/tool"))):
        (home / place).parent.mkdir(parents=True)
        (home / place).symlink_to(target)
    assert shown(app, "tool", path=home / "a/bin") == {"home/a/bin", "home/b/bin", "home/c/bin"}


def test_links_and_scripts_that_go_round_come_to_an_end(home: Path, app: Path) -> None:
    (home / "bin").mkdir()
    (home / "bin/a").symlink_to("b")
    (home / "bin/b").symlink_to("a")
    program(home / "scripts/c", f"#!{home}/scripts/d\n")
    program(home / "scripts/d", f"#!{home}/scripts/c\n")
    assert shown(app, "a", path=home / "bin") == set()
    assert shown(app, "c", path=home / "scripts") == {"home/scripts/c", "home/scripts/d"}


def test_a_file_of_the_app_cannot_have_a_file_shown_that_is_no_program(home: Path, app: Path) -> None:
    program(app / "script", f"#!{home}/.ssh/id_ed25519\n")
    program(app / "by-env", f"#!/usr/bin/env {home}/.ssh/id_ed25519\n")
    (app / "link").symlink_to(home / ".ssh/id_ed25519")
    program(app / ".venv/bin/id_ed25519")
    write(app / ".venv/pyvenv.cfg", f"home = {home}/.ssh\n")
    for word in ("./script", "./by-env", "./link", ".venv/bin/id_ed25519", f"{home}/.ssh/id_ed25519"):
        assert shown(app, word) == set(), word


def test_a_file_of_the_app_cannot_have_a_program_shown_that_only_it_names(home: Path, app: Path) -> None:
    """A stranger wrote it: what lies beside such a program would be in the Machine, too."""
    tool = program(home / "private/bin/tool", f"#!{home}/private/bin/other\n")
    program(home / "private/bin/other")
    write(home / "private/lib/python3.13/site-packages/a.pth", f"{home}/work\n")
    write(home / "code/shop/__init__.py")
    program(app / "script", f"#!{tool}\n")
    program(app / "by-env", f"#!/usr/bin/env {tool}\n")
    (app / "link").symlink_to(tool)
    (app / "private").symlink_to(home / "private")
    program(app / "venv/bin/tool")
    write(app / "venv/pyvenv.cfg", f"home = {tool.parent}\n")
    write(app / "venv/lib/python3.13/site-packages/a.pth", f"{home}/work\n")
    words = ("./script", "./by-env", "./link", "private/bin/tool", "venv/bin/tool", str(tool), f"{app}/link")
    for word in words:
        assert shown(app, word) == set(), word
        assert shown(app, "sh", "-c", word) == set(), word
    for place in (app, app / "venv/bin", "venv/bin", "."):  # the caller may have activated it, or looks there
        assert shown(app, "tool", "link", path=place) == set(), place
    link = home / "link"
    link.symlink_to(app)
    assert shown(app, "link", path=link) == set(), "the directory of the app by another name"


def test_a_file_of_the_app_that_a_program_of_the_caller_leads_to_is_the_app_s(home: Path, app: Path) -> None:
    program(home / "private/tool")
    program(app / "tool", f"#!{home}/private/tool\n")
    (home / "tools").mkdir()
    (home / "tools/tool").symlink_to(app / "tool")
    assert shown(app, "tool", path=home / "tools") == {"home/tools/tool"}


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (".local/bin/tool", {"home/.local/bin", "home/.local/lib"}),
        (".cargo/bin/tool", {"home/.cargo/bin"}),
        ("bin/tool", {"home/bin/tool"}),
        ("tool", {"home/tool"}),
    ],
)
def test_of_what_lies_beside_an_installation_nothing_is_shown(
    home: Path, app: Path, place: str, expected: set[str]
) -> None:
    write(home / ".local/lib/python3.13/site-packages/tool.py")
    program(home / place)
    assert shown(app, "tool", path=(home / place).parent) == expected


def test_a_package_in_development_is_shown_and_the_rest_of_its_repository_is_not(home: Path, app: Path) -> None:
    write(home / "code/.env")
    write(home / "code/shop/__init__.py")
    write(home / "code/data/customers.csv")
    site = home / "venv/lib/python3.13/site-packages"
    write(site / "_shop.pth", f"{home}/code\nimport nothing\n\n")
    write(site / "gone.pth", "/no/such/place\n")
    program(home / "venv/bin/python")
    assert shown(app, "python", path=home / "venv/bin") == {"home/venv/bin", "home/venv/lib", "home/code/shop"}


def test_the_python_of_these_tests_is_found_with_this_package(app: Path) -> None:
    found = view.installations([sys.executable, "-m", "private_svc"], NOBODY_SETS_IT, app)
    real = Path(sys.executable).resolve()
    for place in (Path(sys.executable), real):
        assert view.unseen([str(place)], NOBODY_SETS_IT, found, app) == []


@pytest.mark.parametrize("kind", ["home", "above", "root", "by a link"])
def test_a_directory_that_has_a_home_in_it_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "by a link":
        (tmp_path / "link").symlink_to(home)
        monkeypatch.setenv("HOME", str(tmp_path / "link"))
    directory = {"home": home, "above": home.parent, "root": Path("/"), "by a link": home}[kind]
    with pytest.raises(UsageError, match=rf"^x/fly.toml: expected .* got one in {directory}(:|$)"):
        view.check_directory(directory, "x/fly.toml")


def test_the_home_of_another_user_is_refused_and_that_of_a_service_is_not(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, service = home.parent / "others/ann", home.parent / "others/www-data"
    for place in (other, service):
        place.mkdir(parents=True)
    entries = [entry(1001, other), entry(33, service), entry(1002, tmp_path / "gone/bob"), entry(65534, service)]
    monkeypatch.setattr(pwd, "getpwall", lambda: entries)
    for directory in (other, other.parent):
        with pytest.raises(UsageError, match=str(other)):
            view.check_directory(directory, "fly.toml")
    for directory in (service, other / "app", tmp_path / "gone"):
        directory.mkdir(exist_ok=True)
        view.check_directory(directory, "fly.toml")


def entry(uid: int, home: Path) -> pwd.struct_passwd:
    return pwd.struct_passwd(("name", "x", uid, uid, "", str(home), "/bin/sh"))


def test_a_user_whose_home_nobody_knows_may_have_an_app(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 2000000001)
    view.check_directory(app, "fly.toml")


@pytest.mark.parametrize("directory", ["/etc", "/etc/app", "/proc", "/sys/app", "/dev/app", "/run/user/1000/app"])
def test_a_directory_of_the_system_s_own_state_is_refused(directory: str) -> None:
    with pytest.raises(UsageError, match=f"got one in {directory}"):
        view.check_directory(Path(directory), "fly.toml")


def test_a_directory_that_everybody_writes_to_is_refused_and_one_below_it_is_not(tmp_path: Path) -> None:
    """Other users' sockets and files would be in the Machine."""
    shared = tmp_path / "shared"
    (shared / "app").mkdir(parents=True)
    shared.chmod(0o1777)
    with pytest.raises(UsageError, match=f"got one in {shared}"):
        view.check_directory(shared, "fly.toml")
    view.check_directory(shared / "app", "fly.toml")


def test_what_a_command_names_and_a_machine_does_not_show_is_told(home: Path, app: Path) -> None:
    write(home / "settings.yaml")
    program(home / "venv/bin/tool")
    (app / "linked.yaml").symlink_to(home / "settings.yaml")
    words = [f"{home}/venv/bin/tool", f"{home}/settings.yaml", f"{app}/fly.toml", f"{app}/linked.yaml", "/etc/hosts",
             "/usr/bin/env", "/dev/null", "/no/such/file", "relative"]  # fmt: skip
    path = f"{home}/venv/bin:{NOBODY_SETS_IT}"
    found = view.installations(words, path, app)
    assert view.unseen(words, path, found, app) == [f"{home}/settings.yaml", f"{app}/linked.yaml"]
    assert view.unseen(["sh", "-c", f"exec tool -c {home}/settings.yaml"], path, found, app) == [
        f"{home}/settings.yaml"
    ]
