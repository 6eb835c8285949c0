// What counts of the evidence of one covered epoch: inventories, indices and proofs verified (sections 6 and 9a of docs/protocol.md),
// and the union of their statements.
import { concat, toBytes, toHex, utf8, word } from "./bytes.mjs";
import { write } from "./canonical.mjs";
import { fileDigest } from "./files.mjs";
import { sumOf } from "./numbers.mjs";
import { must } from "./refused.mjs";

const MOST_STATEMENTS = 4;
const PPM = 1_000_000n;
const ZERO_DIGEST = "0x" + "00".repeat(32);

// The epoch of a UTC second; 0 before genesis.
export function epochOf(time, timing) {
  return time < timing.genesis ? 0n : (time - timing.genesis) / timing.epochLength + 1n;
}

// The numbers of the slots that a map has.
export function slotsOf(map) {
  return [...toBytes(map)].flatMap((byte, at) => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => 8 * at + bit));
}

export const sessionId = (request, provider, offer, keccak256) => toHex(keccak256(concat([request, provider, offer].map(word))));

// Tickets, reports and sessions of one covered epoch, each statement once. `epoch`: `covered` and `section` of the manifest.
// `files`: `indices` by file digest, `proofs` by digest. Refused if one of them breaks the rules: no rule-keeper signs such
// a manifest.
export function evidenceOf({ covered, section }, files, network) {
  const proofs = new Set();
  checkInventories(covered, section, network);
  for (const { message } of covered.inventories) {
    const index = files.indices.get(message.indexDigest);
    must(index && index.epoch === covered.epoch && BigInt(index.entries.length) === message.count, "inventory");
    index.entries.forEach((entry, at) => {
      const proof = files.proofs.get(entry.proof);
      must(at === 0 || index.entries[at - 1].provider < entry.provider, "index_order");
      must(proof && proof.message.provider === entry.provider && proof.message.epoch === covered.epoch, "index_entry");
      proofs.add(entry.proof);
    });
  }
  const counted = { tickets: new Map(), reports: new Map(), sessions: new Map() };
  for (const digest of proofs) addProof(files.proofs.get(digest), section, network, counted);
  return { tickets: [...counted.tickets.values()], reports: [...counted.reports.values()], sessions: counted.sessions };
}

function checkInventories(covered, section, { typed }) {
  const stakes = new Map(section.validators.map((one) => [one.account, one.stake]));
  let last = "";
  let signed = 0n;
  for (const inventory of covered.inventories) {
    const { validator, epoch } = inventory.message;
    must(last < validator && epoch === covered.epoch && (stakes.get(validator) ?? 0n) > 0n, "inventory");
    must(typed.signer("Inventory", inventory) === validator, "wrong_signer");
    signed += stakes.get(validator);
    last = validator;
  }
  must(3n * signed >= 2n * sumOf([...stakes.values()]) && signed > 0n, "inventories_too_few");
}

// A proof's statements, once it is verified as at intake but for time and quota.
function addProof(proof, section, network, counted) {
  const { rules, timing, typed } = network;
  const { provider, epoch, tickets, reports, sessions, log, logHead } = proof.message;
  const listed = (role) => new Set(section.roles.filter((one) => one.role === role).map((one) => one.account));
  must(BigInt(utf8(write(proof)).length) <= rules.proofMaxBytes, "proof_too_large");
  must(typed.signer("ActivityProof", proof) === provider, "wrong_signer");
  must(BigInt(log.length) <= rules.proofMaxLogEntries && BigInt(sessions.length) <= rules.proofMaxSessions, "too_many_statements");
  checkLog(log, logHead, typed);
  const kinds = [
    ["UptimeTicket", "resolver", tickets, counted.tickets],
    ["LatencyReport", "master", reports, counted.reports],
  ];
  for (const [type, role, statements, found] of kinds) {
    const signers = listed(role);
    const each = new Map();
    for (const signed of statements) {
      const { message } = signed;
      must(message.provider === provider && message.epoch === epoch, "wrong_subject");
      must(signers.has(message[role]), "not_listed");
      must(message[role] !== provider && isPrefix(message.groupPrefix) && isMap(message.slots, timing), "bad_statement");
      must(type === "UptimeTicket" || (message.lossPpm <= PPM && message.rttMinUs <= message.rttMedianUs), "bad_statement");
      must(typed.signer(type, signed) === message[role], "wrong_signer");
      each.set(message[role], (each.get(message[role]) ?? 0) + 1);
      must(each.get(message[role]) <= MOST_STATEMENTS, "too_many_statements");
      found.set(typed.digest(type, message), message);
    }
  }
  const seen = new Set();
  for (const session of sessions) {
    const id = addSession(session, provider, epoch, section, network, counted.sessions);
    must(!seen.has(id), "too_many_statements");
    seen.add(id);
  }
}

