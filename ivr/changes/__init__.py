"""The change path. Every write to a PBX goes through here, and nothing else sends one.

    plan.py       store what a person asks for; nothing is sent
    apply.py      carry out a plan: sent once, proven by reading back, recorded
    reconcile.py  settle what was left open, from the spool or by reading; never sends

    compare.py        the two decisions as pure functions: what to send, and what the outcome is
    risks.py          what a person has to confirm first
    preconditions.py  why a change may not be sent
    renumbering.py    the same of a renumbering: the number, and what leads to the old one
    readings.py       what the PBX holds, before sending and after
    settle.py         how a change ended, and the one function that records it
    spool.py          a second place for outcomes that the database does not take
    restore.py        back to the old values, by a new plan; and accepting an outside change
    receipts.py       a change as plain text, for a ticket

Callers import from the module that a name stands in. No transaction is open while a PBX is being talked to.
"""
