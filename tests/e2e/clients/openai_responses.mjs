// npm `openai`, Responses.

import OpenAI from "openai";
import { SYSTEM, converse, work } from "./job.mjs";

/** The stream helper adds what it parsed, which is not for the wire. */
function unparsed({ parsed_arguments: _, ...item }) {
  if (item.type !== "message") return item;
  return { ...item, content: item.content.map(({ parsed: _, ...part }) => part) };
}

await work(async (job) => {
  const client = new OpenAI({ apiKey: job.key, baseURL: `${job.baseUrl}/v1`, maxRetries: 0 });
  const { name, description, schema } = job.tool;
  const input = [{ role: "user", content: job.question }];
  const request = {
    model: job.model,
    instructions: SYSTEM,
    store: false,
    input,
    tools: [{ type: "function", name, description, parameters: schema, strict: false }],
    ...(job.thinking
      ? { reasoning: { effort: "medium", summary: "auto" }, include: ["reasoning.encrypted_content"] }
      : {}),
  };

  async function ask() {
    const response =
      job.mode === "stream"
        ? await client.responses.stream(request).finalResponse()
        : await client.responses.create(request);
    if (!response.usage?.total_tokens) throw new Error("no usage");
    input.push(...response.output.map(unparsed));
    const reasoned = response.output.filter((item) => item.type === "reasoning");
    return {
      calls: response.output
        .filter((item) => item.type === "function_call")
        .map((item) => ({ id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) })),
      text: response.output_text,
      thinking: reasoned.flatMap((item) => item.summary.map((part) => part.text)).join(""),
    };
  }
  return converse(ask, (calls) =>
    input.push(...calls.map(({ id }) => ({ type: "function_call_output", call_id: id, output: job.answer }))),
  );
});
