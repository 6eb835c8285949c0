// Bytes and their lower-case hexadecimal text with 0x, as which they stand in values; words of 32 bytes.
const encoder = new TextEncoder();

export const utf8 = (text) => encoder.encode(text);

export function toHex(bytes) {
  return "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function toBytes(hex) {
  return Uint8Array.from({ length: (hex.length - 2) / 2 }, (_, index) => parseInt(hex.slice(2 + 2 * index, 4 + 2 * index), 16));
}

export function concat(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// An integer, a bytes32 or an address as 32 bytes, big-endian.
export function word(value) {
  const digits = typeof value === "string" ? value.slice(2) : BigInt(value).toString(16);
  return toBytes("0x" + digits.padStart(64, "0"));
}
