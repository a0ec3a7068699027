"""`make test-kill`: the daemon is killed some hundred times, and Inara and the tenants may never notice.

What both proofs share: `board.py` is the memory that all lives share, `life.py` what runs in each, with
`delivery_life.py` for what is around its deliveries and `patch.py` for how, `stand_in.py` the sandbox in a process of
its own, `population.py` who lives, `evidence.py` what state and log tell, `table.py` what is printed.

That nobody is banned (`pace_proof.py`): `ground.py` is the folder, `campaign.py` who dies and how, `pauses.py` what
happens while Inara wants to hear nothing, `verdict.py` what must be true in the end.

That each report arrives once or is named as lost (`delivery_proof.py`): `channels.py` is the folder, `deliveries.py`
who dies and how, `delivery_tally.py` what was done, `moods.py` what Discord does to those who deliver, `books.py` what
is stored and what is shown, `delivery_verdict.py` and `webhook_verdict.py` what must be true of both in the end.
"""
