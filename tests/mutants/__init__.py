"""What would break each rule, and whether the rule's test would notice: `make mutants`."""
