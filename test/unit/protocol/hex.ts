// Bytes spelled as hex with spaces and line breaks wherever they help the reader.

/** The bytes that the hex digits spell. */
export function hex(...parts: readonly string[]): Uint8Array {
  const digits = parts.join('').replace(/\s+/g, '');
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error(`not hex: ${digits}`);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** The hex digits of bytes, for messages of failed assertions. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
