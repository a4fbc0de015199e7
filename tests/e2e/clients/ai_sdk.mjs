// npm `ai` with one of its providers; the tool loop is always its own. The argument names the API.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { SYSTEM, work } from "./job.mjs";

const BUDGET = 2048;
const APIS = {
  chat: ({ model, ...at }) => ({ model: createOpenAI(at).chat(model) }),
  responses: ({ model, ...at }) => ({
    model: createOpenAI(at).responses(model),
    thinking: {
      openai: { reasoningEffort: "medium", reasoningSummary: "auto", store: false, forceReasoning: true },
    },
    options: { openai: { store: false } },
  }),
  anthropic: ({ model, ...at }) => ({
    model: createAnthropic(at)(model),
    thinking: { anthropic: { thinking: { type: "enabled", budgetTokens: BUDGET } } },
  }),
  google: ({ model, ...at }) => ({
    model: createGoogle({ ...at, baseURL: at.baseURL.replace(/v1$/, "v1beta") })(model),
    thinking: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: BUDGET } } },
  }),
};

await work(async (job) => {
  const api = APIS[process.argv[2]]({ apiKey: job.key, baseURL: `${job.baseUrl}/v1`, model: job.model });
  const calls = [];
  const { name, description, schema } = job.tool;
  const execute = (given) => (calls.push({ name, arguments: given }), job.answer);
  const request = {
    model: api.model,
    system: SYSTEM,
    prompt: job.question,
    tools: { [name]: tool({ description, inputSchema: jsonSchema(schema), execute }) },
    stopWhen: isStepCount(5),
    maxOutputTokens: 4096,
    maxRetries: 0,
    providerOptions: job.thinking ? api.thinking : api.options,
  };
  const result = job.mode === "stream" ? streamText(request) : await generateText(request);
  const last = (await result.steps).at(-1);
  if (!last.usage.outputTokens) throw new Error("no usage");
  return { calls, text: last.text, thinking: last.reasoningText ?? "" };
});
