"""Who calls (bearer tokens, R10.2), what a citizen follows a letter with (receipt codes, R2.2), and what guessing costs."""
