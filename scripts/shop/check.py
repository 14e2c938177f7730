"""Two fans of the example shop behind a gateway, from the catalogue to their orders, in Chromium.

usage: check.py PUBLIC_URL ROPELINE DATABASE

ROPELINE is the command, which finds the gateway by its environment; DATABASE is that of the shop.
"""

import json
import pathlib
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "walk"))
from browser import Browser, Driver, until  # noqa: E402

PUBLIC, ROPELINE, DATABASE = sys.argv[1:]


def program(path):
    """Status and body, as a program gets them."""
    try:
        answer = urllib.request.urlopen(PUBLIC + path, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.read()


def orders():
    with sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True) as shop:
        return shop.execute("select count(*) from order_order").fetchone()[0]


def goes_to_checkout(fan):
    fan.open(f"{PUBLIC}/catalogue/")
    fan.clicks('a[title="Weekend"]')
    fan.clicks('form[action^="/basket/add"] button[type=submit]')
    fan.open(f"{PUBLIC}/basket/")
    assert fan.url == f"{PUBLIC}/basket/", fan.url
    fan.clicks('a[href="/checkout/"]')


def buys(fan, email):
    fan.clicks("input[name=options][value=anonymous]")
    fan.types("input[name=username]", email)
    fan.clicks("button[data-loading-text]")
    fan.arrives_at("/checkout/payment-details/")
    fan.clicks("#view_preview")
    fan.arrives_at("/checkout/preview/")
    fan.clicks("#place-order")
    fan.arrives_at("/checkout/thank-you/")
    fan.reads("body", "Weekend")


def main():
    driver = Driver()
    fans = [Browser(driver, name) for name in ("first", "second")]
    first, second = fans
    try:
        # Below the limits nobody notices the line.
        goes_to_checkout(first)
        first.arrives_at(f"{PUBLIC}/checkout/")
        buys(first, "first@example.org")
        assert orders() == 1
        print("below the limits a fan bought without noticing the line")

        subprocess.run([ROPELINE, "room", "set", "default", "--queue-all"], check=True, stdout=subprocess.DEVNULL)
        until("the line", lambda: program("/checkout/")[0] == 403)
        status, body = program("/checkout/")
        assert (status, json.loads(body)["code"]) == (403, "pass-required")
        assert program("/catalogue/")[0] == 200
        goes_to_checkout(second)
        second.arrives_at("/_line/rooms/default")
        # The page joins by itself, and goes in by itself when its fan is called.
        second.arrives_at(f"{PUBLIC}/checkout/")
        buys(second, "second@example.org")
        assert orders() == 2
        print("with a line a fan waited, was called, and bought; the catalogue was open all the time")
    except BaseException:
        for fan in fans:
            print(fan.name, "is at", fan.url, "and reads:", fan.text()[:2000], file=sys.stderr)
        raise
    finally:
        for fan in fans:
            fan.stop()
        driver.stop()


main()
