"""The rehearsal of a restore: see scripts/check-restore."""

import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

BIN, WORK, WITHOUT = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
# An empty database of a server that the gateway knows nothing of.
OTHER_DATABASE = os.environ["DATABASE_URL"]
WAIT_SECONDS = 40
ROOM, SHOW, PRICE = "lanterns", "lanterns-tonight", 120_000
SERVED, WAITING = 3, 6


BEGAN = time.monotonic()


def say(text):
    print(f"check-restore: {time.monotonic() - BEGAN:4.1f} s: {text}", flush=True)


def until(what, look):
    end = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < end, f"{what} did not come about within {WAIT_SECONDS} s"
        time.sleep(0.1)
    return found


def call(method, url, body=None, **headers):
    """Status and document of an answer."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, str):
        headers["content-type"], data = "application/x-www-form-urlencoded", body.encode()
    else:
        headers["content-type"], data = "application/json", None if body is None else json.dumps(body).encode()
    if method == "POST":
        headers["idempotency-key"] = secrets.token_hex(16)
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        status, text = refused.code, refused.read()
    return status, json.loads(text or b"null")


def done(answer, *statuses):
    status, document = answer
    assert status in (statuses or (200, 201)), f"{status}: {document}"
    return document


class Gateway:
    """A gateway with a data directory of its own."""

    def __init__(self, data_dir, **settings):
        self.data_dir, self.log = data_dir, data_dir.with_suffix(".log")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(WORK),
            "ROPELINE_DATA_DIR": str(data_dir),
            "ROPELINE_LISTEN": "127.0.0.1:0",
            "ROPELINE_OPS_LISTEN": "127.0.0.1:0",
            **settings,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [BIN / "ropeline-gateway"], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            until("a ready gateway", self.is_ready)
        except AssertionError:
            self.stop()
            print(self.log.read_text()[-2000:], file=sys.stderr)
            raise
        announced = json.loads((data_dir / "admin.json").read_text())
        self.shop, self.ops = announced["listenUrl"].rstrip("/"), announced["opsUrl"].rstrip("/")

    def is_ready(self):
        assert self.process.poll() is None, "the gateway ended"
        try:
            url = json.loads((self.data_dir / "admin.json").read_text())["opsUrl"]
            return call("GET", f"{url.rstrip('/')}/readyz")[0] == 200
        except (OSError, ValueError):
            return False

    def kill(self):
        """As when the machine is lost."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()


def ropeline(data_dir, *arguments, status=0, **settings):
    environment = {"PATH": os.environ["PATH"], "ROPELINE_DATA_DIR": str(data_dir), **settings}
    run = subprocess.run([BIN / "ropeline", *arguments], env=environment, capture_output=True, text=True, cwd=WORK)
    assert run.returncode == status, f"ropeline {' '.join(map(str, arguments))}: {run.returncode} {run.stdout}{run.stderr}"
    return run.stdout if status == 0 else run.stderr


def join(shop):
    return done(call("POST", f"{shop}/_line/v1/rooms/{ROOM}/places", {}))


def place(shop, token):
    return done(call("GET", f"{shop}/_line/v1/rooms/{ROOM}/place", authorization=f"Bearer {token}"))


def served(shop, token):
    """The pass of a fan whose turn it is."""

    def claimed():
        status, document = call("POST", f"{shop}/_line/v1/rooms/{ROOM}/pass", authorization=f"Bearer {token}")
        return document["access_token"] if status == 200 else None

    return until("a turn", claimed)


def buy(shop, seats, token, address):
    ours = {"ropeline_pass": token}
    hold = done(call("POST", f"{shop}/api/v1/shows/{SHOW}/holds", {"seatIds": seats}, **ours))
    hold = f"{shop}/api/v1/holds/{hold['holdId']}"
    payment = done(call("POST", f"{hold}/payments", {"email": address}, **ours))
    secret = payment["clientSecret"]
    intent = secret.split("_secret_")[0]
    page = urllib.parse.urljoin(payment["payUrl"], f"/v1/payment_intents/{intent}/confirm")
    done(call("POST", page, urllib.parse.urlencode({"client_secret": secret, "payment_method": "pm_card_visa"})))

    def confirmed():
        answer = call("POST", f"{hold}/confirm", {"paymentIntentId": payment["paymentIntentId"]}, **ours)
        return answer if done(answer, 200, 202).get("status") == "CONFIRMED" else None

    booking = done(until("a confirmation", confirmed))["bookingId"]
    return done(call("GET", f"{shop}/api/v1/bookings/{booking}", **ours))


