"""From scores to what someone should look at: features, change detectors, incidents and episodes."""
