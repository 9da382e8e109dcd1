"""The pattern sets of grok, `legacy` and `ecs-v1`: data under its own notice, see NOTICE beside this file."""
