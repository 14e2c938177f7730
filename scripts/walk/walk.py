"""The walk through a running demo: see scripts/demo-walk."""

import email
import email.policy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

from browser import ENTER, Browser, Driver, until

ROPELINE, DEMO = sys.argv[1], pathlib.Path(sys.argv[2])
ADDRESSES = json.loads((DEMO / "admin.json").read_text())
SHOP = ADDRESSES["listenUrl"].rstrip("/")
SIMULATOR = (DEMO / "simulator-url").read_text().strip()
SHOW = (DEMO / "tonight").read_text().strip()
PRICE, KEPT = 120_000, 5_000


def say(text):
    print(f"demo-walk: {text}", flush=True)


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.read()


def ropeline(*arguments, status=0):
    environment = {**os.environ, "ROPELINE_DATA_DIR": str(DEMO)}
    for name in ("ROPELINE_ADMIN_URL", "ROPELINE_ADMIN_TOKEN"):
        environment.pop(name, None)
    done = subprocess.run([ROPELINE, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == status, f"ropeline {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def switch(provider):
    mode = "up" if provider == "stripe" else "rate_limited"
    body = json.dumps({"provider": "stripe", "mode": mode}).encode()
    headers = {"authorization": "Bearer sk_test_ropeline", "content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{SIMULATOR}/_sim/outages", body, headers), timeout=10)


def held(provider):
    """What the provider's simulator has of payments of the demo, minor units."""
    books = json.loads(get(f"{SIMULATOR}/_sim/ledger", authorization="Bearer sk_test_ropeline"))
    lines = [line for line in books if line["provider"] == provider]
    return {line["payment_intent"]: line["captured"] - line["refunded"] for line in lines}


def buy(fan, address, page):
    """Buys two seats, at the provider whose page has `page` in its address."""
    fan.open(f"{SHOP}/shows/{SHOW}")
    fan.reads("body", "Lanterns Tonight")
    fan.picture("show")
    fan.open(f"{SHOP}/shows/{SHOW}/seats")
    seats = fan.script(
        "return fetch(arguments[0]).then((answer) => answer.json()).then((map) => map.seats"
        ".filter((seat) => seat.status === 'AVAILABLE').slice(0, 2).map((seat) => seat.seatId))",
        f"/api/v1/shows/{SHOW}/seatmap",
    )
    fan.types("#seats", ", ".join(seats))
    fan.reads("#basket", "seat")
    fan.clicks("#hold")
    fan.arrives_at("/holds/")
    fan.types("[name=email]", address)
    fan.picture("hold")
    fan.clicks(".pay button")
    fan.arrives_at(page)
    fan.clicks("[value=pm_card_visa]")
    fan.picture("payment")
    fan.clicks(".buttons button:first-child")
    url = fan.arrives_at("/bookings/")
    fan.reads("body", "Lanterns Tonight")
    fan.picture("booking")
    path = url[len(SHOP) :].split("?")[0]
    booking = fan.script("return fetch(arguments[0]).then((answer) => answer.json())", f"/api/v1{path}")
    assert booking["status"] == "CONFIRMED" and booking["amountMinor"] == 2 * PRICE, booking
    assert [ticket["seatId"] for ticket in booking["tickets"]] == seats, booking
    return booking


def messages(to, subject):
    found = []
    for file in sorted((DEMO / "mail").glob("*.eml")):
        message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        if to in message["to"] and subject in message["subject"]:
            found.append(message)
    return found


def codes_in(pdf):
    """The texts of the QR codes of a PDF, and its words."""
    with tempfile.TemporaryDirectory() as place:
        file = os.path.join(place, "tickets.pdf")
        pathlib.Path(file).write_bytes(pdf)
        words = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, text=True, check=True)
        subprocess.run(["pdftoppm", "-r", "150", "-png", file, os.path.join(place, "page")], check=True)
        pages = sorted(str(page) for page in pathlib.Path(place).glob("page*.png"))
        directory = os.environ.get("WALK_PICTURES")
        if directory:
            for nth, page in enumerate(pages, 1):
                target = pathlib.Path(directory) / f"tickets-page-{nth}.png"
                target.write_bytes(pathlib.Path(page).read_bytes())
        read = subprocess.run(["zbarimg", "--quiet", "--raw", *pages], capture_output=True, text=True, check=True)
        return read.stdout.splitlines(), words.stdout


