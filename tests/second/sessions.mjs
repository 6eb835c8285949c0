// What sessions are charged in an epoch (section 8 of docs/protocol.md).
import { floored, least, most, sumOf } from "./numbers.mjs";

const PPM = 1_000_000n;
const GIB = 1n << 30n;

// `fees`: by provider, then by consumer; `protocolFees` of them and `subsidies` that they ask for: by provider; `spent`: by consumer;
// `opened`: the sessions first counted now. `books`: `before`, the accounts by address, and what else the epoch begins with.
export function charge(sessions, books, rules) {
  const { state, before, deposits } = books;
  const open = new Map(state.sessions.map((one) => [one.sessionId, one.paid]));
  const found = { fees: new Map(), protocolFees: new Map(), subsidies: new Map(), spent: new Map(), opened: [] };
  const add = (sums, key, amount) => sums.set(key, (sums.get(key) ?? 0n) + amount);
  const protocolFee = (paid) => (paid * rules.protocolFeePpm) / PPM;
  const subsidy = (paid) => (protocolFee(paid) * rules.sessionSubsidyPpm) / PPM;
  let leftOfAll = floored(sumOf([...deposits.values()].map((one) => one.held)) - books.totalSpent);
  for (const session of [...sessions.values()].sort((one, other) => (one.id < other.id ? -1 : 1))) {
    const { id, consumer, provider, budgetTo } = session;
    if (!isPayable(session, open, books)) continue;
    const paid = open.get(id) ?? 0n;
    const own = deposits.get(consumer).held - (before.get(consumer)?.spent ?? 0n) - (found.spent.get(consumer) ?? 0n);
    const fee = floored(least(feeOf(session) - paid, own, leftOfAll));
    leftOfAll -= fee;
    add(found.spent, consumer, fee);
    if (!found.fees.has(provider)) found.fees.set(provider, new Map());
    add(found.fees.get(provider), consumer, fee);
    add(found.protocolFees, provider, protocolFee(paid + fee) - protocolFee(paid));
    add(found.subsidies, provider, subsidy(paid + fee) - subsidy(paid));
    if (!open.has(id)) found.opened.push({ sessionId: id, consumer, budgetTo, paid: fee });
  }
  return found;
}

function isPayable({ id, consumer, provider, budgetTo }, open, { before, deposits, lost, epoch, treasury }) {
  if (consumer === treasury || lost.has(consumer) || lost.has(provider) || !deposits.has(consumer)) return false;
  const { exited } = deposits.get(consumer); // the epoch of its exit and one
  if (exited > 0n && exited < epoch) return false;
  return open.has(id) || !before.has(consumer) || budgetTo > before.get(consumer).settled;
}

// The whole fee since a session began, by the most that any receipt says, or any report if that is less.
function feeOf({ price, budgetFrom, budgetTo, receipts, reports }) {
  const payload = (statements) => most(...statements.map((one) => one.bytesUp + one.bytesDown));
  const bytes = reports.length ? least(payload(receipts), payload(reports)) : payload(receipts);
  return least(budgetTo - budgetFrom, (price * bytes + GIB - 1n) / GIB);
}
