"""Times and cron expressions in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gainsight_pipelines.scheduling.wording import ago, cadence, until


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("5 5 * * *", "daily at 05:05"),
        ("20 */4 * * *", "every 4 h"),
        ("*/15 * * * *", "every 15 min"),
        ("7 * * * *", "hourly"),
        ("50 5 * * 1", "weekly on Monday at 05:50"),
        ("50 5 * * sun", "weekly on Sunday at 05:50"),
        ("0 9 * * 1-5", "weekdays at 09:00"),
        ("0 3 1 * *", "monthly on day 1 at 03:00"),
        ("0 3 1 1 *", "0 3 1 1 *"),
        ("0 3 */2 * *", "0 3 */2 * *"),
        ("0 3 1 * 1", "0 3 1 * 1"),
        ("0 4-8 * * *", "0 4-8 * * *"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_cadence_in_words_or_unchanged(cron: str, words: str) -> None:
    assert cadence(cron) == words


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(-5, "just now"), (0.5, "just now"), (59, "59 min ago"), (60, "1 h ago"), (4320, "3 days ago")],
)
def test_how_long_ago(minutes: float, words: str) -> None:
    now = datetime(2026, 11, 29, tzinfo=UTC)
    assert ago(now - timedelta(minutes=minutes), now) == words


@pytest.mark.parametrize(
    ("minutes", "words"), [(-5, "in less than a minute"), (48, "in 48 min"), (600, "in 10 h"), (4320, "in 3 days")]
)
def test_how_long_until(minutes: float, words: str) -> None:
    now = datetime(2026, 11, 29, tzinfo=UTC)
    assert until(now + timedelta(minutes=minutes), now) == words
