// Recomputes the roots of a file like tests/vectors/recomputation.json (standard input) and prints what each comes to, or `refused` with a
// code. What lies under it needs nothing of Node: hashes and the recovery of a key are handed in from here.
import { readFileSync } from "node:fs";
import { hashes } from "./hashes.mjs";
import { Refused } from "./refused.mjs";
import { recomputed } from "./root.mjs";

function outcome(root) {
  try {
    return recomputed(root, hashes);
  } catch (error) {
    if (error instanceof Refused) return { refused: error.message };
    throw error;
  }
}

const { roots } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(roots.map(outcome)));
