"""Of the faults of upstreams, U-01 to U-38, what no test carries, or not to the letter."""

NOT_APPLICABLE = {
    "U-30": "answers are not kept for a second request with the same Idempotency-Key: the feature is not offered",
}

ELSEWHERE = {
    "U-19": "the translation sheet's cases of a cut within a tool call, whole and streamed (core/dialects)",
}

MISSING = {
    "U-02": "an unknown name is tested; a resolver that is slow, or fails for a moment, is not",
    "U-26": "not tested that no chain of aliases can be written",
    "U-27": "what cannot be translated is refused unsent, but no malformed tool argument is tested through a gateway",
}

PARTLY = {
    "U-01": "what the engine makes of it, and its telling; not the 50 ms",
    "U-08": "a line may have 16 MiB and a head 256 KiB, since an event may carry a picture",
    "U-22": "the time that was asked for; its forms and its bound are tested where headers are read",
    "U-29": "on by default, as in the vendors' SDKs; attempts say `dispatched` without a status; no Idempotency-Key is "
    "made up, since the next try goes to another account, where it means nothing",
    "U-31": "refused at start, and by the third gateway in a row: one may stand behind another",
    "U-33": "a tunnel of garbage; a proxy that dies amid a stream is not told apart from an upstream that does",
}
