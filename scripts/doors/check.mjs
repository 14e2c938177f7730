// jose reads the pass and the proof that a shop got, Node's own crypto follows the documented algorithm, and Queue-it's
// connector takes the token that a fan was sent to it with. Copied beside the libraries before it runs.

import assert from "node:assert/strict";
import { createHmac, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

import connector from "@queue-it/connector-javascript";
import { createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify } from "jose";

const given = JSON.parse(process.argv[2]);
const secret = readFileSync(given.secretFile, "utf8").trim();

async function checkWithJose() {
  const passKeys = createRemoteJWKSet(new URL("/_line/v1/jwks.json", given.public));
  const proofKeys = createRemoteJWKSet(new URL("/_line/v1/proof-jwks.json", given.public));
  const wanted = { issuer: given.public, audience: "doors", algorithms: ["EdDSA"] };
  const pass = await jwtVerify(given.pass, passKeys, { ...wanted, typ: "JWT" });
  assert.equal(pass.payload.sub, given.subject);
  const proof = await jwtVerify(given.proof, proofKeys, { ...wanted, typ: "ropeline-proof+jwt" });
  assert.equal(proof.payload.path, "/checkout?a=1");
  assert.equal(proof.payload.token_use, "proof");
  const [head, claims, signature] = given.pass.split(".");
  const other = Buffer.from(JSON.stringify({ ...pass.payload, sub: "someone" })).toString("base64url");
  const refused = [
    [errors.JWSSignatureVerificationFailed, [head, other, signature].join("."), passKeys, wanted],
    [errors.JWTClaimValidationFailed, given.pass, passKeys, { ...wanted, audience: "other" }],
    [errors.JWTExpired, given.pass, passKeys, { ...wanted, currentDate: new Date((pass.payload.exp + 1) * 1000) }],
    [errors.JWTExpired, given.proof, proofKeys, { ...wanted, currentDate: new Date((proof.payload.exp + 1) * 1000) }],
    [errors.JWKSNoMatchingKey, given.proof, passKeys, wanted],
    [errors.JWKSNoMatchingKey, given.pass, proofKeys, wanted],
  ];
  for (const [error, token, keys, options] of refused) {
    await assert.rejects(jwtVerify(token, keys, options), error);
  }
  // The algorithm by itself, as for a language without a library: RFC 7515 and RFC 8037.
  const { keys } = await (await fetch(new URL("/_line/v1/jwks.json", given.public))).json();
  const jwk = keys.find((key) => key.kid === decodeProtectedHeader(given.pass).kid);
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const bytes = Buffer.from(signature, "base64url");
  assert.ok(verify(null, Buffer.from(`${head}.${claims}`), key, bytes));
  assert.ok(!verify(null, Buffer.from(`${head}.${other}`), key, bytes));
  console.log("jose, and the documented algorithm without it, verified a pass and a proof, and refused what is neither");
}

const { KnownUser, QueueEventConfig } = connector;

/** What the connector decides on a request with this token: whether the fan is sent away, and where. */
async function decides(event, token, { now } = {}) {
  const cookies = [];
  const context = {
    getHttpRequest: () => ({
      getUserAgent: () => "check",
      getHeader: () => "",
      getAbsoluteUri: () => given.target,
      getUserHostAddress: () => "192.0.2.7",
      getCookieValue: () => undefined,
      getRequestBodyAsString: () => "",
    }),
    getHttpResponse: () => ({ setCookie: (name, value) => cookies.push([name, value]) }),
    getCryptoProvider: () => ({
      getSha256Hash: (key, text) => createHmac("sha256", key).update(text).digest("hex"),
    }),
    getEnqueueTokenProvider: () => null,
  };
  const config = new QueueEventConfig(
    event, [], "", "", `${new URL(given.public).host}/_line/queueit`, null, true, 20, "", true, true, 1, "check",
  );
  const clock = Date.now;
  if (now !== undefined) Date.now = () => now;
  try {
    const decided = KnownUser.resolveQueueRequestByLocalConfig(given.target, token, config, "me", secret, context, null);
    return { decided: await decided, cookies };
  } finally {
    Date.now = clock;
  }
}

async function checkConnector() {
  const good = await decides("event", given.token);
  assert.equal(good.decided.doRedirect(), false, good.decided.redirectUrl);
  assert.match(good.decided.queueId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(good.cookies.length, 1);

  const ends = Number(/~ts_(\d+)/.exec(given.token)[1]) * 1000;
  const moved = given.token.replace(/~ts_(\d+)/, (_, ts) => `~ts_${Number(ts) + 600}`);
  const unsigned = moved.replace(/~h_[0-9a-f]+$/, "");
  const forged = `${unsigned}~h_${createHmac("sha256", "another secret").update(unsigned).digest("hex")}`;
  // Signed as ours is, and over.
  const over = given.token.replace(/~h_[0-9a-f]+$/, "").replace(/~ts_\d+/, "~ts_1790000000");
  const expired = `${over}~h_${createHmac("sha256", secret).update(over).digest("hex")}`;
  const elsewhere = [
    ["another event", "other", given.token, "eventid"],
    ["a changed token", "event", moved, "hash"],
    ["another secret", "event", forged, "hash"],
    ["an expired token", "event", expired, "timestamp"],
  ];
  for (const [what, event, token, reason] of elsewhere) {
    const { decided } = await decides(event, token);
    assert.equal(decided.doRedirect(), true, what);
    assert.match(decided.redirectUrl, new RegExp(`/_line/queueit/error/${reason}/`), what);
  }
  assert.ok(ends > Date.now() && ends < Date.now() + 600_000, "the token is good for minutes");

  // Without a token, and with a bad one, the fan comes to the waiting page, which leads back.
  for (const token of ["", moved]) {
    const { decided } = await decides("event", token);
    assert.equal(decided.doRedirect(), true);
    const queue = new URL(decided.redirectUrl);
    const asked = await fetch(new URL(queue.pathname + queue.search, given.public), { redirect: "manual" });
    assert.equal(asked.status, 303, queue.href);
    const page = asked.headers.get("location");
    assert.equal(page, `/_line/rooms/event?to=${encodeURIComponent(given.target).replaceAll("%2F", "/")}`);
  }
  console.log("Queue-it's connector took a token, and sent away without one, expired, changed and of another event");
}

await checkWithJose();
await checkConnector();
