// Small sums over BigInt.
export const least = (first, ...others) => others.reduce((one, other) => (one < other ? one : other), first);
export const most = (first, ...others) => others.reduce((one, other) => (one > other ? one : other), first);
export const floored = (value) => (value > 0n ? value : 0n);
export const sumOf = (values) => values.reduce((sum, value) => sum + value, 0n);
