"""Chromium for tests of pages, and people at the pages of the annotation tool, which runs on a real server."""

import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright (pip install playwright)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome is installed; the page is not tested in a browser"),
]
REPOSITORY = Path(__file__).resolve().parent.parent


def chromium():
    """Yield a running browser, for a fixture."""
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


class Server:
    """An application on a server in this process."""

    def __init__(self, app):
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class ServerProcess:
    """The annotation tool in a process of its own, which can be killed and started again at the same address."""

    def __init__(self, *arguments):
        self.port = 0
        self.command = [sys.executable, "-m", "pipeline.annotate", "--no-browser", *map(str, arguments)]
        self.start()

    def start(self):
        command = [*self.command, "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        self.address = re.search(r"http://\S+/", self.process.stdout.readline())[0]
        self.port = int(self.address.rsplit(":", 1)[1].strip("/"))

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class Visitor:
    """Someone at a page of the tool: every action waits until the page has dealt with it."""

    def __init__(self, page, tool, who="Ada"):
        self.page = page
        self.problems = []
        page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.goto(tool.address)
        page.get_by_label("Your name").fill(who)
        page.keyboard.press("Enter")
        page.wait_for_selector("#tool[data-ready]")

    def act(self, action):
        """Do what asks the server, and wait for the page to have dealt with the answer."""
        before = self.page.get_attribute("#tool", "data-ready")
        action()
        self.page.wait_for_function("before => document.getElementById('tool').dataset.ready !== before", arg=before)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector):
        return self.page.inner_text(selector).replace("\xa0", " ")


def opened(browser, folder, kind, person):
    """Yield a function that starts a tool of `kind` on a folder and opens its page for a `person`; both end afterwards."""
    tools, pages = [], []

    def start(who="Ada", tool=None, touch=False, **options):
        tool = tool or kind(folder, **options)
        if tool not in tools:
            tools.append(tool)
        pages.append(browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=touch).new_page())
        return tool, person(pages[-1], tool, who)

    yield start
    for page in pages:
        page.context.close()
    for tool in tools:
        tool.stop()
