"""What both stages share: specs, graphs, data, metrics and the command line. Never imports a framework."""