function checkLog(log, logHead, typed) {
  let previous = log.length && log[0].index > 0n ? log[0].previous : ZERO_DIGEST;
  log.forEach((entry, at) => {
    must(entry.previous === previous && entry.index === log[0].index + BigInt(at), "broken_log");
    previous = typed.digest("ActivityEntry", entry);
  });
  must(logHead === previous, "broken_log");
}

// Whether a text is an IPv4 /24 or an IPv6 /48 in its shortest form.
function isPrefix(text) {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.0\/24$/.exec(text);
  if (four) return four.slice(1).every((part) => String(Number(part)) === part && Number(part) < 256);
  return /^((0|[1-9a-f][0-9a-f]{0,3}):){0,2}([1-9a-f][0-9a-f]{0,3})?::\/48$/.test(text) && !/:::/.test(text);
}

function isMap(map, timing) {
  const slots = slotsOf(map);
  return toBytes(map).length === Math.ceil(Number(timing.slotsPerEpoch) / 8) && slots.every((slot) => BigInt(slot) < timing.slotsPerEpoch);
}

// Adds what a proof shows of a session to what is known of it; its id.
function addSession({ request, offer, demand, receipts, reports }, provider, epoch, section, network, sessions) {
  const { timing, typed, hashes } = network;
  const { consumer, budgetFrom, budgetTo, maxPrice } = request.message;
  const requestDigest = typed.digest("SessionRequest", request.message);
  const id = sessionId(requestDigest, provider, typed.digest("Offer", offer.message), hashes.keccak256);
  const timely = (message) => [epoch - 1n, epoch].includes(epochOf(message.time, timing));
  must(offer.message.provider === provider && offer.message.request === requestDigest, "wrong_subject");
  must(offer.message.price <= maxPrice && provider !== consumer, "bad_offer");
  must(receipts.length === 1 && reports.length <= 1, "too_many_statements");
  for (const { message } of receipts) must(message.consumer === consumer, "wrong_subject");
  for (const { message } of reports) must(message.provider === provider, "wrong_subject");
  for (const { message } of [...receipts, ...reports]) must(message.sessionId === id && timely(message), "wrong_subject");

  const stakes = new Map(section.roles.filter((one) => one.role === "validator").map((one) => [one.account, one.stake]));
  let [last, covering] = ["", 0n];
  for (const { message } of demand) {
    must(message.consumer === consumer && message.provider === provider && message.sessionId === id, "wrong_subject");
    must(message.budgetFrom === budgetFrom && message.budgetTo === budgetTo, "bad_statement");
    must(last < message.validator, "bad_statement");
    must((stakes.get(message.validator) ?? 0n) > 0n, "not_listed");
    if (timely(message)) covering += stakes.get(message.validator);
    last = message.validator;
  }
  must(3n * covering >= 2n * sumOf([...stakes.values()]) && covering > 0n, "session_not_covered");

  must(typed.signer("SessionRequest", request) === consumer && typed.signer("Offer", offer) === provider, "wrong_signer");
  for (const one of demand) must(typed.signer("DemandReceipt", one) === one.message.validator, "wrong_signer");
  for (const one of receipts) must(typed.signer("UsageReceipt", one) === consumer, "wrong_signer");
  for (const one of reports) must(typed.signer("UsageReport", one) === provider, "wrong_signer");

  const known = sessions.get(id) ?? { id, consumer, provider, budgetFrom, budgetTo, price: offer.message.price, receipts: [], reports: [] };
  known.receipts.push(...receipts.map((one) => one.message));
  known.reports.push(...reports.map((one) => one.message));
  sessions.set(id, known);
  return id;
}

// By digest, for the files that a manifest names.
export function filesOf(indices, proofs, { typed, hashes }) {
  return {
    indices: new Map(indices.map((index) => [fileDigest(utf8(write(index)), hashes.sha256), index])),
    proofs: new Map(proofs.map((proof) => [typed.digest("ActivityProof", proof.message), proof])),
  };
}
