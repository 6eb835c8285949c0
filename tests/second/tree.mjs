// The tree of leaves (section 7 of docs/protocol.md): OpenZeppelin's StandardMerkleTree.
import { concat, toBytes, toHex, word } from "./bytes.mjs";

export function leafHash(leaf, keccak256) {
  const words = [leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation].map(word);
  return toHex(keccak256(keccak256(concat(words))));
}

// The root of one leaf or more: a heap whose last places are the leaves, the least hash last of all.
export function rootOf(leaves, keccak256) {
  const hashes = leaves.map((leaf) => leafHash(leaf, keccak256)).sort();
  const heap = new Array(hashes.length - 1).concat(hashes.reverse());
  for (let at = hashes.length - 2; at >= 0; at--) {
    const pair = [heap[2 * at + 1], heap[2 * at + 2]].sort();
    heap[at] = toHex(keccak256(concat(pair.map(toBytes))));
  }
  return heap[0];
}
