"""The picture in the README: what the daemon really sends, drawn as Discord shows it.

example   the night that is told
markdown  Discord's Markdown -> spans of styled text; moments: its timestamps in words
letters   how wide text is; lines: spans -> lines that fit
svg       parts that are stacked on one another
message   a webhook's payload -> the picture
"""
