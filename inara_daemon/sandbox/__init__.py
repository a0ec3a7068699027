"""A stand-in for Inara and for Discord on this machine: for the demo, tests and benchmarks.

It shares no code with what it is there to judge: it has its own idea of Inara's wire format and limit and of Discord's
rules, and writes down every breach in a list named `violations`.

world         who plays, what Inara says when asked for a name, and what changes in a second night
commander     a player, and the profile that Inara shows
demo_roster   the names and squadrons of the demo
backend       the databases that the backend would have made
inara         the server that stands for Inara
inara_call    one request to it, read strictly
discord       the server that stands for Discord
discord_form  one webhook message, held against Discord's limits
discord_rules Discord's rates, and who has to wait
faults        what can be made to go wrong
orders        what another process can ask of a running one
loopback      one HTTP server on this machine, and how it hangs, resets and breaks off
"""
