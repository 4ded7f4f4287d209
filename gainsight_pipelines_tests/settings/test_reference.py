"""docs/settings.md matches the settings models."""

from __future__ import annotations

from pathlib import Path

import yaml

from gainsight_pipelines.settings import SECTIONS, reference

ROOT = Path(__file__).parents[2]


def test_the_settings_reference_is_current() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == reference.page(), (
        "run: python -m gainsight_pipelines.settings.reference > docs/settings.md"
    )


def test_every_setting_of_the_example_is_in_the_reference() -> None:
    page = reference.page()
    for section, data in yaml.safe_load((ROOT / "gainsight.example.yaml").read_text("utf-8")).items():
        described = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        rows = data if isinstance(data, list) else [data]
        for name in rows[0]:
            assert f"| `{name}` |" in described
        assert isinstance(data, list) or set(data) == set(SECTIONS[section].model_fields)
