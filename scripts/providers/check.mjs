// Stripe's and Razorpay's own Node libraries against the payment simulator at the URL that is given.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

const [url, place] = process.argv.slice(2);
const require = createRequire(`${place}/`);
const Stripe = require("stripe");
const Razorpay = require("razorpay");
const base = new URL(url);

/** The page at `address`, or what a form there leads to. */
async function visit(address, form) {
  const body = form && new URLSearchParams(form);
  const answer = await fetch(new URL(address, base), {
    method: form ? "POST" : "GET",
    body,
    redirect: "manual",
  });
  return { status: answer.status, location: answer.headers.get("location") };
}

/** Waits until a bank has decided. */
async function settled(status, expected) {
  for (let tries = 0; tries < 50 && (await status()) !== expected; tries += 1) {
    await sleep(100);
  }
  assert.equal(await status(), expected);
}

async function checkStripe() {
  const client = new Stripe("sk_test_ropeline", {
    host: base.hostname,
    port: base.port,
    protocol: "http",
    telemetry: false,
  });
  const wanted = {
    mode: "payment",
    line_items: [
      {
        quantity: 2,
        price_data: { currency: "inr", unit_amount: 50000, product_data: { name: "Tickets" } },
      },
    ],
    success_url: "http://shop.test/back?session={CHECKOUT_SESSION_ID}",
    cancel_url: "http://shop.test/hold",
    metadata: { hold_id: "h2" },
    payment_intent_data: { metadata: { hold_id: "h2", attempt: "1" } },
  };
  const key = { idempotencyKey: "node-1" };
  const session = await client.checkout.sessions.create(wanted, key);
  assert.deepEqual([session.status, session.amount_total], ["open", 100000]);
  assert.equal((await client.checkout.sessions.create(wanted, key)).id, session.id);
  await assert.rejects(
    client.checkout.sessions.create({ ...wanted, expand: ["secrets"] }),
    Stripe.errors.StripeInvalidRequestError,
  );

  const page = new URL((await visit(session.url)).location, base);
  const form = { client_secret: page.searchParams.get("client_secret") };
  await visit(page.pathname, { ...form, payment_method: "pm_card_chargeDeclinedInsufficientFunds" });
  const expand = { expand: ["payment_intent"] };
  const tried = await client.checkout.sessions.retrieve(session.id, expand);
  assert.equal(tried.payment_intent.last_payment_error.decline_code, "insufficient_funds");
  const { location } = await visit(page.pathname, { ...form, payment_method: "pm_card_pendingRefund" });
  assert.ok(location.startsWith("http://shop.test/back"), location);
  const paid = await client.checkout.sessions.retrieve(session.id, expand);
  assert.deepEqual([paid.status, paid.payment_status], ["complete", "paid"]);

  const intent = paid.payment_intent.id;
  const refund = await client.refunds.create({ payment_intent: intent, amount: 40000 });
  assert.deepEqual([refund.status, refund.amount], ["pending", 40000]);
  await settled(async () => (await client.refunds.retrieve(refund.id)).status, "succeeded");
  await assert.rejects(
    client.refunds.create({ payment_intent: intent, amount: 70000 }),
    Stripe.errors.StripeInvalidRequestError,
  );
  const listed = [];
  for await (const one of client.paymentIntents.list({ limit: 1 })) {
    listed.push(one.id);
  }
  assert.ok(listed.includes(intent) && new Set(listed).size === listed.length, listed);

  const body = JSON.stringify({ id: "evt_1", object: "event", type: "refund.updated" });
  const header = client.webhooks.generateTestHeaderString({ payload: body, secret: "whsec_ropeline" });
  assert.equal(client.webhooks.constructEvent(body, header, "whsec_ropeline").id, "evt_1");
}

async function checkRazorpay() {
  const client = new Razorpay({ key_id: "rzp_test_ropeline", key_secret: "ropeline" });
  // The library has no setting for another host.
  client.api.rq.defaults.baseURL = `${base.origin}/razorpay`;
  const wanted = {
    amount: 100000,
    currency: "INR",
    reference_id: "node-1",
    description: "Tickets",
    notes: { hold_id: "h2" },
    callback_url: "http://shop.test/back",
    callback_method: "get",
  };
  const link = await client.paymentLink.create(wanted);
  assert.deepEqual([link.status, link.notes.hold_id], ["created", "h2"]);
  await assert.rejects(client.paymentLink.create(wanted), (error) => error.statusCode === 400);
  await visit(link.short_url, { method: "upi", payment_method: "pm_sim_refund_fails_once" });
  const paid = await client.paymentLink.fetch(link.id);
  assert.deepEqual([paid.status, paid.amount_paid], ["paid", 100000]);
  const { payment_id: id } = paid.payments[0];
  const payment = await client.payments.fetch(id);
  assert.deepEqual([payment.status, payment.method], ["captured", "upi"]);

  const first = await client.payments.refund(id, { amount: 40000 });
  assert.equal(first.status, "pending");
  await settled(async () => (await client.refunds.fetch(first.id)).status, "failed");
  const second = await client.payments.refund(id, { amount: 40000 });
  assert.equal(second.status, "processed");
  const refunds = await client.payments.fetchMultipleRefund(id);
  assert.deepEqual(new Set(refunds.items.map((one) => one.id)), new Set([first.id, second.id]));
  await assert.rejects(
    client.payments.refund(id, { amount: 70000 }),
    (error) => error.error.code === "BAD_REQUEST_ERROR",
  );

  const other = await client.paymentLink.create({ ...wanted, reference_id: "node-2" });
  assert.equal((await client.paymentLink.cancel(other.id)).status, "cancelled");
  const every = await client.payments.all({ count: 100 });
  assert.ok(every.items.some((one) => one.id === id));
}

await checkStripe();
await checkRazorpay();
console.log("Stripe's and Razorpay's Node libraries work with the simulator");
