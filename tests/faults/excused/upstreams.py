"""Of the faults of upstreams, U-01 to U-38, what no test carries, or not to the letter."""

NOT_APPLICABLE = {
    "U-30": "answers are not kept for a second request with the same Idempotency-Key: the feature is not offered",
}

ELSEWHERE = {
    "U-19": "the translation sheet's cases of a cut within a tool call, whole and streamed (core/dialects)",
}

PARTLY = {
    "U-01": "what the engine makes of it, and its telling; not the 50 ms",
    "U-08": "a line may have 16 MiB and a head 256 KiB, since an event may carry a picture",
    "U-15": "an error amid a stream opens no breaker: a stream that has begun is an answer",
    "U-22": "the time that was asked for; its forms and its bound are tested where headers are read",
    "U-27": "broken arguments in a conversation are told to the vendor as they are (docs/dialects.md), asked once",
    "U-29": "on by default, as in the vendors' SDKs; attempts say `dispatched` without a status; no Idempotency-Key is "
    "made up, since the next try goes to another account, where it means nothing",
    "U-31": "refused at start, and by the third gateway in a row: one may stand behind another",
    "U-33": "a tunnel of garbage; a proxy that dies amid a stream is not told apart from an upstream that does",
}
