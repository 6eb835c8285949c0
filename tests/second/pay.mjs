// What an epoch draws from the budget (section 8 of docs/protocol.md). `funds`: the `rate` of the epoch, and what is `before` or `left` in
// the Vault, wei.
import { floored, least, sumOf } from "./numbers.mjs";

const PPM = 1_000_000n;

// Wei by provider. `members`: accounts of P with a slot up, placed in their groups, with `up`.
export function availability(members, funds, rules) {
  const ranks = rankWeights(members, rules);
  const weights = members.map(({ account, up, reputation }) => [account, (up * (PPM / 2n + reputation / 2n) * ranks.get(account)) / PPM]);
  const budget = floored(least((funds.rate * rules.availabilitySharePpm) / PPM, funds.before));
  const total = sumOf(weights.map(([, weight]) => weight));
  const pay = (weight) => (total ? least((weight * rules.slotCapWei) / PPM, (budget * weight) / total) : 0n);
  return new Map(weights.map(([account, weight]) => [account, pay(weight)]));
}

// By provider, ppm: by seniority within the group, and within an IPv6 /32 what is left of the site's cap.
function rankWeights(members, rules) {
  const bySeniority = (one, other) => {
    if (one.groupSince !== other.groupSince) return one.groupSince < other.groupSince ? -1 : 1;
    return one.account < other.account ? -1 : 1;
  };
  const ranks = new Map();
  const used = new Map();
  const found = new Map();
  for (const { account, group } of [...members].sort(bySeniority)) {
    const rank = (ranks.get(group) ?? 0n) + 1n;
    ranks.set(group, rank);
    let weight = rank <= rules.groupFullRanks ? PPM : PPM / (rank - rules.groupFullRanks + 1n);
    const site = siteOf(group);
    if (site) {
      weight = least(weight, rules.siteWeightCap * PPM - (used.get(site) ?? 0n));
      used.set(site, (used.get(site) ?? 0n) + weight);
    }
    found.set(account, weight);
  }
  return found;
}

// The first two words of an IPv6 /48; null for IPv4.
function siteOf(group) {
  if (!group.includes(":")) return null;
  const words = group.split("::")[0].split(":").filter(Boolean);
  return [...words, "0", "0"].slice(0, 2).join(":");
}

// Wei by provider: what its sessions ask for, all scaled down alike if that is too much.
export function subsidies(wanted, funds, rules) {
  const budget = floored(least((funds.rate * rules.sessionSharePpm) / PPM, funds.left));
  const total = sumOf([...wanted.values()]);
  return new Map([...wanted].map(([provider, amount]) => [provider, total > budget ? (amount * budget) / total : amount]));
}

// Account and wei, once for each role it held when the epoch began.
export function rolePay(section, lost, funds, rules) {
  const budget = floored(least((funds.rate * rules.roleSharePpm) / PPM, funds.left));
  const staked = new Set(section.validators.filter((one) => one.stake > 0n).map((one) => one.account));
  const parts = { resolver: rules.resolverPartPpm, master: rules.masterPartPpm, validator: rules.validatorPartPpm };
  return Object.entries(parts).flatMap(([role, part]) => {
    const holders = section.roles.filter((one) => one.role === role && (role !== "validator" || one.stake > 0n)).map((one) => one.account);
    const paid = holders.filter((account) => !lost.has(account) && (role !== "validator" || staked.has(account)));
    return paid.map((account) => [account, (budget * part) / PPM / BigInt(holders.length)]);
  });
}

// What goes to referrers of what providers of P have `drawn`: `shared` by provider, `earned` as pairs of referrer and wei.
export function referrals(bonded, drawn, before, rules) {
  const shared = new Map();
  const earned = [];
  for (const { provider, referrer } of bonded.values()) {
    if (referrer === provider || !bonded.has(referrer)) continue;
    const part = (drawn(provider) * shareOf(before.get(referrer)?.points ?? 0n, rules)) / PPM;
    shared.set(provider, part);
    earned.push([referrer, part]);
  }
  return { shared, earned };
}

// The share of the tier that so many thousandths of a point are in, ppm.
function shareOf(points, rules) {
  const reached = rules.tierPoints.filter((threshold) => threshold * 1000n <= points).length;
  return reached ? rules.tierSharePpm[reached - 1] : 0n;
}
