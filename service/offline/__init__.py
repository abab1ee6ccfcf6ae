"""Tools over recordings and stored data: evaluate, report, backfill, replay and export."""
