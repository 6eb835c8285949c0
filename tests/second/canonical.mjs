// Canonical JSON (section 3 of docs/protocol.md). Inside, integers are BigInt, bytes and addresses are hexadecimal text.
import { must } from "./refused.mjs";
import { membersOf } from "./types.mjs";

const LARGEST_NUMBER = 2n ** 53n - 1n;
const HEX_LENGTHS = { address: 20, bytes32: 32 };

// The canonical text of a value.
export function write(value) {
  if (typeof value === "bigint") {
    return -LARGEST_NUMBER <= value && value <= LARGEST_NUMBER ? value.toString() : `"${value}"`;
  }
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (typeof value === "object") {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${write(value[key])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

// The value of a type that parsed JSON stands for; Refused if it is none.
export function read(type, json) {
  if (type.endsWith("[]")) {
    must(Array.isArray(json), "wrong_type");
    return json.map((item) => read(type.slice(0, -2), item));
  }
  const members = membersOf(type);
  if (members) return readStruct(members, json);
  if (/^u?int/.test(type)) return readInteger(type, json);
  if (type === "bool" || type === "string") {
    must(typeof json === (type === "bool" ? "boolean" : "string"), "wrong_type");
    return json;
  }
  const length = HEX_LENGTHS[type];
  must(typeof json === "string" && /^0x([0-9a-f]{2})*$/.test(json) && (!length || json.length === 2 + 2 * length), "wrong_type");
  return json;
}

function readStruct(members, json) {
  must(typeof json === "object" && json !== null && !Array.isArray(json), "wrong_type");
  for (const { name } of members) must(Object.hasOwn(json, name), "missing_field");
  must(Object.keys(json).length === members.length, "unknown_field");
  return Object.fromEntries(members.map((member) => [member.name, read(member.type, json[member.name])]));
}

function readInteger(type, json) {
  must(Number.isSafeInteger(json) || (typeof json === "string" && /^[0-9]{1,78}$/.test(json)), "wrong_type");
  const value = BigInt(json);
  const bits = BigInt(type.replace(/^u?int/, ""));
  const [low, high] = type.startsWith("u") ? [0n, 2n ** bits] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n)];
  must(low <= value && value < high, "out_of_range");
  return value;
}
