// The protocol of conformance/clients/driver.py: one JSON line per call on stdin, one or
// more JSON lines back on stdout ({event, at} while a stream runs, then {output} or
// {error}). Calls run side by side. Bytes are {"$bytes": base64}.

import { createInterface } from "node:readline";

// Serves calls until stdin ends. `run(task, onEvent)` returns the output or throws;
// `describe` makes JSON of what was thrown.
export async function serve(run, describe) {
  for await (const line of createInterface({ input: process.stdin })) {
    answer(JSON.parse(line, unpack), run, describe);
  }
}

async function answer(task, run, describe) {
  const { id } = task;
  try {
    const output = await run(task, (event) => write({ id, at: performance.now() / 1000, event }));
    write({ id, output });
  } catch (error) {
    write({ id, error: describe(error) });
  }
}

const write = (answer) => process.stdout.write(JSON.stringify(answer, pack) + "\n");

function pack(_key, value) {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  return value;
}

function unpack(_key, value) {
  if (value !== null && typeof value === "object" && typeof value.$bytes === "string") {
    return new Uint8Array(Buffer.from(value.$bytes, "base64"));
  }
  return value;
}