def before():
    """A gateway that has sold tickets, and a line before it."""
    gateway = Gateway(WORK / "lost")
    shop, data = gateway.shop, gateway.data_dir
    starts_at = datetime.now(timezone.utc) + timedelta(hours=3)
    show = (pathlib.Path(__file__).parents[2] / "demo" / "tonight.json.in").read_text()
    show = json.loads(show.replace("@DAY@", "tonight").replace("@STARTS_AT@", starts_at.strftime("%Y-%m-%dT%H:%M:%SZ")))
    ropeline(data, "room", "create", ROOM, "--rate", "600", "--cap", str(SERVED))
    (WORK / "show.json").write_text(json.dumps({**show, "room": ROOM}))
    ropeline(data, "show", "import", str(WORK / "show.json"))
    ropeline(data, "room", "open", ROOM)
    first = [join(shop)["place"] for _ in range(SERVED)]
    passes = [served(shop, token) for token in first]
    ropeline(data, "room", "pause", ROOM)
    line = [join(shop)["place"] for _ in range(WAITING)]
    numbers = until("numbers of the line", lambda: numbered(shop, line))
    bookings = []
    for index, token in enumerate(passes):
        seats = [f"A{2 * index + 1}", f"A{2 * index + 2}"]
        bookings.append(buy(shop, seats, token, f"fan{index}@example.org"))
    say(f"{len(bookings)} bookings, {len(line)} fans wait")
    return gateway, first, line, numbers, bookings


def numbered(shop, line):
    """How many are before each fan of a line, once the line was counted with all of them in it."""
    statuses = [place(shop, token) for token in line]
    ahead = [status["usersAhead"] for status in statuses if status["state"] == "waiting"]
    is_counted = len(ahead) == len(line) and None not in ahead and len(set(ahead)) == len(ahead)
    return ahead if is_counted else None


def back_up(data):
    """Takes a backup while the gateway runs, and tries what must not open it."""
    passphrase, backups = WORK / "passphrase", WORK / "backups"
    passphrase.write_text(secrets.token_hex(16))
    backups.mkdir()
    protected = {"ROPELINE_BACKUP_PASSPHRASE_FILE": str(passphrase)}
    taken = json.loads(ropeline(data, "backup", "--to", str(backups), "--keep", "2", "--json", **protected))
    file = pathlib.Path(taken["file"])
    assert [file] == list(backups.iterdir()), list(backups.iterdir())
    assert file.stat().st_mode & 0o777 == 0o600 and file.stat().st_size == taken["bytes"]
    verified = json.loads(ropeline(data, "backup", "verify", str(file), "--json", **protected))
    assert verified["installation"] == taken["installation"]
    (WORK / "wrong").write_text("another passphrase")
    ropeline(data, "backup", "verify", str(file), "--passphrase-file", str(WORK / "wrong"), status=1)
    # Without a passphrase, which takes a second each time.
    plain = WORK / "plain.tar"
    ropeline(data, "backup", "--plain", "--to", str(plain))
    cut = WORK / "cut.tar"
    cut.write_bytes(plain.read_bytes()[:-1])
    ropeline(WORK / "nowhere", "restore", str(cut), status=1)
    assert not (WORK / "nowhere").exists(), "a damaged backup was begun to be restored"
    refused = ropeline(data, "restore", str(plain), status=6)
    assert "gateway runs" in refused, refused
    say(f"backup of {taken['bytes']} bytes, of installation {taken['installation']}")
    return file, protected, plain


def restore(file, protected):
    """Restores into a named database."""
    data, named = WORK / "restored", {"ROPELINE_DATABASE_URL": OTHER_DATABASE}
    return data, json.loads(ropeline(data, "restore", str(file), "--json", **named, **protected))


def restore_elsewhere(plain, restored):
    """What is refused, and a restore into a private database."""
    named, third, private = {"ROPELINE_DATABASE_URL": OTHER_DATABASE}, WORK / "third", WORK / "private"
    for data in (WORK / "restored", third):
        refused = ropeline(data, "restore", str(plain), status=6, **named)
        assert "not empty" in refused, refused
    assert not (third / "signing-key.pem").exists()
    ropeline(private, "restore", str(plain))
    taken = json.loads(ropeline(private, "backup", "--to", str(WORK), "--plain", "--json"))
    for member in ("installation", "migration", "signingKeys"):
        assert taken[member] == restored[member], member


