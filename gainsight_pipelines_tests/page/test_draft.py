"""The draft that a tab edits: its changes, its mistakes by place, and changes that someone else makes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.page.draft import Draft, Unfit, field_help
from gainsight_pipelines.settings.editing import ChangedMeanwhile

TEXT = "company: {enabled: true}  # ours\nsurveys: {lookback_days: 7}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "gainsight.yaml"
    file.write_text(TEXT)
    return file


def test_only_what_was_changed_is_written(path: Path) -> None:
    draft = Draft(path)
    assert draft.changed() == ()
    draft.set(("surveys", "lookback_days"), 9)
    draft.set(("primary_crm", "kind"), "hubspot")
    draft.set(("primary_crm", "fields", "arr"), "arr")
    assert draft.changed() == ("primary_crm", "surveys")
    draft.save(draft.text(), SystemClock())
    assert path.read_text() == (
        "company: {enabled: true}  # ours\nsurveys: {lookback_days: 9}\n\n"
        "primary_crm:\n  kind: hubspot\n  fields:\n    arr: arr\n"
    )
    assert draft.changed() == ()
    assert draft.file.history.versions()[-1].how == "settings-page"


def test_what_was_put_back_is_no_change(path: Path) -> None:
    draft = Draft(path)
    draft.set(("gainsight", "base_url"), "https://acme.gainsightcloud.com")
    draft.set(("gainsight", "base_url"), None)
    draft.set(("activity", "enabled"), True)
    draft.set(("activity", "enabled"), False)
    assert draft.changed() == ()


def test_mistakes_have_their_places_and_sections_that_nobody_touched_have_none(path: Path) -> None:
    draft = Draft(path)
    assert draft.mistakes("gainsight") == ()
    draft.set(("gainsight", "base_url"), "acme")
    draft.set(("surveys", "objects", 0, "object"), None)
    ((place, text),) = draft.mistakes("gainsight")
    assert place == ("gainsight", "base_url") and "https://" in text
    ((place, text),) = draft.mistakes("surveys")
    assert place == ("surveys", "objects", 0, "object")


def test_unsaved_changes_are_what_the_tenant_is_asked_with(path: Path) -> None:
    draft = Draft(path)
    draft.set(("gainsight", "base_url"), "https://acme.gainsightcloud.com")
    draft.set(("company", "attributes"), 5)
    settings = draft.settings()
    assert settings.gainsight is not None
    assert settings.gainsight.base_url == "https://acme.gainsightcloud.com"
    assert set(settings.errors) == {"company"}
    assert settings.section("activity") is None


def test_changes_go_on_top_of_somebody_elses(path: Path) -> None:
    draft = Draft(path)
    draft.set(("surveys", "lookback_days"), 9)
    assert not draft.is_stale()
    path.write_text(TEXT.replace("enabled: true", "enabled: false"))
    assert draft.is_stale()
    with pytest.raises(ChangedMeanwhile):
        draft.save(draft.text(), SystemClock())
    rebased, both = draft.on_theirs()
    assert both == ()
    assert rebased.text() == "company: {enabled: false}  # ours\nsurveys: {lookback_days: 9}\n"
    path.write_text(TEXT.replace("7", "8"))
    assert draft.on_theirs()[1] == ("surveys",)


def test_help_is_that_of_the_models_with_empty_for_null() -> None:
    assert field_help("surveys", "lookback_days", with_limits=True) == (
        "How far back to pull. Takes a whole number from 1 to 30."
    )
    assert "empty" in field_help("activity", "initial_lookback_days", with_limits=False)


def test_secrets_belong_to_the_draft_and_are_written_when_it_is_saved(path: Path) -> None:
    dotenv = path.with_name(".env")
    dotenv.write_text("# ours\nSALESFORCE_JWT_KEY_FILE=key.pem\nHUBSPOT_ACCESS_TOKEN=old\n")
    draft = Draft(path)
    draft.set_secret("GAINSIGHT_API_KEY", "typed")
    draft.set_secret("SALESFORCE_JWT_KEY_FILE", None)
    draft.set_secret("HUBSPOT_ACCESS_TOKEN", "wrong")
    assert draft.is_changed() and draft.changed() == ()
    path.write_text(TEXT.replace("7", "8"))
    rebased, both = draft.on_theirs()
    assert both == () and rebased.secrets == draft.secrets, "another's change keeps them"
    rebased.save(rebased.text(), SystemClock(), {"GAINSIGHT_API_KEY": "typed", "SALESFORCE_JWT_KEY_FILE": None})
    assert dotenv.read_text() == "# ours\nHUBSPOT_ACCESS_TOKEN=old\nGAINSIGHT_API_KEY=typed\n"
    assert rebased.secrets == {"HUBSPOT_ACCESS_TOKEN": "wrong"}, "what was left out stays typed"
    assert path.read_text() == TEXT.replace("7", "8")


def test_nothing_is_written_to_dotenv_where_somebody_else_has_changed_the_settings(path: Path) -> None:
    draft = Draft(path)
    draft.set(("surveys", "lookback_days"), 9)
    draft.set_secret("GAINSIGHT_API_KEY", "typed")
    path.write_text(TEXT.replace("7", "8"))
    with pytest.raises(ChangedMeanwhile):
        draft.save(draft.text(), SystemClock(), draft.secrets)
    assert not path.with_name(".env").exists()
    assert draft.secrets == {"GAINSIGHT_API_KEY": "typed"}


def test_what_the_data_cannot_hold_is_a_change_and_a_mistake(path: Path) -> None:
    draft, place = Draft(path), ("surveys", "filter")
    draft.refuse(place, Unfit('{"a"', "This isn't JSON."))
    assert draft.changed() == ("surveys",)
    assert draft.mistakes("surveys") == [(place, "This isn't JSON.")]
    assert draft.on_theirs()[0].unfit == draft.unfit
    draft.refuse(place, None)
    assert draft.changed() == () and draft.mistakes("surveys") == ()


def test_a_former_version_comes_back_and_is_a_version_itself(path: Path) -> None:
    draft = Draft(path)
    draft.set(("surveys", "lookback_days"), 9)
    draft.save(draft.text(), SystemClock())
    first = draft.file.history.versions()[0]
    draft.restore(first, SystemClock())
    assert path.read_text() == TEXT
    assert draft.file.history.versions()[-1].how == f"settings-page: version {first.number} restored"
