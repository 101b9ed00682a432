"""`make demo`: from nothing to machines that booted from thin children of one golden parent per host."""