def scan(gateway, scanner, ticket):
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"ticket": ticket, "nonce": secrets.token_urlsafe(16), "at": now}
    return done(call("POST", f"{gateway.shop}/checkin/v1/scans", body, authorization=f"Bearer {scanner}"))["result"]


def after(gateway, token, first, line, numbers, bookings):
    """All that has to be as it was."""
    shop, data = gateway.shop, gateway.data_dir
    # The token of before, named and not found in the directory.
    ropeline(WORK, "room", "list", ROPELINE_ADMIN_URL=gateway.ops, ROPELINE_ADMIN_TOKEN=token)
    ropeline(data, "check")
    for booking in bookings:
        shown = json.loads(ropeline(data, "booking", "show", booking["bookingId"], "--json"))
        shown = shown.get("booking", shown)
        assert shown["status"] == "CONFIRMED" and shown["code"] == booking["code"], shown
        assert booking["amountMinor"] == 2 * PRICE
    seats = done(call("GET", f"{shop}/api/v1/shows/{SHOW}/seatmap"))["seats"]
    assert sum(seat["status"] == "BOOKED" for seat in seats) == 2 * SERVED
    made = json.loads(ropeline(data, "checkin", "token", "create", "--show", SHOW, "--gate", "North", "--json"))
    tickets = [ticket["qr"] for booking in bookings for ticket in booking["tickets"]]
    assert [scan(gateway, made["token"], ticket) for ticket in tickets] == ["ACCEPTED"] * len(tickets)
    assert scan(gateway, made["token"], tickets[0]) == "DUPLICATE"
    say("tickets verify, bookings are found, the books are in order")
    now = until("the line of before", lambda: numbered(shop, line))
    assert now == numbers == sorted(numbers), f"{now} were {numbers}"
    newcomer = join(shop)["place"]
    ahead = until("the number of a newcomer", lambda: numbered(shop, [newcomer]))[0]
    assert ahead > max(numbers), f"a newcomer has {ahead} before it, the last of the line {max(numbers)}"
    for fan in first:
        state = place(shop, fan)["state"]
        assert state in ("admitted", "ended"), f"a fan who was served is {state}"
    ropeline(data, "room", "resume", ROOM)
    ropeline(data, "room", "set", ROOM, "--cap", str(SERVED + 2 * WAITING))
    for fan in line:
        served(shop, fan)
    log = [json.loads(text) for text in ropeline(data, "admissions", ROOM, "--json").splitlines()]
    called = [entry["place"] for entry in log]
    assert len(called) == len(set(called)) and len(called) >= SERVED + WAITING, called
    keys = [int(entry["orderKey"]) for entry in log]
    assert keys == sorted(keys), "the line was not called in its order"
    ropeline(data, "admissions", ROOM, "--verify")
    ropeline(data, "check")
    say("the line goes on in its order, and nobody is called twice")


def destroyed(data):
    """Whether nothing is left of a data directory; servers that are ending write into it a little longer."""
    shutil.rmtree(data, ignore_errors=True)
    return not data.exists()


def main():
    gateway, *known = before()
    gateways = [gateway]
    try:
        token = (gateway.data_dir / "admin-token").read_text().strip()
        file, protected, plain = back_up(gateway.data_dir)
        gateway.kill()
        until("the end of its servers", lambda: destroyed(gateway.data_dir))
        data, restored = restore(file, protected)
        if WITHOUT == "keys":
            (data / "signing-key.pem").unlink()
        if WITHOUT == "admissions":
            tables = "admission_outcomes, admissions, admission_batches, admission_heads"
            subprocess.run(["psql", OTHER_DATABASE, "-qc", f"truncate {tables} cascade"], check=True)
        gateways.append(Gateway(data, ROPELINE_DATABASE_URL=OTHER_DATABASE))
        # A gateway whose Redis lost its memory calls nobody for a while, so there is time.
        restore_elsewhere(plain, restored)
        after(gateways[-1], token, *known)
    finally:
        for running in gateways:
            running.kill()
            until("the end of its servers", lambda running=running: destroyed(running.data_dir))
    say("passed")


main()
