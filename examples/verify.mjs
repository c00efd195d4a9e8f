// Asks for a KYC link, waits for the verdict and says it: node verify.mjs USER COUNTRY
// It ends when the verdict is final: a webhook can say `verified` before a check of the provider confirms it.
// Exit code: 0 verified, 1 rejected, 2 wrong use, 3 failed or took too long.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const base = process.env.KYC_TRACKER_URL ?? "http://127.0.0.1:8080";
const key = process.env.KYC_TRACKER_KEY ?? "demo_partner_key";
const giveUpAt = Date.now() + 30 * 60_000;

/** What went wrong, and in how many seconds it may be tried again, if at all. */
class Failure extends Error {
  constructor(message, pause) {
    super(message);
    this.pause = pause;
  }
}

async function once(path, { headers, ...options }) {
  const all = { "partner-api-key": key, ...headers };
  let answer, text;
  try {
    const signal = AbortSignal.timeout(75_000); // The longest wait is 60 seconds.
    answer = await fetch(base + path, { ...options, headers: all, signal });
    text = await answer.text();
  } catch (error) {
    throw new Failure(`the service cannot be reached: ${error.cause?.message ?? error.message}`, 5);
  }
  const { status } = answer;
  const json = answer.headers.get("content-type")?.includes("json");
  const document = json ? JSON.parse(text) : null;
  if (answer.ok || status === 304) return { document, etag: answer.headers.get("etag") };
  const later = status === 429 || status === 503;
  const pause = later ? Number(answer.headers.get("retry-after") ?? 5) : undefined;
  throw new Failure(`${document?.code ?? status}: ${document?.detail ?? "no reason was given"}`, pause);
}

/** Sends a request until it is answered by something else than "come again later". */
async function ask(path, options) {
  let failure = new Failure("it took too long");
  while (Date.now() < giveUpAt) {
    try {
      return await once(path, options);
    } catch (error) {
      failure = error;
    }
    if (failure.pause === undefined) break;
    await sleep(failure.pause * 1000);
  }
  throw failure;
}

async function verify(userId, country) {
  // The same key for every try, so that no try makes a second link.
  const headers = { "content-type": "application/json", "idempotency-key": randomUUID() };
  const body = JSON.stringify({ userId, country });
  let { document: user, etag } = await ask("/v1/kyc/links", { method: "POST", headers, body });
  console.log(`startUrl: ${user.startUrl}`);
  while (!user.final) {
    // Answered as soon as something has changed since the version that is known, or with 304 after a minute.
    const path = `/v1/kyc/users/${encodeURIComponent(userId)}?wait=60`;
    const changed = await ask(path, { headers: { "if-none-match": etag } });
    if (!changed.document) continue;
    ({ document: user, etag } = changed);
    console.log(`status: ${user.status}`);
  }
  return user.status === "verified" ? 0 : 1;
}

const failed = (text, code) => (console.error(text), code);
const [userId, country] = process.argv.slice(2);
process.exitCode =
  process.argv.length === 4
    ? await verify(userId, country).catch((failure) => failed(failure.message, 3))
    : failed("usage: verify.mjs USER COUNTRY", 2);
