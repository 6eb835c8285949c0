// Digests of files (section 6 of docs/protocol.md).
import { utf8, toHex } from "./bytes.mjs";
import { write } from "./canonical.mjs";

const CHUNK_BYTES = 1 << 20;

// The digest of a file: the sha-256 of its index.
export function fileDigest(bytes, sha256) {
  const chunks = [];
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) chunks.push(toHex(sha256(bytes.subarray(start, start + CHUNK_BYTES))));
  return toHex(sha256(utf8(write({ size: BigInt(bytes.length), chunks }))));
}
