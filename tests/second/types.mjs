// The struct types of section 3 of docs/protocol.md: messages that are signed, and files that are only hashed.
const TEXTS = `
UptimeTicket(address resolver,address provider,uint64 epoch,uint64 sequence,bytes slots,uint32 addressChanges,string groupPrefix)
LatencyReport(address master,address provider,uint64 epoch,uint64 sequence,bytes slots,uint32 rttMinUs,uint32 rttMedianUs,uint32 jitterUs,uint32 lossPpm,string groupPrefix,bool addressOk,address relay)
SessionRequest(address consumer,string region,uint64 minBandwidth,uint32 maxRttUs,uint128 maxPrice,uint96 budgetFrom,uint96 budgetTo,uint256 nonce,uint64 expiry)
Offer(address provider,bytes32 request,uint128 price,uint64 expiry)
DemandReceipt(address validator,address consumer,address provider,bytes32 sessionId,uint96 budgetFrom,uint96 budgetTo,uint64 time)
UsageReceipt(address consumer,bytes32 sessionId,uint64 sequence,uint64 bytesUp,uint64 bytesDown,uint64 duration,uint32 rttUs,uint64 time)
UsageReport(address provider,bytes32 sessionId,uint64 sequence,uint64 bytesUp,uint64 bytesDown,uint64 duration,uint32 rttUs,uint64 time)
SessionEvidence(SignedSessionRequest request,SignedOffer offer,SignedDemandReceipt[] demand,SignedUsageReceipt[] receipts,SignedUsageReport[] reports)
ActivityEntry(uint64 index,uint64 time,string kind,string detail,bytes32 previous)
ActivityProof(address provider,uint64 epoch,uint64 sequence,SignedUptimeTicket[] tickets,SignedLatencyReport[] reports,SessionEvidence[] sessions,ActivityEntry[] log,bytes32 logHead)
Inventory(address validator,uint64 epoch,uint64 count,bytes32 indexDigest)
EpochAttestation(uint256 epoch,uint256 through,uint256 round,bytes32 parentRoot,bytes32 parentStateDigest,bytes32 stateDigest,bytes32 root,uint256 totalEarned,uint256 totalSpent,bytes32 anchorBlockHash,bytes32 rulesDigest,bytes32 manifestDigest)
InventoryEntry(address provider,bytes32 proof)
InventoryIndex(uint64 epoch,InventoryEntry[] entries)
FileIndex(uint64 size,bytes32[] chunks)
CoveredEpoch(uint64 epoch,SignedInventory[] inventories)
ListedNode(address account,string role,uint256 stake)
RegisteredProvider(address provider,address referrer,uint256 bond)
Depositor(address account,uint256 deposited,uint256 withdrawn,uint64 exited)
ChainSection(uint64 epoch,uint64 anchorBlock,bytes32 anchorBlockHash,ListedNode[] roles,ListedNode[] validators,RegisteredProvider[] providers,uint256 funded,uint256 rate,address treasury)
Manifest(uint64 epoch,uint64 through,bytes32 parentRoot,bytes32 parentStateDigest,bytes32 rulesDigest,Depositor[] deposits,ChainSection[] chain,CoveredEpoch[] covered)
AccountState(address account,uint256 earned,uint256 spent,uint64 points,uint32 reputation,uint64 firstEpoch,string group,uint64 groupSince,uint32[] buckets,uint256 settled,uint256 shared)
OpenSession(bytes32 sessionId,address consumer,uint256 budgetTo,uint256 paid)
State(uint64 through,AccountState[] accounts,OpenSession[] sessions,uint256 lostEarned,uint256 lostSpent)
Rules(uint16 version,uint32 heartbeatS,uint32 presenceTtlS,uint16 proofEvery,uint32 toleranceS,uint16 finalityBlocks,bool allowPrivateAddresses,uint32 maxRttUs,uint8 echoRounds,uint32 proofMaxBytes,uint16 proofMaxSessions,uint16 proofMaxLogEntries,uint32 intakeQuotaBytes,uint32 availabilitySharePpm,uint96 slotCapWei,uint16 groupFullRanks,uint16 siteWeightCap,uint32 pointsMilliPerHour,uint32 pointsMilliPerToken,uint32 requestLifeS,uint32 receiptEveryS,uint64 creditStartBytes,uint64 creditMostBytes,uint32 protocolFeePpm,uint32 sessionSharePpm,uint32 sessionSubsidyPpm,uint96 sessionTargetWei,uint32 consumerWeightPpm,uint32 roleSharePpm,uint32 resolverPartPpm,uint32 masterPartPpm,uint32 validatorPartPpm,uint64[] tierPoints,uint32[] tierSharePpm,uint32 reputationPriorPpm,uint64 reputationPriorWeightPpm,uint8 reputationEpochs,uint32 availabilityWeightPpm,uint32 performanceWeightPpm,uint32 sessionsWeightPpm,uint32 standingWeightPpm)
`;

const STRUCTS = new Map();
for (const text of TEXTS.trim().split("\n")) {
  const [, name, inside] = /^(\w+)\((.*)\)$/.exec(text);
  STRUCTS.set(
    name,
    inside.split(",").map((member) => ({ type: member.split(" ")[0], name: member.split(" ")[1] })),
  );
}

// The members of a struct, in order; those of `SignedX` are X and a signature. Undefined for a type that is no struct.
export function membersOf(type) {
  if (!STRUCTS.has(type) && type.startsWith("Signed")) {
    return [
      { type: type.slice(6), name: "message" },
      { type: "bytes", name: "signature" },
    ];
  }
  return STRUCTS.get(type);
}
