// What a provider's statements of one epoch come to: slots up, group, and the parts of its score (section 8 of docs/protocol.md).
import { slotsOf } from "./evidence.mjs";
import { floored, least, sumOf } from "./numbers.mjs";

const PPM = 1_000_000n;

// Of each provider that a statement is about and that is not lost: `up` (number of slots), `group` (text, empty without one),
// `performance` (ppm).
export function sightings({ tickets, reports }, section, lost, rules, timing) {
  const masters = section.roles.filter((one) => one.role === "master").map((one) => one.account);
  const found = new Map();
  for (const { provider } of [...tickets, ...reports]) {
    if (lost.has(provider) || found.has(provider)) continue;
    const own = reports.filter((report) => report.provider === provider);
    const byMaster = masters.map((master) => own.filter((report) => report.master === master));
    const maps = byMaster.map((several) => new Set(several.flatMap((report) => slotsOf(report.slots))));
    const shown = new Set(tickets.filter((ticket) => ticket.provider === provider).flatMap((ticket) => slotsOf(ticket.slots)));
    const up = [...shown].filter((slot) => 2 * maps.filter((map) => map.has(slot)).length > masters.length).length;
    found.set(provider, { up: BigInt(up), group: up ? groupOf(byMaster) : "", performance: performanceOf(byMaster, timing, rules) });
  }
  return found;
}

// The prefix that most masters name, each by its fullest report with a slot; the smaller text of several.
function groupOf(byMaster) {
  const votes = new Map();
  for (const several of byMaster) {
    const [fullest] = [...several].sort(byFullness);
    if (fullest && slotsOf(fullest.slots).length > 0) votes.set(fullest.groupPrefix, (votes.get(fullest.groupPrefix) ?? 0) + 1);
  }
  const ordered = [...votes].sort(([text, count], [otherText, otherCount]) => otherCount - count || (text < otherText ? -1 : 1));
  return ordered.length ? ordered[0][0] : "";
}

// Most slots first, then the highest sequence, then the greatest fields one after the other: maps as bytes, texts by code points.
function byFullness(one, other) {
  const keys = ({ slots, sequence, rttMinUs, rttMedianUs, jitterUs, lossPpm, groupPrefix, addressOk, relay }) => {
    return [slotsOf(slots).length, sequence, slots, rttMinUs, rttMedianUs, jitterUs, lossPpm, groupPrefix, addressOk, relay];
  };
  const others = keys(other);
  const at = keys(one).findIndex((key, index) => key !== others[index]);
  return at < 0 ? 0 : keys(one)[at] > others[at] ? -1 : 1;
}

// The median over all masters of each one's mark, ppm.
function performanceOf(byMaster, timing, rules) {
  if (byMaster.length === 0) return 0n;
  const marks = byMaster.map((several) => {
    const best = new Map();
    for (const report of several) {
      const mark = markOf(report, rules);
      for (const slot of slotsOf(report.slots)) if (mark > (best.get(slot) ?? -1n)) best.set(slot, mark);
    }
    return sumOf([...best.values()]) / timing.slotsPerEpoch;
  });
  marks.sort((one, other) => (one < other ? -1 : one > other ? 1 : 0));
  return marks[Math.floor((marks.length - 1) / 2)];
}

function markOf(report, rules) {
  const rtt = floored(PPM - (report.rttMedianUs * PPM) / rules.maxRttUs);
  const jitter = floored(PPM - (4n * report.jitterUs * PPM) / rules.maxRttUs);
  return (rtt + jitter + PPM - report.lossPpm) / 3n;
}

// The sessions' part of a score: `fees` are those of the epoch by consumer, wei.
export function sessionSignal(fees, rules) {
  const parts = [...fees.values()].map((fee) => least(rules.consumerWeightPpm, (fee * PPM) / rules.sessionTargetWei));
  return least(PPM, sumOf(parts));
}

// The score of an epoch, ppm. `tenure`: epochs since the first one seen; `bonded`: whether its bond is there.
export function scoreOf({ up, performance, sessions, tenure, bonded }, rules, timing) {
  const availability = (up * PPM) / timing.slotsPerEpoch;
  const standing = up > 0n ? ((tenure * PPM) / (tenure + 30n)) / 2n + (bonded ? PPM / 2n : 0n) : 0n;
  const weighed =
    availability * rules.availabilityWeightPpm +
    performance * rules.performanceWeightPpm +
    sessions * rules.sessionsWeightPpm +
    standing * rules.standingWeightPpm;
  return weighed / PPM;
}

// Reputation over the scores of the last epochs, newest first, ppm.
export function reputationOf(buckets, rules) {
  const base = rules.reputationPriorWeightPpm;
  const above = base * rules.reputationPriorPpm + sumOf(buckets.map((score, age) => weightOf(age) * score));
  const below = base + sumOf(buckets.map((_, age) => weightOf(age)));
  return below ? above / below : rules.reputationPriorPpm;
}

// floor(10^6 · exp(-age / 10)), by the series of exp(age / 10) at 60 digits.
function weightOf(age) {
  const one = 10n ** 60n;
  let [sum, term] = [one, one];
  for (let n = 1n; term > 0n; n++) {
    term = (term * BigInt(age)) / (10n * n);
    sum += term;
  }
  return (PPM * one) / sum;
}
