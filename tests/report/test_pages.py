"""Every kind of folder that has a page is known to `anomech report`."""

from importlib import import_module

import pytest

from anomech import records
from anomech.kernel.errors import RunError
from anomech.records.federation import FederationRun
from anomech.report.pages import KINDS, rendered


def test_every_kind_has_a_page_and_its_record():
    for kind in KINDS.values():
        assert callable(import_module(f"anomech.report.{kind.room}.render").render)
        assert not kind.record or "files" in getattr(records, kind.record).model_fields


def test_the_top_record_decides_and_a_folder_without_one_is_none(tmp_path):
    run = FederationRun(
        status="running", title="t", network="n", clients=2, rounds=1, present=2, seed=0, basis="b"
    )
    records.write_record(tmp_path / "federation.json", run)
    page, changed = rendered(tmp_path)
    assert "No method has finished." in page.read_text()
    assert changed == ()
    with pytest.raises(RunError, match="is not a folder"):
        rendered(tmp_path / "nowhere")


def test_a_folder_of_another_format_is_refused_and_the_command_named(tmp_path):
    run = FederationRun(
        schema_version=99,
        status="running",
        title="t",
        network="n",
        clients=2,
        rounds=1,
        present=2,
        seed=0,
        basis="b",
    )
    records.write_record(tmp_path / "federation.json", run)
    with pytest.raises(
        RunError, match=r"format 99, but .* reads format \d; run `anomech federate`"
    ):
        rendered(tmp_path)
