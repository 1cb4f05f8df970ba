"""The figures of each mailbox, recounted from one compact row per letter, and the weekly bulletin (R10.4, R11.2)."""
