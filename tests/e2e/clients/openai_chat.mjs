// npm `openai`, Chat Completions.

import OpenAI from "openai";
import { SYSTEM, converse, work } from "./job.mjs";

const unparsed = ({ id, type, function: { name, arguments: given } }) => ({
  id,
  type,
  function: { name, arguments: given },
});

await work(async (job) => {
  const client = new OpenAI({ apiKey: job.key, baseURL: `${job.baseUrl}/v1`, maxRetries: 0 });
  const { name, description, schema } = job.tool;
  const messages = [
    { role: "system", content: SYSTEM },
    { role: "user", content: job.question },
  ];
  const request = { model: job.model, messages, ...(job.thinking ? { reasoning_effort: "medium" } : {}) };
  const offered = { type: "function", function: { name, description, parameters: schema } };

  if (job.mode === "runner") {
    const calls = [];
    const answer = (given) => (calls.push({ name, arguments: given }), job.answer);
    const runnable = { type: "function", function: { ...offered.function, function: answer, parse: JSON.parse } };
    const runner = client.chat.completions.runTools({ ...request, stream: true, tools: [runnable] });
    return { calls, text: await runner.finalContent() };
  }

  async function streamed(whole) {
    const stream = client.chat.completions.stream({ ...whole, stream_options: { include_usage: true } });
    // Of a field that it does not know, the helper keeps the last piece alone.
    let thinking = "";
    stream.on("chunk", (chunk) => (thinking += chunk.choices[0]?.delta.reasoning_content ?? ""));
    const completion = await stream.finalChatCompletion();
    if (thinking) completion.choices[0].message.reasoning_content = thinking;
    return completion;
  }

  async function ask() {
    const whole = { ...request, tools: [offered] };
    const completion =
      job.mode === "stream" ? await streamed(whole) : await client.chat.completions.create(whole);
    if (!completion.usage?.total_tokens) throw new Error("no usage");
    const { message } = completion.choices[0];
    // The stream helper adds what it parsed, which is not for the wire.
    const { parsed: _, ...spoken } = message;
    messages.push({ ...spoken, tool_calls: message.tool_calls?.map(unparsed) });
    const calls = (message.tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
    }));
    return { calls, text: message.content, thinking: message.reasoning_content };
  }
  return converse(ask, (calls) =>
    messages.push(...calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: job.answer }))),
  );
});
