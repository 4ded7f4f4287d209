"""A folder on a read-only file system, like a mounted ConfigMap: not even root can write there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && { cd "$0" 2>/dev/null || true; } && exec "$@"'


def on_read_only(place: Path, command: Sequence[str]) -> list[str]:
    """A command that runs another one with this folder or file mounted read-only.

    Only that command sees the mount, which ends with it.
    """
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--mount", "--propagation", "private", "sh", "-c", MOUNT, str(place), *command]
