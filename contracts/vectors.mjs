// Writes the golden vectors that pytest and forge both read, from implementations that are not ours:
// trees by @openzeppelin/merkle-tree, typed data by Foundry's cast.
//
//   node contracts/vectors.mjs           write merkle.json, multiproof.json and typed_attestation.json to tests/vectors
//   node contracts/vectors.mjs --check   write nothing; end with 1 if a committed file differs
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const TARGET = join(ROOT, "tests", "vectors");
const LEAF_TYPES = ["address", "uint256", "uint256", "uint256", "uint256"];
const LEAF_FIELDS = ["account", "earned", "spent", "points", "reputation"];

/** A number below `limit` that depends on nothing but the label. */
function number(label, limit) {
  return BigInt("0x" + createHash("sha256").update(label).digest("hex")) % limit;
}

function hex(label, bytes) {
  return "0x" + createHash("sha256").update(label).digest("hex").slice(0, 2 * bytes);
}

function leaf(tree, index) {
  const label = `${tree}/${index}`;
  return [
    hex(`${label}/account`, 20),
    number(`${label}/earned`, 2n ** 96n),
    index % 3 === 0 ? 0n : number(`${label}/spent`, 2n ** 96n),
    number(`${label}/points`, 2n ** 64n),
    number(`${label}/reputation`, 1_000_001n),
  ].map(String);
}

const EXTREMES = [
  ["0x" + "00".repeat(19) + "01", 0n, 0n, 0n, 0n],
  ["0x" + "ff".repeat(20), 2n ** 96n - 1n, 2n ** 96n - 1n, 2n ** 64n - 1n, 1_000_000n],
  ["0x" + "5a".repeat(20), 1n, 2n, 3n, 4n],
].map((row) => row.map(String));

function tree(name, values) {
  const built = StandardMerkleTree.of(values, LEAF_TYPES);
  const leaves = values.map((value, index) => ({
    ...Object.fromEntries(LEAF_FIELDS.map((field, i) => [field, value[i]])),
    hash: built.leafHash(value),
    proof: built.getProof(index),
  }));
  return { name, root: built.root, leaves, dump: built.dump() };
}

function merkle() {
  const trees = [1, 2, 3, 7, 100].map((size) => {
    const name = `${size} leaves`;
    return tree(name, Array.from({ length: size }, (_, index) => leaf(name, index)));
  });
  trees.push(tree("extremes", EXTREMES));
  return { types: LEAF_TYPES, trees };
}

/** A leaf that a network can pay: small amounts, so that the sum of a tree stays within an epoch's budget. */
function payable(tree, index) {
  const label = `${tree}/${index}`;
  return [
    hex(`${label}/account`, 20),
    1n + number(`${label}/earned`, 5n * 10n ** 18n),
    number(`${label}/spent`, 2n ** 96n),
    number(`${label}/points`, 2n ** 64n),
    number(`${label}/reputation`, 1_000_001n),
  ].map(String);
}

const word = (value, bytes) => BigInt(value).toString(16).padStart(2 * bytes, "0");

/** Leaves as `claimPacked` takes them: account, earned, spent, points, reputation, eight zero bytes. */
function packed(values) {
  const one = ([account, earned, spent, points, reputation]) =>
    account.slice(2) + word(earned, 12) + word(spent, 12) + word(points, 8) + word(reputation, 4) + word(0, 8);
  return "0x" + values.map(one).join("");
}

/** One bit per hashing, the most significant of the first byte first. */
function packedSteps(flags) {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8));
  flags.forEach((flag, i) => {
    if (flag) bytes[i >> 3] |= 128 >> (i & 7);
  });
  return "0x" + Buffer.from(bytes).toString("hex");
}

/** One proof for several leaves of a tree, as the library takes them and as `claimPacked` does. */
function together(built, indices) {
  const { leaves, proof, proofFlags } = built.getMultiProof(indices);
  const accounts = leaves.map(([account]) => account);
  return { accounts, proof, flags: proofFlags, packed: packed(leaves), steps: packedSteps(proofFlags) };
}

function multiproof() {
  const trees = [1, 2, 7, 16, 60].map((size) => {
    const name = `${size} payable leaves`;
    const values = Array.from({ length: size }, (_, index) => payable(name, index));
    const built = StandardMerkleTree.of(values, LEAF_TYPES);
    const every = (step) => values.map((_, index) => index).filter((index) => index % step === 0);
    const all = [[size - 1], every(3), every(2), every(1)].map(String);
    const subsets = [...new Set(all)].map((subset) => subset.split(",").map(Number));
    const leaves = values.map((value) =>
      Object.fromEntries(LEAF_FIELDS.map((field, i) => [field, value[i]])),
    );
    return { name, root: built.root, leaves, cases: subsets.map((subset) => together(built, subset)) };
  });
  return { types: LEAF_TYPES, trees };
}

