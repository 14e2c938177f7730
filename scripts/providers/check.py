"""Stripe's and Razorpay's own libraries against the payment simulator at the URL that is given."""

import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import razorpay
import stripe

BASE = sys.argv[1]
RAZORPAY_KEY = ("rzp_test_ropeline", "ropeline")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Shows redirects instead of following them."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def visit(url, form=None):
    """The status and the Location of a page."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        answer = OPENER.open(urllib.parse.urljoin(BASE, url), data)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers.get("Location")


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def settled(status, expected):
    """Waits until a bank has decided."""
    for _ in range(50):
        if status() == expected:
            return
        time.sleep(0.1)
    equal(status(), expected)


def refused(kind, call):
    """The error that `call` raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("nothing was refused")


def check_stripe():
    client = stripe.StripeClient("sk_test_ropeline", base_addresses={"api": BASE})
    sessions = client.v1.checkout.sessions
    wanted = {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 2,
                "price_data": {
                    "currency": "inr",
                    "unit_amount": 50000,
                    "product_data": {"name": "Tickets"},
                },
            }
        ],
        "success_url": "http://shop.test/back?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://shop.test/hold",
        "expires_at": int(time.time()) + 45 * 60,
        "metadata": {"hold_id": "h1"},
        "payment_intent_data": {"metadata": {"hold_id": "h1", "attempt": "1"}},
    }
    session = sessions.create(wanted, {"idempotency_key": "key-1"})
    equal((session.status, session.payment_status, session.amount_total), ("open", "unpaid", 100000))
    equal(sessions.create(wanted, {"idempotency_key": "key-1"}).id, session.id)
    soon = {**wanted, "expires_at": int(time.time()) + 60}
    equal(refused(stripe.InvalidRequestError, lambda: sessions.create(soon)).param, "expires_at")
    unknown = {**wanted, "expand": ["secrets"]}
    refused(stripe.InvalidRequestError, lambda: sessions.create(unknown))

    _, page = visit(session.url)
    secret = urllib.parse.parse_qs(urllib.parse.urlparse(page).query)["client_secret"][0]
    declined = {"client_secret": secret, "payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
    visit(page.split("?")[0], declined)
    expanded = {"expand": ["payment_intent"]}
    tried = sessions.retrieve(session.id, expanded)
    equal(tried.status, "open")
    equal(tried.payment_intent.last_payment_error.decline_code, "insufficient_funds")
    _, back = visit(page.split("?")[0], {**declined, "payment_method": "pm_card_visa"})
    assert back.startswith("http://shop.test/back"), back
    paid = sessions.retrieve(session.id, expanded)
    equal((paid.status, paid.payment_status, paid.url), ("complete", "paid", None))
    equal(paid.payment_intent.metadata["attempt"], "1")
    refused(stripe.InvalidRequestError, lambda: sessions.expire(session.id))

    other = sessions.create(wanted)
    equal(sessions.expire(other.id).status, "expired")
    equal(visit(other.url)[0], 404)

    refund = client.v1.refunds.create(
        {"payment_intent": paid.payment_intent.id, "amount": 40000, "metadata": {"refund_id": "r1"}}
    )
    equal((refund.status, refund.amount), ("succeeded", 40000))
    listed = client.v1.refunds.list({"payment_intent": paid.payment_intent.id})
    equal([refund.id for refund in listed], [refund.id])
    names = [intent.id for intent in client.v1.payment_intents.list({"limit": 10}).auto_paging_iter()]
    equal(names, [paid.payment_intent.id])
    equal(len(client.v1.disputes.list().data), 0)
    small = {"amount": 10, "currency": "usd"}
    error = refused(stripe.InvalidRequestError, lambda: client.v1.payment_intents.create(small))
    equal(error.code, "amount_too_small")
    intent = client.v1.payment_intents.create({"amount": 1200, "currency": "inr"})
    confirm = {"payment_method": "pm_card_visa", "return_url": "http://shop.test/"}
    equal(client.v1.payment_intents.confirm(intent.id, confirm).status, "succeeded")
    for method, first, last in [
        ("pm_card_pendingRefund", "pending", "succeeded"),
        ("pm_card_refundFail", "succeeded", "failed"),
    ]:
        intent = client.v1.payment_intents.create({"amount": 1200, "currency": "inr"})
        client.v1.payment_intents.confirm(intent.id, {**confirm, "payment_method": method})
        refund = client.v1.refunds.create({"payment_intent": intent.id})
        equal(refund.status, first)
        settled(lambda: client.v1.refunds.retrieve(refund.id).status, last)


def refuse_link_again(client, wanted, words):
    twice = refused(razorpay.errors.BadRequestError, lambda: client.payment_link.create(wanted))
    equal(str(twice), words)


def check_razorpay():
    client = razorpay.Client(auth=RAZORPAY_KEY, base_url=f"{BASE}/razorpay")
    wanted = {
        "amount": 100000,
        "currency": "INR",
        "accept_partial": False,
        "reference_id": "ref-1",
        "description": "Tickets",
        "expire_by": int(time.time()) + 20 * 60,
        "notes": {"hold_id": "h1"},
        "callback_url": "http://shop.test/back",
        "callback_method": "get",
    }
    link = client.payment_link.create(wanted)
    equal((link["status"], link["payments"], link["notes"]["hold_id"]), ("created", None, "h1"))
    refuse_link_again(client, wanted, "payment link with given reference_id: ref-1 already exists")
    found = client.payment_link.all({"reference_id": "ref-1"})["payment_links"]
    equal([it["id"] for it in found], [link["id"]])
    soon = {**wanted, "reference_id": "ref-2", "expire_by": int(time.time()) + 60}
    refused(razorpay.errors.BadRequestError, lambda: client.payment_link.create(soon))
    small = {**wanted, "reference_id": "ref-3", "amount": 99}
    refused(razorpay.errors.BadRequestError, lambda: client.payment_link.create(small))

    page = link["short_url"]
    visit(page, {"method": "card", "payment_method": "pm_card_chargeDeclinedExpiredCard"})
    order = client.payment_link.fetch(link["id"])["order_id"]
    tried = client.order.payments(order)["items"]
    equal([(it["status"], it["error_reason"]) for it in tried], [("failed", "card_expired")])
    refuse_link_again(client, wanted, "payment link creation with reference ID already attempted")
    _, done = visit(page, {"method": "upi", "payment_method": "pm_card_visa"})
    _, back = visit(done)
    query = {k: v[0] for k, v in urllib.parse.parse_qs(urllib.parse.urlparse(back).query).items()}
    signed = {re.sub("^razorpay_payment_link", "payment_link", k): v for k, v in query.items()}
    assert client.utility.verify_payment_link_signature(signed)
    paid = client.payment_link.fetch(link["id"])
    equal((paid["status"], paid["amount_paid"]), ("paid", 100000))
    payment = client.payment.fetch(paid["payments"][0]["payment_id"])
    equal((payment["status"], payment["method"], payment["captured"]), ("captured", "upi", True))
    refused(razorpay.errors.BadRequestError, lambda: client.payment_link.cancel(link["id"]))

    other = client.payment_link.create({**wanted, "reference_id": "ref-4"})
    equal(client.payment_link.cancel(other["id"])["status"], "cancelled")

    late = client.payment_link.create({**wanted, "reference_id": "ref-5"})
    ending = {"method": "netbanking", "payment_method": "pm_sim_late_success_after_decline"}
    visit(late["short_url"], ending)
    order = client.payment_link.fetch(late["id"])["order_id"]
    for _ in range(50):
        agreed = client.order.payments(order)["items"][0]
        if agreed["status"] == "authorized":
            break
        time.sleep(0.1)
    equal(agreed["status"], "authorized")
    captured = client.payment.capture(agreed["id"], agreed["amount"], {"currency": "INR"})
    equal(captured["status"], "captured")

    refund = client.payment.refund(payment["id"], {"amount": 40000, "notes": {"refund_id": "r1"}})
    equal((refund["status"], refund["payment_id"]), ("processed", payment["id"]))
    listed = client.payment.fetch_multiple_refund(payment["id"])
    equal([it["id"] for it in listed["items"]], [refund["id"]])
    again = client.payment_link.create({**wanted, "reference_id": "ref-6"})
    visit(again["short_url"], {"method": "upi", "payment_method": "pm_sim_refund_fails_once"})
    fails = client.payment_link.fetch(again["id"])["payments"][0]["payment_id"]
    first = client.payment.refund(fails, {})
    equal(first["status"], "pending")
    settled(lambda: client.refund.fetch(first["id"])["status"], "failed")
    equal(client.payment.refund(fails, {})["status"], "processed")
    more = {"amount": 70000}
    refused(razorpay.errors.BadRequestError, lambda: client.payment.refund(payment["id"], more))
    every = client.payment.all({"count": 100, "from": int(time.time()) - 3600})
    equal(every["count"], 4)
    wrong = razorpay.Client(auth=("rzp_test_ropeline", "wrong"), base_url=f"{BASE}/razorpay")
    refused(razorpay.errors.BadRequestError, lambda: wrong.payment.all())


check_stripe()
check_razorpay()
print(f"stripe {stripe.VERSION} and razorpay work with the simulator")
