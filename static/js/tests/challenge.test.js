import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { sha256 } from "../challenge/sha256.js";
import { find, solution } from "../challenge/solving.js";

const digest = (text) => createHash("sha256").update(text).digest("hex");

test("digests are those of other programs, whatever their length", () => {
  for (let length = 0; length < 200; length += 1) {
    const text = "aé€😀".repeat(60).slice(0, length);
    assert.equal(sha256(text), digest(text), `length ${length}`);
  }
});

test("the number is found, and not beyond the end", () => {
  const salt = "0011?expires=1&for=aa&";
  const challenge = {
    algorithm: "SHA-256",
    challenge: digest(`${salt}731`),
    maxnumber: 1000,
    salt,
    signature: "00",
  };
  assert.equal(find(challenge, 0, 1001), 731);
  assert.equal(find(challenge, 0, 731), undefined);
  assert.equal(find(challenge, 732, 1001), undefined);
  const read = JSON.parse(atob(solution(challenge, 731)));
  assert.deepEqual(read, {
    algorithm: "SHA-256",
    challenge: challenge.challenge,
    number: 731,
    salt,
    signature: "00",
  });
});
