// One root: from parent, manifest and evidence to the state's bytes, the tree and the attestation (sections 5 to 8 of docs/protocol.md).
import { toHex, utf8 } from "./bytes.mjs";
import { read, write } from "./canonical.mjs";
import { evidenceOf, filesOf } from "./evidence.mjs";
import { fileDigest } from "./files.mjs";
import { leavesOf, reckon, totalEarned, totalSpent } from "./reckon.mjs";
import { must } from "./refused.mjs";
import { rootOf } from "./tree.mjs";
import { typed as typedBy } from "./typed.mjs";

const MOST_COVERED = 7n;
const ZERO_DIGEST = "0x" + "00".repeat(32);

// The outcome of one root of the vectors' form. Refused if what goes in contradicts itself or is not signed as it says.
export function recomputed(given, hashes) {
  const rules = read("Rules", given.rules);
  const manifest = read("Manifest", given.manifest);
  const parent = read("State", given.parent);
  const timing = Object.fromEntries(Object.entries(given.timing).map(([name, value]) => [name, BigInt(value)]));
  const typed = typedBy(given.domain, hashes);
  const network = { rules, timing, typed, hashes };
  const { treasury } = manifest.chain[0];

  checkManifest(manifest, parent, rules, hashes);
  const indices = given.indices.map((index) => read("InventoryIndex", index));
  const proofs = given.proofs.map((proof) => read("SignedActivityProof", proof));
  const files = filesOf(indices, proofs, network);
  const evidence = manifest.chain.map((section, at) => evidenceOf({ covered: manifest.covered[at], section }, files, network));

  const state = reckon({ parent, manifest, evidence, rules, timing });
  const leaves = leavesOf(state, treasury);
  const stateBytes = utf8(write(state));
  const attestation = {
    epoch: manifest.epoch,
    through: manifest.through,
    round: 0n,
    parentRoot: manifest.parentRoot,
    parentStateDigest: manifest.parentStateDigest,
    stateDigest: fileDigest(stateBytes, hashes.sha256),
    root: rootOf(leaves, hashes.keccak256),
    totalEarned: totalEarned(state),
    totalSpent: totalSpent(state),
    anchorBlockHash: manifest.chain.at(-1).anchorBlockHash,
    rulesDigest: manifest.rulesDigest,
    manifestDigest: fileDigest(utf8(write(manifest)), hashes.sha256),
  };
  return {
    state: write(state),
    stateSha256: toHex(hashes.sha256(stateBytes)),
    manifestSha256: toHex(hashes.sha256(utf8(write(manifest)))),
    leaves: write(leaves),
    attestation: write(attestation),
    attestationDigest: typed.digest("EpochAttestation", attestation),
  };
}

function checkManifest(manifest, parent, rules, hashes) {
  const { epoch, through, chain, covered } = manifest;
  const first = parent.through === 0n;
  const most = parent.through + MOST_COVERED;
  must(through === (epoch < most ? epoch : most), "through");
  must(chain.length === Number(through - parent.through) && covered.length === chain.length, "covered");
  chain.forEach((section, at) => must([section, covered[at]].every((one) => one.epoch === parent.through + 1n + BigInt(at)), "covered"));
  must(manifest.rulesDigest === toHex(hashes.keccak256(utf8(write(rules)))), "rules");
  must(manifest.parentStateDigest === (first ? ZERO_DIGEST : fileDigest(utf8(write(parent)), hashes.sha256)), "parent_state");
  const parentRoot = first ? ZERO_DIGEST : rootOf(leavesOf(parent, chain[0].treasury), hashes.keccak256);
  must(manifest.parentRoot === parentRoot, "parent_root");
}
