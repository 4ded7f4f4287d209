"""Serves the settings page from a separate process and drives it with Chromium. Without Chromium, the tests fail."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

from playwright.sync_api import Browser, Page, sync_playwright

from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.sandbox_process import RunningSandbox

CHROMIUM = "/usr/bin/chromium-headless-shell"
"""`make browser` installs it. It takes a sixth less of the processor than Chromium, whose window nobody sees."""

ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
"""Chromium has no sandbox for root. Emulating a GPU takes a tenth of the time."""

REAL_PREFIXES = ("GAINSIGHT_", "SALESFORCE_", "HUBSPOT_", "DAGSTER_")
START_SECONDS = 90
STILL = """
const still = new CSSStyleSheet();
still.replaceSync("*, ::before, ::after { animation: none !important; transition: none !important; }");
document.adoptedStyleSheets.push(still);
"""
"""Stops spinners and transitions: without a GPU, the processor draws each of their frames."""

BROWSER_MS = 60_000
"""How long a step in the browser may take on a busy machine."""


@dataclass(slots=True)
class Served:
    """A running command that serves the settings page; `addresses` receives each address that it prints."""

    process: subprocess.Popen[str]
    addresses: Queue[str] = field(default_factory=Queue)
    said: list[str] = field(default_factory=list)

    def next_address(self) -> str:
        """Waits for the next address with a token, and returns it."""
        return self.addresses.get(timeout=START_SECONDS)

    def stop(self) -> int:
        """Sends SIGINT, as Ctrl-C does, and returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def clean_environment(sandbox: RunningSandbox | None = None) -> dict[str, str]:
    """This environment without a tenant's variables, but with the CA file of the sandbox's Salesforce."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(REAL_PREFIXES)}
    return kept | ({"SALESFORCE_CA_FILE": sandbox.env["SALESFORCE_CA_FILE"]} if sandbox else {})


@contextmanager
def page_on(folder: Path, env: Mapping[str, str], *arguments: str) -> Iterator[Served]:
    """Runs `settings-page` on the settings in a folder."""
    with served_by(folder, env, "settings-page", "--port", "0", *arguments) as served:
        yield served


@contextmanager
def served_by(folder: Path, env: Mapping[str, str], *command: str) -> Iterator[Served]:
    """Runs a command of the product until the context ends."""
    with run_by(folder, env, [python(), "-m", COMMANDS, *command]) as served:
        yield served


@contextmanager
def run_by(folder: Path, env: Mapping[str, str], command: Sequence[str]) -> Iterator[Served]:
    """Runs a command that serves a page until the context ends."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    served = Served(process)
    listener = threading.Thread(target=_listen, args=(served,), daemon=True)
    listener.start()
    try:
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        listener.join()
        assert process.stderr is not None
        process.stderr.close()


def _listen(served: Served) -> None:
    assert served.process.stderr is not None
    for line in served.process.stderr:
        served.said.append(line)
        found = re.search(r"https?://\S+token=\S+", line)
        if found:
            served.addresses.put(found[0])


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def tab(browser: Browser, **options: object) -> Iterator[Page]:
    """A tab with its own cookies and storage."""
    page = browser.new_page(**options)  # type: ignore[arg-type]
    page.set_default_timeout(BROWSER_MS)
    page.add_init_script(STILL)
    yield page
    page.close(run_before_unload=False)


@contextmanager
def browser_page(**options: object) -> Iterator[Page]:
    """A tab in a new browser."""
    with running_browser() as browser, tab(browser, **options) as page:
        yield page


def free_port() -> int:
    """A port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
