"""The demo: a simulated fleet, people of each role, three weeks of history, and what is wrong this morning.

`fill.py` puts it all into the database; `story.py` says what happened; `stage.py` makes it happen through the same
services that pages call, against the simulated PBXs, with a moved clock (`clock.py`) and before the server starts.
`cards.py` and `views.py` are what a user of the demo sees beside the product.
"""
