// EIP-712 digests and signatures (section 3 of docs/protocol.md).
import { concat, toBytes, toHex, utf8, word } from "./bytes.mjs";
import { must } from "./refused.mjs";
import { membersOf } from "./types.mjs";

const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

// The type of a struct as EIP-712 writes it: itself, then all structs that it names, by name.
export function typeText(type) {
  const found = new Map();
  const visit = (name) => {
    const members = membersOf(name);
    if (!members || found.has(name)) return;
    found.set(name, `${name}(${members.map((member) => `${member.type} ${member.name}`).join(",")})`);
    for (const member of members) visit(member.type.replace("[]", ""));
  };
  visit(type);
  const others = [...found.keys()].filter((name) => name !== type).sort();
  return [type, ...others].map((name) => found.get(name)).join("");
}

// Digests and signers of one network's messages. `hashes`: `keccak256(bytes)` -> bytes, and `recover(digest, rs, odd)` -> the 64 bytes
// of the public key that made the signature r, s whose point has an odd or even y, null without one.
export function typed({ chainId, settlement }, hashes) {
  const { keccak256, recover } = hashes;
  const typeHashes = new Map();
  const signers = new Map();
  const separator = keccak256(
    concat([keccak256(utf8(DOMAIN)), keccak256(utf8("DPN")), keccak256(utf8("1")), word(chainId), word(settlement)]),
  );

  function typeHash(type) {
    if (!typeHashes.has(type)) typeHashes.set(type, keccak256(utf8(typeText(type))));
    return typeHashes.get(type);
  }

  function member(type, value) {
    if (type.endsWith("[]")) return keccak256(concat(value.map((item) => member(type.slice(0, -2), item))));
    if (membersOf(type)) return structHash(type, value);
    if (type === "string") return keccak256(utf8(value));
    if (type === "bytes") return keccak256(toBytes(value));
    return word(value);
  }

  function structHash(type, value) {
    return keccak256(concat([typeHash(type), ...membersOf(type).map((one) => member(one.type, value[one.name]))]));
  }

  function digest(type, value) {
    return toHex(keccak256(concat([Uint8Array.of(0x19, 0x01), separator, structHash(type, value)])));
  }

  // The account that signed a message, looked up once; Refused for a signature of another form.
  function signer(type, { message, signature }) {
    const name = digest(type, message);
    const known = name + signature;
    if (!signers.has(known)) signers.set(known, recovered(name, toBytes(signature)));
    return signers.get(known);
  }

  function recovered(name, signature) {
    must(signature.length === 65 && [27, 28].includes(signature[64]), "bad_signature");
    must(BigInt(toHex(signature.slice(32, 64))) <= HALF_ORDER, "bad_signature");
    const key = recover(toBytes(name), signature.slice(0, 64), signature[64] === 28);
    must(key, "bad_signature");
    return toHex(keccak256(key).slice(12));
  }

  return { digest, signer, separator: toHex(separator), structHash: (type, value) => toHex(structHash(type, value)) };
}
