"""A stand-in for Inara and for Discord on this machine: for the demo, tests and benchmarks.

It shares no code with what it is there to judge: it has its own idea of Inara's wire format and limit and of Discord's
rules, and writes down every breach in a list named `violations`.

world       who plays: commanders, what Inara says when asked for a name, and what changes in a second night
demo_roster the names and squadrons of the demo
inara_call  pure: one request to Inara, read strictly
inara       the server that stands for Inara
discord_form  pure: one webhook message, held against Discord's limits
discord_rules pure: Discord's rate limits and waits
discord     the server that stands for Discord
faults      what can be made to go wrong
loopback    one HTTP server on this machine, and how it hangs, resets and breaks off
"""
