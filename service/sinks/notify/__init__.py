"""Who is told of episodes: each change at least once to each route, with a key by which a receiver knows it again.

``outbox`` holds what is to be told and lies in the shard's checkpoint; ``notifier`` sends it; ``targets`` are the
receivers.
"""
