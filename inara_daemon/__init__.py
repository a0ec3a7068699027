"""Keeps the commander rosters of Elite Dangerous squadrons in step with Inara.

The way of a commander, from an event to a Discord message, by file:

    store/tenant_db     names in a tenant's `event`           roster_plan   who is asked for, in which order
    inara/desk, lines   the counter where all tenants queue   inara/budget, pauses   when a request may leave
    inara/wire, client  one request, and what its answer is   inara/reaction, suspicion   what a refusal leads to
    answers             what an answer changes for a tenant   service/discovery   new commanders between runs
    store/state         written ahead, then to `cmdr`         run_facts     what a run did and met
    report_text         what the report says of it            report_reason whether and why it is sent
    notify/outbox, lane the durable queue, a lane for each    notify/waits  who must wait before the next request
    notify/channels     the services that messages go to      notify/discord, discord_format   one message on Discord

Pure, without I/O, at the top: commander (ranks, merge, diff), roster_row, roster_plan, answers, change_words, report
(the neutral message), problem_memory (what was told before), log_lines (few enough for a channel), night (what it
costs), tenants (tenant.json; tenant_entry, json_document), settings (environment, cron, urls, secret, problems). clock
and nap hand time in.

service/ plugs it together: engine owns everything while it holds the state database, as far as its duty goes (errand
asks it from another process, request_desk answers), supervisor keeps a tenant_task alive for each tenant, tenant_run is
one run (database_patience waits for databases, turns lets few prepare at once). daemon is the process that stays;
progress tells who is alive, logbook what was logged, and log_courier brings it to the channels.
cli/ has a file per verb, web/ the health page, sandbox/ stand-ins for Inara and Discord, `__main__` the entry.
"""
