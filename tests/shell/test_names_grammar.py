from __future__ import annotations

import pytest

from shell.answers import RecordType
from shell.names.grammar import ORGANISATION_NAMES, first_names, further_names, is_app_name, meaning_of, remark_on

A, T = RecordType.AAAA, RecordType.TXT


@pytest.mark.parametrize(
    ("name", "record_type"),
    [
        ("shop.flycast", A),
        ("shop.internal", A),
        ("SHOP.internal.", A),
        ("global.shop.internal", A),
        ("ams.shop.internal", A),
        ("3d8d9014b32d89.vm.shop.internal", A),
        ("web.process.shop.internal", A),
        ("top3.nearest.of.shop.internal", A),
        ("blue.color.kv._metadata.shop.internal", A),
        ("laptop._peer.internal", A),
        ("_api.internal", A),
        ("vms.shop.internal", T),
        ("all.vms.shop.internal", T),
        ("regions.shop.internal", T),
        ("all.regions.shop.internal", T),
        ("_apps.internal", T),
        ("_peer.internal", T),
        ("_instances.internal", T),
        ("all._instances.internal", T),
    ],
)
def test_every_form_of_name_is_known_by_its_type(name: str, record_type: RecordType) -> None:
    found, meaning = meaning_of(name)
    assert found is record_type
    assert meaning
    assert remark_on(name) == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("shop.flycat", "shop.flycast"),
        ("shop.flycast.", ""),
        ("shop.intenal", "shop.internal"),
        ("vm.shop.internal", "vms.shop.internal"),
        ("region.shop.internal", "regions.shop.internal"),
        ("all.vm.shop.internal", "all.vms.shop.internal"),
        ("globl.shop.internal", "global.shop.internal"),
        ("_app.internal", "_apps.internal"),
        ("ams.shop.flycast", "shop.flycast"),
        ("3d8d9014b32d89.vms.shop.internal", "3d8d9014b32d89.vm.shop.internal"),
        ("3d8d9014b32d89.shop.internal", "3d8d9014b32d89.vm.shop.internal"),
        ("vm.3d8d9014b32d89.shop.internal", "3d8d9014b32d89.vm.shop.internal"),
        ("3d8d9014b32d89.vm.shop.flycast", "3d8d9014b32d89.vm.shop.internal"),
        ("shop.internal.", ""),
        ("SHOP.Flycast", ""),
        ("shop.flycast.internal", "shop.flycast"),
        ("shop.fly.dev", "shop.flycast"),
        ("https://shop.fly.dev/x", "shop.flycast"),
        ("http://shop.flycast/", "shop.flycast"),
        ("shop.internal:8080", "shop.internal"),
        ("http://top2.nearest.of.shop.internal:8080/x", "top2.nearest.of.shop.internal"),
        ("vms.shop", "vms.shop.internal"),
        ("vms.shop.flycast", "vms.shop.internal"),
        ("global.shop.flycast", "global.shop.internal"),
        ("shop.vms.internal", "vms.shop.internal"),
        ("shop.global.internal", "global.shop.internal"),
        ("ams.vms.shop.internal", "vms.shop.internal"),
        ("allvms.shop.internal", "all.vms.shop.internal"),
        ("all-regions.shop.internal", "all.regions.shop.internal"),
        ("vms.all.shop.internal", "all.vms.shop.internal"),
        ("top3.shop.internal", "top3.nearest.of.shop.internal"),
        ("nearest.of.shop.internal", "top1.nearest.of.shop.internal"),
        ("worker.shop.internal", "worker.process.shop.internal"),
        ("web.processes.shop.internal", "web.process.shop.internal"),
        ("blue.color._metadata.shop.internal", "blue.color.kv._metadata.shop.internal"),
        ("laptop.peer.internal", "laptop._peer.internal"),
    ],
)
def test_a_misspelt_name_says_what_was_probably_meant(name: str, meant: str) -> None:
    assert remark_on(name) == (f"{name} is no name of the private network; did you mean {meant}?" if meant else "")


def test_a_name_with_no_likely_meaning_says_only_that_it_does_not_fit() -> None:
    assert remark_on("a.b.c.shop.internal") == ("a.b.c.shop.internal fits no form of .internal or .flycast names")
    assert "outside .internal and .flycast" in remark_on("example.com")


@pytest.mark.parametrize("machine_id", ["3d8d9014b32d8", "3d8d9014b32d890", "3d8d9014b32d8x"])
def test_what_is_no_machine_id_is_told_how_one_looks(machine_id: str) -> None:
    assert remark_on(f"{machine_id}.vm.shop.internal") == (
        f"{machine_id}.vm.shop.internal fits no form: expected a Machine ID of 14 hexadecimal digits before .vm,"
        f" got {machine_id} ({len(machine_id)} characters)"
    )


@pytest.mark.parametrize(
    "name", ["a." * 126 + "internal", "top1.nearest" * 20, "http://" + "a-." * 60 + "flycast", "\x1b.x"]
)
def test_a_remark_on_nonsense_comes_all_the_same(name: str) -> None:
    assert remark_on(name)


def test_the_names_of_an_app_are_all_of_the_grammar() -> None:
    names = first_names("shop") + further_names("shop", ["ams"], ["3d8d9014b32d89"]) + ORGANISATION_NAMES
    assert names == (
        "shop.flycast",
        "shop.internal",
        "global.shop.internal",
        "vms.shop.internal",
        "all.vms.shop.internal",
        "regions.shop.internal",
        "all.regions.shop.internal",
        "top1.nearest.of.shop.internal",
        "app.process.shop.internal",
        "ams.shop.internal",
        "3d8d9014b32d89.vm.shop.internal",
        "_apps.internal",
        "_instances.internal",
        "all._instances.internal",
        "_peer.internal",
        "_api.internal",
    )
    assert all(meaning_of(name)[1] for name in names)


def test_hostile_regions_and_machine_ids_are_not_asked_for() -> None:
    assert further_names("shop", ["a.b", "\x1b[m", ""], ["x", "../.."]) == ()


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("shop", True),
        ("a", True),
        ("my-app-2", True),
        ("Shop", False),
        ("-a", False),
        ("a_b", False),
        ("", False),
        ("a" * 63, True),
        ("a" * 64, False),
        ("shop\n", False),
    ],
)
def test_the_name_of_an_app(text: str, fits: bool) -> None:
    assert is_app_name(text) is fits
