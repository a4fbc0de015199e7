// npm `@anthropic-ai/sdk`, Messages.

import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { SYSTEM, converse, work } from "./job.mjs";

const textOf = (message) => message.content.map((block) => (block.type === "text" ? block.text : "")).join("");

await work(async (job) => {
  const client = new Anthropic({ apiKey: job.key, baseURL: job.baseUrl, maxRetries: 0 });
  const { name, description, schema } = job.tool;
  const messages = [{ role: "user", content: job.question }];
  const request = {
    model: job.model,
    max_tokens: 4096,
    system: SYSTEM,
    messages,
    ...(job.thinking ? { thinking: { type: "enabled", budget_tokens: 2048 } } : {}),
  };

  if (job.mode === "runner") {
    const calls = [];
    const run = (given) => (calls.push({ name, arguments: given }), job.answer);
    const tools = [betaTool({ name, description, inputSchema: schema, run })];
    const runner = client.beta.messages.toolRunner({ ...request, tools });
    return { calls, text: textOf(await runner.runUntilDone()) };
  }

  async function ask() {
    const whole = { ...request, tools: [{ name, description, input_schema: schema }] };
    const message =
      job.mode === "stream"
        ? await client.messages.stream(whole).finalMessage()
        : await client.messages.create(whole);
    if (!message.usage.output_tokens) throw new Error("no usage");
    messages.push({ role: "assistant", content: message.content });
    return {
      calls: message.content
        .filter((block) => block.type === "tool_use")
        .map((block) => ({ id: block.id, name: block.name, arguments: block.input })),
      text: textOf(message),
      thinking: message.content.map((block) => block.thinking ?? "").join(""),
    };
  }
  return converse(ask, (calls) =>
    messages.push({
      role: "user",
      content: calls.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: job.answer })),
    }),
  );
});
