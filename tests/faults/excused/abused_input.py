"""Of the abused input, I-01 to I-36, what no test carries, or not to the letter."""

MISSING = {
    "I-01": "an empty body is tested where it is parsed, not at each route",
    "I-14": "odd values of max_tokens are tested in parts, with each dialect",
    "I-17": "text of all of Unicode is tested where it is parsed, not up to the upstream",
    "I-19": "unknown fields are tested with each dialect; of routing by them nothing is shown",
    "I-22": "no nginx stands in front in any test",
    "I-24": "odd paths are tested with a small app, not with the gateway's own routes and keys",
    "I-25": "methods are tested at some routes, not at each",
    "I-27": "a TLS hello and noise are tested, a megabyte of zeros is not",
    "I-28": "what a stored key may hold is not shown for each of the odd ones",
    "I-29": "odd names of models are tested, what stands in the upstream's path then is not",
    "I-30": "that a log line stays one line is not shown for all that a client can put into it",
    "I-31": "odd queries of the admin lists are not shown over a million rows",
    "I-33": "heads that trickle are tested one by one, not by the hundred beside other traffic",
}
