// Runs the Vercel AI SDK for the Python tests (see lines.mjs), as an application would:
// `generateText`, `streamText` and `Output.object`, over a provider of the SDK's own.

import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, Output, streamText, tool } from "ai";

import { serve } from "./lines.mjs";

const providers = {
  anthropic: ({ url, key }) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key.bearer }),
  bedrock: ({ url, key, region }) =>
    createAmazonBedrock({
      baseURL: url,
      region,
      accessKeyId: key.access_key_id,
      secretAccessKey: key.secret_access_key,
    }),
  "openai-chat": ({ url, key }) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key.bearer }).chat,
  // What `openai(model)` is by default.
  "openai-responses": ({ url, key }) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key.bearer }).responses,
};

function options({ client, input }) {
  const { tools, toolChoice, schema, model, ...rest } = input;
  const named = Object.entries(tools ?? {}).map(([name, { description, inputSchema }]) => [
    name,
    // Without `execute`: the calls are the answer.
    tool({ description, inputSchema: jsonSchema(inputSchema) }),
  ]);
  return {
    model: providers[client.provider](client)(model),
    ...(named.length ? { tools: Object.fromEntries(named), toolChoice } : {}),
    ...(schema ? { output: Output.object({ schema: jsonSchema(schema) }) } : {}),
    maxRetries: 0,
    ...rest,
  };
}

async function run(task, onEvent) {
  if (task.command === "generateText") {
    const result = await generateText(options(task));
    return {
      text: result.text,
      object: task.input.schema ? result.output : null,
      ...ending(result.toolCalls, result.finishReason, result.usage, result.response),
    };
  }
  let broken;
  const result = streamText({ ...options(task), onError: ({ error }) => (broken = error) });
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") onEvent({ text: part.text });
    if (part.type === "tool-input-delta") onEvent({ arguments: part.delta });
  }
  // `fullStream` tells of errors as parts; their users look at `onError`.
  if (broken) throw broken;
  return ending(await result.toolCalls, await result.finishReason, await result.usage, await result.response);
}

const ending = (toolCalls, finishReason, usage, { headers }) => ({ toolCalls, finishReason, usage, headers });

function describe(error) {
  return {
    class: error.name ?? typeof error,
    message: String(error.message ?? error),
    status: error.statusCode ?? null,
    headers: error.responseHeaders ?? {},
    data: error.data ?? null,
  };
}

serve(run, describe);
