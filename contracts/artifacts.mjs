// Builds the contracts and writes what running the network needs of them to chain/artifacts/.
//
//   node contracts/artifacts.mjs           write the files
//   node contracts/artifacts.mjs --check   write nothing; end with 1 if a committed file differs
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const TARGET = join(ROOT, "chain", "artifacts");
// What a chain accepts at most (EIP-170), in bytes.
const SIZE_LIMIT = 24_576;
const CONTRACTS = ["RewardToken", "Registry", "Vault", "Judge", "Settlement"];

/** The text of one artifact: ABI, creation bytecode, a digest of the runtime bytecode and where its immutables are. */
function artifact(name) {
  const path = join(ROOT, "build", "forge-out", `${name}.sol`, `${name}.json`);
  const { abi, bytecode, deployedBytecode } = JSON.parse(readFileSync(path, "utf8"));
  const runtime = Buffer.from(deployedBytecode.object.slice(2), "hex");
  if (runtime.length > SIZE_LIMIT) {
    console.error(`${name} has ${runtime.length} bytes; a chain accepts ${SIZE_LIMIT}. Split it.`);
    process.exit(1);
  }
  const content = {
    abi,
    bytecode: bytecode.object,
    // sha-256, immutables still zero: tells two builds apart, not two deployments.
    deployedBytecodeSha256: createHash("sha256").update(runtime).digest("hex"),
    // First bytes of the 32-byte words that hold immutables: with these zeroed, the code on a chain has that digest.
    immutables: immutables(deployedBytecode.immutableReferences),
  };
  return JSON.stringify(content, null, 1) + "\n";
}

function immutables(references) {
  const places = Object.values(references ?? {}).flat();
  if (places.some((place) => place.length !== 32)) throw new Error("an immutable is not one word");
  return places.map((place) => place.start).sort((a, b) => a - b);
}

const check = process.argv.includes("--check");
const forge = join(ROOT, "node_modules", ".bin", "forge");
if (!existsSync(forge)) {
  console.error("forge is not installed. Run `npm ci` first.");
  process.exit(2);
}
execFileSync(forge, ["build", "contracts/src"], { cwd: ROOT, stdio: "inherit" });

mkdirSync(TARGET, { recursive: true });
const differing = [];
for (const name of CONTRACTS) {
  const path = join(TARGET, `${name}.json`);
  const built = artifact(name);
  if (!check) writeFileSync(path, built);
  else if (!existsSync(path) || readFileSync(path, "utf8") !== built) differing.push(name);
}
if (differing.length > 0) {
  console.error(
    `The committed artifacts of ${differing.join(", ")} are not what the sources build. ` +
      "Run `node contracts/artifacts.mjs` and commit the result.",
  );
  process.exit(1);
}
console.log(check ? "artifacts: as committed" : `artifacts: ${CONTRACTS.length} written`);
