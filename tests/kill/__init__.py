"""`make test-kill`: the daemon is killed some hundred times, and Inara may never notice.

`board.py` is the memory that all lives share, `life.py` what runs in each, `stand_in.py` the sandbox in a process of
its own, `ground.py` the folder, `population.py` who lives, `campaign.py` who dies and how, `pauses.py` what happens
while Inara wants to hear nothing, `verdict.py` what must be true in the end.
"""
