// From a parent's state and the evidence of the covered epochs to the state after them (sections 7 and 8 of docs/protocol.md).
import { sumOf } from "./numbers.mjs";
import { availability, referrals, rolePay, subsidies } from "./pay.mjs";
import { charge } from "./sessions.mjs";
import { reputationOf, scoreOf, sessionSignal, sightings } from "./standing.mjs";

const TOKEN = 10n ** 18n;
const SILENT = { up: 0n, group: "", performance: 0n };

const byAccount = (one, other) => (one.account < other.account ? -1 : 1);

export const totalEarned = (state) => state.lostEarned + sumOf(state.accounts.map((one) => one.earned));
export const totalSpent = (state) => state.lostSpent + sumOf(state.accounts.map((one) => one.spent));

// The state after the root's epochs. `evidence`: of each section of the manifest.
export function reckon({ parent, manifest, evidence, rules, timing }) {
  const deposits = new Map(manifest.deposits.map((one) => [one.account, { ...one, held: one.deposited - one.withdrawn }]));
  const lost = parent.accounts.filter((one) => (deposits.get(one.account)?.held ?? 0n) < one.spent);
  const context = { deposits, lost: new Set(lost.map((one) => one.account)), rules, timing };
  const begun = {
    ...parent,
    accounts: parent.accounts.filter((one) => !context.lost.has(one.account)),
    lostEarned: parent.lostEarned + sumOf(lost.map((one) => one.earned)),
    lostSpent: parent.lostSpent + sumOf(lost.map((one) => one.spent)),
  };
  return manifest.chain.reduce((state, section, at) => afterEpoch(state, section, evidence[at], context), begun);
}

// The leaves of a state, ascending by account: one an account, and the treasury's.
export function leavesOf(state, treasury) {
  const leaves = state.accounts.map(({ account, earned, spent, points, reputation }) => ({ account, earned, spent, points, reputation }));
  const named = leaves.some((leaf) => leaf.account === treasury);
  return (named ? leaves : [...leaves, { account: treasury, earned: 0n, spent: 0n, points: 0n, reputation: 0n }]).sort(byAccount);
}

function afterEpoch(state, section, evidence, { deposits, lost, rules, timing }) {
  const { epoch, treasury } = section;
  const before = new Map(state.accounts.map((one) => [one.account, one]));
  const scoredBefore = (address) => before.get(address)?.firstEpoch > 0n;
  const bonded = new Map(section.providers.filter((one) => one.bond > 0n && !lost.has(one.provider)).map((one) => [one.provider, one]));
  const sight = sightings(evidence, section, lost, rules, timing);
  const seen = (address) => sight.get(address) ?? SILENT;
  const funds = { before: section.funded + totalSpent(state) - totalEarned(state), rate: section.rate };

  const charges = charge(evidence.sessions, { state, before, deposits, lost, epoch, treasury, totalSpent: totalSpent(state) }, rules);
  const providers = new Map();
  for (const address of new Set([...[...before.keys()].filter(scoredBefore), ...sight.keys(), ...charges.fees.keys()])) {
    const start = scoredBefore(address) ? before.get(address) : resting(address, before.get(address), epoch, rules);
    providers.set(address, placed(start, seen(address), bonded.has(address), epoch));
  }

  const working = [...bonded.keys()].filter((address) => seen(address).up > 0n);
  const members = working.map((address) => ({ ...providers.get(address), up: seen(address).up }));
  const available = availability(members, funds, rules);
  const left = funds.before - sumOf([...available.values()]);
  const subsidised = subsidies(charges.subsidies, { left, rate: funds.rate }, rules);
  const roles = rolePay(section, lost, { left: left - sumOf([...subsidised.values()]), rate: funds.rate }, rules);
  const drawn = (address) => (available.get(address) ?? 0n) + (subsidised.get(address) ?? 0n);
  const referred = referrals(bonded, drawn, before, rules);

  const after = new Map();
  for (const [address, provider] of providers) {
    const fees = charges.fees.get(address) ?? new Map();
    const protocolFees = charges.protocolFees.get(address) ?? 0n;
    const shared = referred.shared.get(address) ?? 0n;
    const earned = sumOf([...fees.values()]) - protocolFees + drawn(address) - shared;
    const signals = { sessions: sessionSignal(fees, rules), tenure: epoch - provider.firstEpoch, bonded: bonded.has(address) };
    const score = scoreOf({ ...seen(address), ...signals }, rules, timing);
    const buckets = [score, ...provider.buckets].slice(0, Number(rules.reputationEpochs));
    const points = bonded.has(address) ? pointsOf(seen(address).up, protocolFees, rules, timing) : 0n;
    const renewed = {
      ...provider,
      earned: provider.earned + earned,
      shared: provider.shared + shared,
      points: provider.points + points,
      reputation: reputationOf(buckets, rules),
      buckets,
    };
    const entered = scoredBefore(address) || buckets.some((one) => one > 0n) || earned > 0n;
    const stays = scoredBefore(address) && bonded.has(address);
    if (entered && (stays || isWorthKeeping(renewed))) after.set(address, renewed);
  }

  const account = (address) => {
    if (!after.has(address)) after.set(address, resting(address, before.get(address), 0n, rules));
    return after.get(address);
  };
  for (const one of state.accounts) if (one.firstEpoch === 0n && isWorthKeeping(one)) account(one.account);
  for (const address of deposits.keys()) if (!lost.has(address)) account(address);
  for (const [address, amount] of [...roles, ...referred.earned]) if (amount > 0n) account(address).earned += amount;
  for (const [consumer, fee] of charges.spent) account(consumer).spent += fee;
  for (const { consumer, budgetTo } of state.sessions) {
    if (!lost.has(consumer) && account(consumer).settled < budgetTo) account(consumer).settled = budgetTo;
  }
  if (charges.spent.size > 0) account(treasury).earned += sumOf([...charges.protocolFees.values()]);
  return { ...state, through: epoch, accounts: [...after.values()].sort(byAccount), sessions: charges.opened };
}

// An account without a past as a provider, first seen in an epoch; its sums it keeps.
function resting(account, known, firstEpoch, rules) {
  const { earned = 0n, spent = 0n, points = 0n, settled = 0n, shared = 0n } = known ?? {};
  const reputation = reputationOf([], rules);
  return { account, earned, spent, points, reputation, firstEpoch, group: "", groupSince: 0n, buckets: [], settled, shared };
}

// The account in its group: silent it keeps its place, by moving or outside P it loses it.
function placed(account, { up, group }, isBonded, epoch) {
  if (!isBonded) return { ...account, group: "", groupSince: 0n };
  return up > 0n && group !== account.group ? { ...account, group, groupSince: epoch } : account;
}

function pointsOf(up, protocolFees, rules, timing) {
  const slotSeconds = timing.epochLength / timing.slotsPerEpoch;
  return (up * slotSeconds * rules.pointsMilliPerHour) / 3600n + (protocolFees * rules.pointsMilliPerToken) / TOKEN;
}

function isWorthKeeping({ earned, shared, spent, points, buckets }) {
  return earned > 0n || shared > 0n || spent > 0n || points > 0n || buckets.some((score) => score > 0n);
}
