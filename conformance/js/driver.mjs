// Runs AWS SDK calls for the Python tests (see lines.mjs). The SDK is used as an
// application would use it.

import * as control from "@aws-sdk/client-bedrock";
import * as runtime from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";

import { serve } from "./lines.mjs";

const modules = {
  runtime: { sdk: runtime, Client: runtime.BedrockRuntimeClient },
  control: { sdk: control, Client: control.BedrockClient },
};

const now = Date.now;

function build({ service, endpoint, region, handler, maxAttempts, credentials, token, anonymous }) {
  const { Client } = modules[service];
  const client = new Client({
    endpoint,
    region,
    maxAttempts,
    ...(handler === "http1" ? { requestHandler: new NodeHttpHandler() } : {}),
    ...(token ? { token: { token }, authSchemePreference: ["httpBearerAuth"] } : { credentials }),
  });
  if (anonymous) {
    // After signing, as the last step before the wire.
    client.middlewareStack.add(
      (next) => (args) => {
        delete args.request.headers.authorization;
        return next(args);
      },
      { step: "finalizeRequest", priority: "low", name: "withoutCredential" },
    );
  }
  return client;
}

// Replaces the body after serialisation and before signing.
function replaceBody(client, body) {
  client.middlewareStack.add(
    (next) => (args) => {
      args.request.body = body;
      args.request.headers["content-length"] = String(body.byteLength);
      return next(args);
    },
    { step: "build", priority: "low", name: "replaceBody" },
  );
}

async function run({ client: config, command, input, body }, onEvent) {
  const { sdk } = modules[config.service];
  const client = build(config);
  if (body) replaceBody(client, body);
  // The machine's clock, as far as the SDK can tell. Callers set it off in one call at a time.
  Date.now = () => now() + config.clockSkewMs;
  try {
    const { stream, ...output } = await client.send(new sdk[`${command}Command`](input));
    for await (const event of stream ?? []) onEvent(event);
    return output;
  } catch (error) {
    throw Object.assign(error, { sdk });
  } finally {
    Date.now = now;
    client.destroy();
  }
}

function describe(error) {
  const Typed = error.sdk[error.name];
  return {
    name: error.name,
    class: typeof Typed === "function" && error instanceof Typed ? error.name : error.constructor.name,
    isServiceException:
      error instanceof runtime.BedrockRuntimeServiceException || error instanceof control.BedrockServiceException,
    message: String(error.message),
    status: error.$metadata?.httpStatusCode ?? null,
    requestId: error.$metadata?.requestId ?? null,
  };
}

serve(run, describe);
