// Compiles contracts for the mutation run, one request and one answer a line, as JSON; the compiler stays loaded.
//
//   {"ast": path}                                     -> {"ast": the syntax tree}
//   {"sources": {path: text}, "contracts": {name: path}, "settings": {...}} -> {"bytecode": {name: hex}}
//   what does not compile                             -> {"error": text}
//
// Paths are relative to the working directory; what `sources` does not name is read from there.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const solc = createRequire(process.cwd() + "/")("solc");

function read(path) {
  try {
    return { contents: readFileSync(path.startsWith("@") ? `node_modules/${path}` : path, "utf8") };
  } catch {
    return { error: `no file ${path}` };
  }
}

function compile(sources, settings) {
  const input = { language: "Solidity", sources, settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const errors = (output.errors ?? []).filter((one) => one.severity === "error");
  if (errors.length > 0) throw new Error(errors.map((one) => one.formattedMessage ?? one.message).join("\n"));
  return output;
}

function answer(request) {
  if (request.ast) {
    const sources = { [request.ast]: { content: read(request.ast).contents } };
    return { ast: compile(sources, { outputSelection: { "*": { "": ["ast"] } } }).sources[request.ast].ast };
  }
  const outputSelection = {};
  for (const [name, path] of Object.entries(request.contracts)) outputSelection[path] = { [name]: ["evm.bytecode.object"] };
  const sources = {};
  for (const [path, content] of Object.entries(request.sources)) sources[path] = { content };
  const { contracts } = compile(sources, { ...request.settings, outputSelection });
  const bytecode = {};
  for (const [name, path] of Object.entries(request.contracts)) bytecode[name] = contracts[path][name].evm.bytecode.object;
  return { bytecode };
}

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = answer(JSON.parse(line));
  } catch (error) {
    said = { error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(said) + "\n");
}
