"""Of the faults of upstreams, U-01 to U-38, what no test carries, or not to the letter."""

PARTLY = {
    "U-08": "a line may have 16 MiB and a head 256 KiB, since an event may carry a picture",
    "U-15": "an error amid a stream opens no breaker: a stream that has begun is an answer",
    "U-19": "a whole answer that the limit of tokens cut within a call, and that is translated, is no 502: it has the "
    "vendor's reason, and the call is left out of it",
    "U-27": "broken arguments in a conversation are told to the vendor as they are (docs/dialects.md), asked once",
}
"""Carried, but not to the letter."""
