"""People, surveys, roles, tokens; who may do what (:mod:`.permissions`), and the gate of the staging archive (:mod:`.gate`)."""
