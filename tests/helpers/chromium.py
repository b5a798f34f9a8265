"""Opens a page in a real headless Chromium over its DevTools protocol, and reports what happened."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.websocket import websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PICTURES = """
Promise.all([...document.images].map(image => image.decode().then(() => true, () => false))).then(drawn =>
  JSON.stringify([...document.images].map((image, i) => ({
    drawn: drawn[i] && image.naturalWidth > 0 && image.getBoundingClientRect().width > 0,
    alternative: image.alt,
  }))))
"""
FOCUSED = """
(() => {
  const element = document.activeElement, style = getComputedStyle(element);
  return JSON.stringify({
    tag: element.tagName,
    text: (element.getAttribute('aria-label') || element.textContent).trim(),
    is_marked: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  });
})()
"""


@dataclass
class Visit:
    """What happened while a page was open.

    Attributes:
        requests: the addresses that it asked for, data: ones cut short.
        errors: script errors, and what the browser logged as an error.
        pictures: of each, whether it was drawn, and its alternative text.
        values: of the expressions asked for.
        focused: where the Tab key led, one press after the other.
        screenshot: PNG of the whole page.
    """

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    pictures: list[dict[str, Any]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    focused: list[dict[str, Any]] = field(default_factory=list)
    screenshot: bytes = b""


def find_chromium() -> str | None:
    """The browser's path, if one is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _command(profile: str) -> list[str]:
    command = [find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    return [*command, "--no-first-run", "--disable-background-networking"]


def _profile() -> tempfile.TemporaryDirectory:
    """A folder for one browser, whose helper processes may still write into it when the browser has ended."""
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def printed_pages(path: Path) -> int:
    """How many sheets of paper a page takes, by its own print style."""
    with _profile() as profile:
        pdf = Path(profile) / "page.pdf"
        command = [*_command(profile), "--no-pdf-header-footer", f"--print-to-pdf={pdf}", path.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))


def visit(
    path: Path,
    width: int,
    expressions: tuple[str, ...] = (),
    with_screenshot: bool = False,
    is_dark: bool = False,
    tabs: int = 0,
) -> Visit:
    """Open a page from disk in a window `width` pixels wide.

    Args:
        expressions: JavaScript whose values are wanted, after the page has been drawn.
        is_dark: whether the reader prefers light text on a dark page.
        tabs: how often the Tab key is pressed, after all else.
    """
    with _profile() as profile:
        command = [*_command(profile), "--remote-debugging-port=0", "about:blank"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as browser:
            try:
                address = next(
                    found[1]
                    for line in browser.stderr
                    if (found := re.search(r"DevTools listening on (ws://\S+)", line))
                )
                visiting = _visit(address, path, width, expressions, with_screenshot, is_dark, tabs)
                return asyncio.run(asyncio.wait_for(visiting, 120))
            finally:
                browser.terminate()
                browser.stderr.close()
                browser.wait(20)


async def _visit(
    address: str,
    path: Path,
    width: int,
    expressions: tuple[str, ...],
    with_screenshot: bool,
    is_dark: bool,
    tabs: int,
) -> Visit:
    # A whole page's screenshot comes as one message.
    socket = await websocket_connect(address, max_message_size=200 * 2**20)
    seen, number, result = [], 0, Visit()

    async def call(method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        nonlocal number
        number += 1
        message = {"id": number, "method": method, "params": parameters}
        await socket.write_message(json.dumps({**message, "sessionId": session} if session else message))
        while True:
            answer = json.loads(await socket.read_message())
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            seen.append(answer)

    async def evaluate(expression: str) -> Any:
        answer = await call("Runtime.evaluate", session, expression=expression, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    target = (await call("Target.createTarget", url="about:blank"))["targetId"]
    session = (await call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    for domain in ("Network", "Runtime", "Log", "Page"):
        await call(f"{domain}.enable", session)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    await call("Emulation.setDeviceMetricsOverride", session, **size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
    await call("Emulation.setEmulatedMedia", session, features=[scheme])
    await call("Page.navigate", session, url=path.resolve().as_uri())
    while not any(event["method"] == "Page.loadEventFired" for event in seen):
        seen.append(json.loads(await socket.read_message()))
    result.pictures = json.loads(await evaluate(PICTURES))
    result.values = [await evaluate(expression) for expression in expressions]
    for _ in range(tabs):
        for kind in ("rawKeyDown", "keyUp"):
            await call("Input.dispatchKeyEvent", session, type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        result.focused.append(json.loads(await evaluate(FOCUSED)))
    if with_screenshot:
        shot = await call("Page.captureScreenshot", session, format="png", captureBeyondViewport=True)
        result.screenshot = base64.b64decode(shot["data"])
    for event in seen:
        what = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            result.requests.append(what["request"]["url"][:200])
        elif event["method"] == "Runtime.exceptionThrown":
            result.errors.append(what["exceptionDetails"]["text"])
        elif event["method"] == "Log.entryAdded" and what["entry"]["level"] == "error":
            result.errors.append(what["entry"]["text"])
    socket.close()
    return result