function cast(...args) {
  const program = join(ROOT, "node_modules", ".bin", "cast");
  return execFileSync(program, args, { encoding: "utf8" }).trim();
}

const ATTESTATION = [
  ["epoch", "uint256"],
  ["through", "uint256"],
  ["round", "uint256"],
  ["parentRoot", "bytes32"],
  ["parentStateDigest", "bytes32"],
  ["stateDigest", "bytes32"],
  ["root", "bytes32"],
  ["totalEarned", "uint256"],
  ["totalSpent", "uint256"],
  ["anchorBlockHash", "bytes32"],
  ["rulesDigest", "bytes32"],
  ["manifestDigest", "bytes32"],
];
const DOMAIN = [
  ["name", "string"],
  ["version", "string"],
  ["chainId", "uint256"],
  ["verifyingContract", "address"],
];

const encodeType = (name, fields) => `${name}(${fields.map(([f, t]) => `${t} ${f}`).join(",")})`;

function hashStruct(name, fields, message) {
  const typehash = cast("keccak", encodeType(name, fields));
  const word = ([field, type]) =>
    type === "string" ? cast("keccak", message[field]) : String(message[field]);
  const types = fields.map(([, type]) => (type === "string" ? "bytes32" : type));
  const signature = `f(bytes32,${types.join(",")})`;
  return cast("keccak", cast("abi-encode", signature, typehash, ...fields.map(word)));
}

/** One signed attestation. The digest, put together here, is checked against cast's own typed data. */
function signedAttestation(label, chainId, message) {
  const domain = {
    name: "DPN",
    version: "1",
    chainId,
    verifyingContract: cast("to-check-sum-address", hex(`${label}/contract`, 20)),
  };
  const domainSeparator = hashStruct("EIP712Domain", DOMAIN, domain);
  const structHash = hashStruct("EpochAttestation", ATTESTATION, message);
  const digest = cast("keccak", "0x1901" + domainSeparator.slice(2) + structHash.slice(2));
  // A throw-away key made for this file.
  const key = hex(`${label}/key`, 32);
  const entries = (fields) => fields.map(([name, type]) => ({ name, type }));
  const typed = {
    types: { EIP712Domain: entries(DOMAIN), EpochAttestation: entries(ATTESTATION) },
    primaryType: "EpochAttestation",
    domain,
    message,
  };
  const signature = cast(
    "wallet", "sign", "--private-key", key, "--data", JSON.stringify(typed),
  );
  const same = cast("wallet", "sign", "--private-key", key, "--no-hash", digest);
  if (signature !== same) throw new Error(`${label}: cast hashes the typed data differently`);
  const signer = cast("wallet", "address", "--private-key", key);
  return { domain, message, domainSeparator, structHash, digest, signer, signature };
}

function typedAttestation() {
  const filled = (label, epoch, through, round) =>
    Object.fromEntries(
      ATTESTATION.map(([field, type]) => [
        field,
        type === "bytes32" ? hex(`${label}/${field}`, 32) : String(number(`${label}/${field}`, 2n ** 96n)),
      ]).concat([["epoch", String(epoch)], ["through", String(through)], ["round", String(round)]]),
    );
  const zero = "0x" + "00".repeat(32);
  const first = {
    ...filled("first", 1, 1, 0), parentRoot: zero, parentStateDigest: zero, totalSpent: "0",
  };
  return {
    type: encodeType("EpochAttestation", ATTESTATION),
    typehash: cast("keccak", encodeType("EpochAttestation", ATTESTATION)),
    cases: [
      { name: "first epoch", ...signedAttestation("first", 31337, first) },
      { name: "later epoch", ...signedAttestation("later", 1, filled("later", 400, 397, 5)) },
    ],
  };
}

const check = process.argv.includes("--check");
const differing = [];
const vectors = { merkle: merkle(), multiproof: multiproof(), typed_attestation: typedAttestation() };
for (const [name, content] of Object.entries(vectors)) {
  const path = join(TARGET, `${name}.json`);
  const text = JSON.stringify(content, null, 1) + "\n";
  if (!check) writeFileSync(path, text);
  else if (!existsSync(path) || readFileSync(path, "utf8") !== text) differing.push(name);
}
if (differing.length > 0) {
  console.error(
    `The committed vectors ${differing.join(", ")} differ. ` +
      "Run `node contracts/vectors.mjs` and commit the result.",
  );
  process.exit(1);
}
console.log(check ? "vectors: as committed" : "vectors: 3 written");
