// What goes in is not what it is said to be. `message`: the code.
export class Refused extends Error {}

export function must(holds, code) {
  if (!holds) throw new Refused(code);
}
