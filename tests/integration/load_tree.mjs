// Loads a tree dumped by chain/merkle.py (standard input) with OpenZeppelin's library, and prints its root, every path and its own dump.
import { readFileSync } from "node:fs";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";

const tree = StandardMerkleTree.load(JSON.parse(readFileSync(0, "utf8")));
tree.validate();
const paths = Object.fromEntries([...tree.entries()].map(([index, value]) => [value[0], tree.getProof(index)]));
console.log(JSON.stringify({ root: tree.root, paths, dump: tree.dump() }));
