// What every script here does: read a job, let an SDK hold the conversation, tell what came of it.
//
// A job is {baseUrl, key, model, mode, question, tool: {name, description, schema}, answer, thinking}. `mode` is
// "whole", "stream" (the SDK's own helper where it has one) or "runner" (the SDK's own tool loop). What comes of it is
// {calls: [{name, arguments}], text, thinking}: the calls that the model made, and what it said after their answer.

import { text as readAll } from "node:stream/consumers";

export const SYSTEM = "Be kind";

export async function work(hold) {
  const job = JSON.parse(await readAll(process.stdin));
  const outcome = await hold(job);
  process.stdout.write(JSON.stringify({ thinking: "", ...outcome }) + "\n");
}

/** Ask until the model calls no more tools; `ask` and `reply` know how the SDK spells it. */
export async function converse(ask, reply) {
  const calls = [];
  for (let turns = 0; turns < 5; turns += 1) {
    const said = await ask();
    if (said.calls.length === 0) return { calls, text: said.text, thinking: said.thinking ?? "" };
    calls.push(...said.calls.map(({ name, arguments: given }) => ({ name, arguments: given })));
    reply(said.calls);
  }
  throw new Error("the model calls tools without end");
}
