// Prints what the messages of typed_attestation.json and the trees of merkle.json come to (standard input: `{typed, merkle}`).
import { readFileSync } from "node:fs";
import { read } from "./canonical.mjs";
import { hashes } from "./hashes.mjs";
import { leafHash, rootOf } from "./tree.mjs";
import { typed, typeText } from "./typed.mjs";
import { toHex, utf8 } from "./bytes.mjs";

const TYPE = "EpochAttestation";
const integers = ({ earned, spent, points, reputation }) => ({
  earned: BigInt(earned),
  spent: BigInt(spent),
  points: BigInt(points),
  reputation: BigInt(reputation),
});
const given = JSON.parse(readFileSync(0, "utf8"));

const cases = given.typed.cases.map(({ domain, message, signature }) => {
  const network = typed({ chainId: domain.chainId, settlement: domain.verifyingContract.toLowerCase() }, hashes);
  const value = read(TYPE, message);
  return {
    domainSeparator: network.separator,
    structHash: network.structHash(TYPE, value),
    digest: network.digest(TYPE, value),
    signer: network.signer(TYPE, { message: value, signature }),
  };
});
const trees = given.merkle.trees.map((tree) => {
  const leaves = tree.leaves.map(({ account, ...numbers }) => ({ account, ...integers(numbers) }));
  return { root: rootOf(leaves, hashes.keccak256), hashes: leaves.map((leaf) => leafHash(leaf, hashes.keccak256)) };
});
const typehash = toHex(hashes.keccak256(utf8(typeText(TYPE))));
console.log(JSON.stringify({ type: typeText(TYPE), typehash, cases, trees }));
