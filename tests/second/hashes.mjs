// Hashes and the recovery of a key, of Node and of the libraries that package.json brings.
import { createHash } from "node:crypto";
import { secp256k1 } from "@noble/curves/secp256k1";
import { keccak_256 } from "@noble/hashes/sha3";

export const hashes = {
  sha256: (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()),
  keccak256: keccak_256,
  recover: (digest, rs, odd) => {
    try {
      const signature = secp256k1.Signature.fromCompact(rs).addRecoveryBit(odd ? 1 : 0);
      return signature.recoverPublicKey(digest).toRawBytes(false).slice(1);
    } catch {
      return null; // r or s is out of range, or no point has this r
    }
  },
};
