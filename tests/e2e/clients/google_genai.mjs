// npm `@google/genai`, generateContent.

import { GoogleGenAI } from "@google/genai";
import { SYSTEM, converse, work } from "./job.mjs";

await work(async (job) => {
  const client = new GoogleGenAI({ apiKey: job.key, httpOptions: { baseUrl: job.baseUrl } });
  const { name, description, schema } = job.tool;
  const contents = [{ role: "user", parts: [{ text: job.question }] }];
  const request = {
    model: job.model,
    contents,
    config: {
      systemInstruction: SYSTEM,
      tools: [{ functionDeclarations: [{ name, description, parametersJsonSchema: schema }] }],
      ...(job.thinking ? { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } } : {}),
    },
  };

  async function answerParts() {
    if (job.mode !== "stream") {
      const response = await client.models.generateContent(request);
      if (!response.usageMetadata?.totalTokenCount) throw new Error("no usage");
      return response.candidates[0].content.parts;
    }
    const parts = [];
    for await (const chunk of await client.models.generateContentStream(request))
      parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
    return parts;
  }

  async function ask() {
    const parts = await answerParts();
    // The empty text at a stream's end is not for a request, unless it bears a signature.
    const kept = parts.filter((part) => part.text !== "" || part.thoughtSignature);
    contents.push({ role: "model", parts: kept });
    const spoken = (thought) =>
      parts.map((part) => (Boolean(part.thought) === thought ? (part.text ?? "") : "")).join("");
    return {
      calls: parts
        .filter((part) => part.functionCall)
        .map(({ functionCall: call }) => ({ id: call.id, name: call.name, arguments: call.args })),
      text: spoken(false),
      thinking: spoken(true),
    };
  }
  return converse(ask, (calls) =>
    contents.push({
      role: "user",
      parts: calls.map(({ id }) => ({ functionResponse: { id, name, response: { result: job.answer } } })),
    }),
  );
});
