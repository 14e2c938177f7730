"""A headless Chromium, driven through chromedriver by the WebDriver protocol."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

WAIT_SECONDS = 60
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER = "\ue007"


def until(what, look):
    """What `look` finds, once it finds something."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come about within {WAIT_SECONDS} s")
        time.sleep(0.1)


class Refused(Exception):
    """The driver refuses a command."""


class Driver:
    """A chromedriver process."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for line in self.process.stdout:
            if "started successfully on port" in line:
                self.url = "http://127.0.0.1:" + line.rstrip().rstrip(".").rsplit(" ", 1)[1]
                return
        raise AssertionError("chromedriver did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Browser:
    """One browser with a profile of its own."""

    pictures = 0

    def __init__(self, driver, name):
        self.name = name
        self.profile = tempfile.mkdtemp(prefix="ropeline-walk-")
        binary = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])))
        arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--lang=en-GB",
            "--window-size=1000,1200",
            f"--user-data-dir={self.profile}",
        ]
        options = {"binary": binary, "args": arguments}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self.base = driver.url
        self.base += "/session/" + self.call("POST", "/session", wanted)["sessionId"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode()) from None

    def stop(self):
        self.call("DELETE", "")
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    @property
    def url(self):
        return self.call("GET", "/url")

    def find(self, css):
        found = self.call("POST", "/elements", {"using": "css selector", "value": css})
        return found[0][ELEMENT] if found else None

    def sees(self, css):
        return until(f"{css} at {self.url}", lambda: self.find(css))

    def clicks(self, css):
        def click():
            try:
                self.call("POST", f"/element/{self.sees(css)}/click", {})
                return True
            except Refused:
                return False

        until(f"a click on {css}", click)

    def types(self, css, text):
        element = self.sees(css)
        self.call("POST", f"/element/{element}/clear", {})
        self.call("POST", f"/element/{element}/value", {"text": text})

    def text(self, css="body"):
        try:
            return self.call("GET", f"/element/{self.sees(css)}/text")
        except Refused:
            return ""

    def reads(self, css, words):
        return until(f"{words!r} in {css} at {self.url}", lambda: words in self.text(css))

    def arrives_at(self, part):
        return until(f"{part} (now at {self.url})", lambda: part in self.url and self.url)

    def script(self, code, *arguments):
        return self.call("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def network(self, is_there):
        """Takes the network away, or gives it back."""
        conditions = {"offline": not is_there, "latency": 0, "throughput": -1}
        self.call("POST", "/chromium/network_conditions", {"network_conditions": conditions})

    def picture(self, step):
        directory = os.environ.get("WALK_PICTURES")
        if directory:
            Browser.pictures += 1
            os.makedirs(directory, exist_ok=True)
            name = f"{Browser.pictures:02}-{self.name}-{step}.png"
            with open(os.path.join(directory, name), "wb") as file:
                file.write(base64.b64decode(self.call("GET", "/screenshot")))
