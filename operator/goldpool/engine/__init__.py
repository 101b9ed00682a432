"""The machine that runs controllers: queue, reconcile loop, leadership, events, metrics. It knows no Goldpool kind."""