def read_mail(fan, booking, address):
    """The mail, and the PDF of the tickets behind its link."""
    until(f"a mail to {address}", lambda: messages(address, "Your tickets"))
    mails = messages(address, "Your tickets")
    assert len(mails) == 1, f"{len(mails)} confirmations"
    text = mails[0].get_body(("plain",)).get_content()
    assert booking["code"] in text and "₹2,400" in text, text
    link = re.search(r"http://\S+/b/\S+", text).group()
    page = get(link).decode()
    assert booking["code"] in page, "the link does not show the booking"
    target = re.search(r'href="([^"]*tickets\.pdf[^"]*)"', page)
    if target:
        pdf = get(urllib.request.urljoin(link, target.group(1).replace("&amp;", "&")))
    else:
        path = f"/api/v1/bookings/{booking['bookingId']}/tickets.pdf"
        cookies = "; ".join(f"{it['name']}={it['value']}" for it in fan.call("GET", "/cookie"))
        pdf = get(SHOP + path, cookie=cookies)
    codes, words = codes_in(pdf)
    assert sorted(codes) == sorted(ticket["qr"] for ticket in booking["tickets"]), codes
    assert "Lanterns Tonight" in words, words
    ops = ADDRESSES["opsUrl"].rstrip("/")
    assert b"<html" in get(f"{ops}/mail"), "operators do not see the mail"


def scan(scanner, ticket, result):
    if scanner.find("#answer:not([hidden])"):
        scanner.clicks("#answer:not([hidden])")
    scanner.types("#ticket", ticket["qr"] + ENTER)
    scanner.sees(f"#answer[data-result={result}]")


def counts():
    return json.loads(ropeline("checkin", "counts", SHOW, "--json"))


def check_in(driver, tickets):
    """Scans a ticket at the gate while there is no network, and sees it arrive afterwards."""
    made = json.loads(ropeline("checkin", "token", "create", "--show", SHOW, "--gate", "North", "--json"))
    scanner = Browser(driver, "scanner")
    scanner.open(made["url"])
    scanner.reads("#link", "Online")
    scanner.sees("body[data-ready]")
    before = counts()["admitted"]
    scanner.network(False)
    scan(scanner, tickets[0], "ACCEPTED")
    scanner.picture("without-a-network")
    scan(scanner, tickets[0], "DUPLICATE")
    assert counts()["admitted"] == before, "the scan reached the gateway without a network"
    scanner.network(True)
    until("the scan at the gateway", lambda: counts()["admitted"] == before + 1)
    return scanner


def cancel(fan, scanner, booking, address, provider):
    """The fan cancels the ticket that is left, the operator the other: everything is settled."""
    first, second = booking["tickets"]
    path = f"/api/v1/bookings/{booking['bookingId']}/cancel"
    post = (
        "return fetch(arguments[0], {method: 'POST', headers: {'content-type': 'application/json'},"
        " body: JSON.stringify({ticketIds: [arguments[1]]})}).then((answer) => answer.json())"
    )
    refused = fan.script(post, path, first["ticketId"])
    assert refused.get("rule") == "checked-in", refused
    done = fan.script(post, path, second["ticketId"])
    assert done.get("amountMinor") == PRICE - KEPT, done
    ropeline("booking", "refund", booking["bookingId"], "--even-used", "--yes")
    for ticket in (first, second):
        scan(scanner, ticket, "REVOKED")
    scanner.picture("cancelled")
    look = "return fetch(arguments[0]).then((answer) => answer.json())"
    seen = f"/api/v1/bookings/{booking['bookingId']}"
    back = 2 * PRICE - KEPT
    until("the refund", lambda: fan.script(look, seen).get("refundedMinor") == back)
    assert fan.script(look, seen)["status"] == "CANCELLED"
    fan.open(f"{SHOP}/bookings/{booking['bookingId']}")
    fan.picture("refunded")
    until("the mails about the money", lambda: len(messages(address, "went back to you")) == 2)
    assert sorted(held(provider).values()).count(KEPT) >= 1, held(provider)


def main():
    run = os.urandom(3).hex()
    driver = Driver()
    try:
        for provider, page in (("stripe", "/pay/"), ("razorpay", "/razorpay/i/")):
            switch(provider)
            fan = Browser(driver, f"fan-{provider}")
            address = f"asha-{provider}-{run}@example.org"
            booking = buy(fan, address, page)
            say(f"bought two tickets through {provider}: {booking['code']}")
            read_mail(fan, booking, address)
            say("the mail came, and the PDF has both codes")
            scanner = check_in(driver, booking["tickets"])
            say("a ticket was scanned without a network and reached the gateway later")
            cancel(fan, scanner, booking, address, provider)
            say("both tickets are cancelled, and the money is back")
            scanner.stop()
            fan.stop()
        ropeline("check")
        say("the ledger balances")
    finally:
        switch("stripe")
        driver.stop()


main()
