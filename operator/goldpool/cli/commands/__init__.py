"""One module per command. Each hands out a click command; ``goldpool.cli.command`` lists them."""
